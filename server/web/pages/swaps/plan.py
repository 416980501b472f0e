"""A swap before it is asked for: what it would stop, what preflight finds, and the button. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from server.base.errors import SparkError
from server.base.finding import Severity
from server.catalog.model import Model
from server.launch.model import PlannedCommand
from server.swap.model import Serving, SwapRecord
from server.swap.preflight import OUTSIDE
from server.swap.rehearsals import Rehearsal
from server.web.pages.frame import Page
from server.web.pages.moment import Moment, moment
from server.web.pages.serving import WORDS, target
from server.web.pages.swap import Finding
from server.web.pages.swaps.story import stops, under_way


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    host: str
    text: str


@dataclass(frozen=True, slots=True)
class Plan:
    """`model` is the id, empty when none was chosen. `refused` says why it cannot be started at
    all. `checking` since when the hosts are being looked at; `checked` when they were. `blocked`:
    a swap would be refused, `barred`: even by force."""

    template: ClassVar[str] = "swap/plan.html"

    model: str
    name: str
    refused: str
    serves: bool
    stops: str
    touches: str
    busy: str
    checking: str
    checked: Moment | None
    trouble: str
    advice: str
    findings: tuple[Finding, ...]
    blocked: bool
    barred: bool
    hosts: str


@dataclass(frozen=True, slots=True)
class PlanPage(Page):
    template: ClassVar[str] = "swap/new.html"

    plan: Plan
    models: tuple[tuple[str, str], ...]
    commands: tuple[Command, ...]


def plan(
    model: Model,
    error: SparkError | None,
    look: Rehearsal | None,
    *,
    layout: Sequence[Serving],
    current: SwapRecord | None,
    queue: Sequence[SwapRecord],
    clients: Mapping[str, Sequence[str]],
    now: datetime,
    most: int,
    patience: float,
) -> Plan:
    """`error` is why the settings of this moment do not let it start; `clients` who has requests
    under way at each model."""
    placement = look.placement if look else None
    evicted = placement.evicted if placement else None
    going = (
        [one.spec.model for one in evicted]
        if evicted is not None
        else [one.model for one in layout if one.model != model.id]
    )
    looked = look is not None and look.ended_at is not None
    return Plan(
        model=model.id,
        name=model.name,
        refused=_sentence(error),
        serves=any(one.model == model.id for one in layout),
        stops=stops(model.id, layout, most, evicted),
        touches=under_way(going, clients, patience) if going else "",
        busy=_busy(current, queue),
        checking=look.began_at.isoformat() if look and not looked else "",
        checked=moment(look.ended_at, now) if look else None,
        trouble=look.error if look else "",
        advice=look.advice if look else "",
        findings=tuple(
            Finding(one.severity.value, one.message, one.advice or "", one.host or "")
            for one in sorted(look.findings if look else (), key=lambda one: _RANK[one.severity])
        ),
        blocked=look is not None and look.refused,
        barred=look is not None and any(one.code == OUTSIDE for one in look.findings),
        hosts=", ".join(node.host for node in placement.target.nodes) if placement else "",
    )


_RANK = {
    Severity.ERROR: 0,
    Severity.UNKNOWN: 1,
    Severity.WARNING: 2,
    Severity.INFO: 3,
    Severity.OK: 4,
}


def _sentence(error: SparkError | None) -> str:
    if error is None:
        return ""
    return " ".join(filter(None, (error.message.removesuffix(".") + ".", error.advice)))


def _busy(current: SwapRecord | None, queue: Sequence[SwapRecord]) -> str:
    """What is under way: a new swap waits for it, or takes its place."""
    waiting = [target(one) for one in queue]
    now = (
        [f"{target(current)} ({WORDS[current.state][0].lower()})"]
        if current is not None and not current.state.final
        else []
    )
    return ", then ".join([*now, *waiting])


def commands(planned: Sequence[PlannedCommand]) -> tuple[Command, ...]:
    return tuple(Command(one.name, one.host, one.shown) for one in planned)
