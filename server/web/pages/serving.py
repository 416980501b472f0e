"""What is served now, and the swap under way: the words of it that every page shows. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import ClassVar, Literal

from server.gateway.activity import Recent
from server.gateway.model import Passage
from server.swap.model import Serving, State, SwapRecord
from server.web.pages.moment import Moment, moment

Tone = Literal["good", "busy", "bad", "warn", "idle"]
MINUTE = 60.0

WORDS: Mapping[State, tuple[str, Tone]] = MappingProxyType(
    {
        State.QUEUED: ("Waiting", "idle"),
        State.PREFLIGHT: ("Checking", "busy"),
        State.DRAINING: ("Draining", "busy"),
        State.STOPPING: ("Stopping", "busy"),
        State.STARTING: ("Starting", "busy"),
        State.LOADING: ("Loading", "busy"),
        State.WARMING: ("Warming up", "busy"),
        State.ROLLING_BACK: ("Rolling back", "warn"),
        State.SERVING: ("Serving", "good"),
        State.UNLOADED: ("Unloaded", "idle"),
        State.ROLLED_BACK: ("Rolled back", "warn"),
        State.FAILED: ("Failed", "bad"),
        State.CANCELLED: ("Cancelled", "idle"),
    }
)


@dataclass(frozen=True, slots=True)
class Served:
    """One model of the layout."""

    model: str
    name: str
    hosts: str
    since: Moment | None
    health: str
    reason: str
    accepting: bool
    context: int | None


@dataclass(frozen=True, slots=True)
class ServingNow:
    """In the header of every page. `next` is the swap under way in words, so that its progress is
    in sight wherever one is; `swap` and `percent` are its id and how far it is."""

    template: ClassVar[str] = "serving.html"

    models: tuple[Served, ...]
    next: str
    swap: str = ""
    percent: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """What a model is doing: requests it answers, requests that wait for it, and tokens that came
    out of it per second over the last minute; None where none came."""

    running: int
    waiting: int
    tokens: float | None


@dataclass(frozen=True, slots=True)
class ServedList:
    """What is served where. While a swap is under way (`busy`) nothing is unloaded beside it."""

    template: ClassVar[str] = "served.html"

    models: tuple[tuple[Served, Load], ...]
    busy: bool


def target(record: SwapRecord) -> str:
    if record.unloads is not None:
        return f"unload {record.unloads}"
    return record.model or "nothing (unload)"


def serving_now(
    layout: Sequence[Serving], current: SwapRecord | None, names: Mapping[str, str], now: datetime
) -> ServingNow:
    models = tuple(_served(serving, names, now) for serving in layout)
    if current is None or current.state.final:
        return ServingNow(models, "")
    percent = int(current.percent)
    words = f"{WORDS[current.state][0]}: {target(current)}, {percent} %"
    return ServingNow(models, words, current.id, percent)


def served_list(serving: ServingNow, recent: Recent) -> ServedList:
    mine: dict[str, list[Passage]] = {served.model: [] for served in serving.models}
    for passage in recent.passages:
        if passage.model in mine:
            mine[passage.model].append(passage)
    return ServedList(
        tuple((one, load(mine[one.model], recent.since, recent.now)) for one in serving.models),
        bool(serving.next),
    )


def load(passages: Iterable[Passage], since: float, now: float) -> Load:
    """Tokens are counted at the end of an answer, and lie evenly between its first token and its
    end: what of that lies after `since` counts."""
    running = waiting = 0
    tokens: float | None = None
    for one in passages:
        if one.ended is None:
            running += one.admitted is not None
            waiting += one.admitted is None
            continue
        made, began = one.used.completion_tokens, one.first_token or one.first_byte
        if not made or began is None or one.ended <= since:
            continue
        whole = one.ended - began
        inside = min(1.0, (one.ended - since) / whole) if whole > 0 else 1.0
        tokens = (tokens or 0.0) + made * inside
    return Load(running, waiting, None if tokens is None else round(tokens / (now - since), 1))


def _served(serving: Serving, names: Mapping[str, str], now: datetime) -> Served:
    return Served(
        model=serving.model,
        name=names.get(serving.model, serving.model),
        hosts=", ".join(node.host for node in serving.deployment.spec.nodes),
        since=moment(serving.since, now),
        health=serving.health.health.value,
        reason=serving.health.reason,
        accepting=serving.accepting,
        context=serving.max_model_len,
    )
