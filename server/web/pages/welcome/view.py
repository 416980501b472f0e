"""The page of the first run. Pure: from facts and fragments to one view."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar
from urllib.parse import quote, urlencode

from server.base.finding import Severity
from server.base.health import Health
from server.fleet.examination import Examination
from server.fleet.model import HostStatus
from server.web.pages.draw import View
from server.web.pages.frame import Page
from server.web.pages.moment import Moment
from server.web.pages.settings.host import DoctorCard, HostEntry, HostForm, OurKey
from server.web.pages.settings.section import SectionForm
from server.web.pages.welcome.step import ORDER, Facts, State, Step, next_step, way

TITLES: Mapping[Step, str] = MappingProxyType(
    {
        Step.KEY: "Let Spark Control in",
        Step.HOST: "Say where the first Spark is",
        Step.HOST_KEY: "Trust its host key",
        Step.DOCTOR: "See whether all is well there",
        Step.ENGINE: "How models are started, and where they lie",
        Step.MODEL: "Load the first model",
    }
)
ORDER_ALL = (*ORDER, Step.DONE)
_NEEDED = frozenset({"docker", "nvidia_smi", "tools", "ssh", "host_key", "vllm"})
"""Findings without which nothing could be started; the others can wait."""


@dataclass(frozen=True, slots=True)
class StepView:
    key: str
    number: int
    title: str
    state: State
    told: str


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model whose files lie on a host. `id` is its name in the catalog, empty when it is not
    there yet."""

    ref: str
    hosts: str
    id: str
    address: str


@dataclass(frozen=True, slots=True)
class Scan:
    host: str
    at: Moment | None
    error: str


@dataclass(frozen=True, slots=True)
class FoundCard:
    """What the hosts were found to hold; drawn anew as scans come in."""

    template: ClassVar[str] = "welcome/found.html"

    scans: tuple[Scan, ...]
    models: tuple[FoundModel, ...]
    more: int

    @property
    def scanning(self) -> bool:
        return any(scan.at is None and not scan.error for scan in self.scans)


@dataclass(frozen=True, slots=True)
class Candidate:
    id: str
    name: str
    source: str
    here: bool


@dataclass(frozen=True, slots=True)
class NextCard:
    """Says when the next step may be taken, on a page that shows `at`; drawn anew as things change,
    and never while somebody types."""

    template: ClassVar[str] = "welcome/next.html"

    at: str
    title: str
    ready: bool
    waiting: str


@dataclass(frozen=True, slots=True)
class WelcomePage(Page):
    """`host` is None until there is one; `choices` are models that could be loaded now."""

    template: ClassVar[str] = "welcome/page.html"

    steps: tuple[StepView, ...]
    done: bool
    next: NextCard
    host: HostEntry | None
    hosts: int
    ours: OurKey
    form: HostForm
    doctor: DoctorCard | None
    engine: SectionForm
    found: FoundCard
    choices: tuple[Candidate, ...]
    swap: View
    served: str
    variable: str


def steps(facts: Facts, told: Mapping[Step, str], wanted: Step | None) -> tuple[StepView, ...]:
    return tuple(
        StepView(step.value, number, TITLES[step], state, told.get(step, ""))
        for number, (step, state) in enumerate(way(facts, wanted), start=1)
    )


def next_card(at: Step, facts: Facts, *, looking: bool) -> NextCard:
    now = next_step(facts)
    title = "What now" if now is Step.DONE else TITLES[now]
    waiting = {
        Step.DOCTOR: "" if facts.reached else "It does not answer yet.",
        Step.ENGINE: "No model has been found on the hosts yet.",
    }.get(now, "")
    if now is Step.DOCTOR and looking:
        waiting = "It is being looked at."
    return NextCard(at.value, title, ORDER_ALL.index(now) > ORDER_ALL.index(at), waiting)


def told(facts: Facts, host: HostEntry | None, served: str) -> dict[Step, str]:
    """What is settled, in one line each."""
    if host is None:
        return {}
    return {
        Step.KEY: f"{host.user} on {host.name} accepts our key.",
        Step.HOST: f"{host.name}: {host.user} at {host.place}.",
        Step.HOST_KEY: host.key.pinned,
        Step.DOCTOR: f"{host.name} answers, and has what an engine needs.",
        Step.ENGINE: f"{facts.found} models lie there, {facts.startable} can be started.",
        Step.MODEL: f"{served} is being served.",
    }


def found_model(ref: str, hosts: Sequence[str], model_id: str) -> FoundModel:
    address = (
        f"/models/{quote(model_id, safe='')}"
        if model_id
        else f"/models/new?{urlencode({'ref': ref})}"
    )
    return FoundModel(ref, ", ".join(dict.fromkeys(hosts)), model_id, address)


def fit(status: HostStatus | None, examination: Examination | None) -> bool:
    """Whether nothing that an engine needs is known to be missing. The doctor's word counts; before
    it has looked (or after a restart) what the samples tell."""
    if status is None or status.verdict.health is not Health.UP:
        return False
    if examination is not None:
        bad = {Severity.ERROR, Severity.UNKNOWN}
        wrong = [one for one in examination.findings if one.code in _NEEDED and one.severity in bad]
        return not examination.running and not wrong
    return status.last is not None and not status.last.docker_problem


def furthest(names: Sequence[str], reached: Sequence[str]) -> str:
    """The host that the first run is about: the first one that answers, else the first one."""
    return next((name for name in names if name in reached), names[0] if names else "")
