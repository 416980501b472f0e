"""The swap card and the last swaps. Pure.

The card draws every state of a swap: none yet, waiting, running with its bar, and each of the five
ends, with cause, advice and log where it failed, and always what is served now.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar

from server.base.units import duration
from server.swap.model import Serving, State, StepRecord, SwapError, SwapRecord
from server.swap.node import RELIEF
from server.web.pages.moment import Moment, moment
from server.web.pages.serving import WORDS, Tone, target
from server.web.pages.swaps.story import stops

TROUBLED = frozenset({"error", "warning", "unknown"})


@dataclass(frozen=True, slots=True)
class Step:
    """`part` is True for what happens within the step before it."""

    name: str
    part: bool
    host: str
    state: str
    took: str
    began: str


@dataclass(frozen=True, slots=True)
class Finding:
    severity: str
    message: str
    advice: str
    host: str


@dataclass(frozen=True, slots=True)
class Queued:
    id: str
    model: str
    asked_by: str


@dataclass(frozen=True, slots=True)
class Running:
    """One swap as the card shows it. `percent` is a whole number, so that a bar that has not
    visibly moved is not drawn anew; `spoken` is coarser, for what is said aloud. `asked` is None
    for an unload."""

    id: str
    asked: str | None
    previous: str | None
    state: str
    label: str
    tone: Tone
    stage: str
    percent: int
    spoken: int
    eta: str
    ended: bool
    cancelling: bool
    cancellable: bool
    asked_by: str
    cancelled_by: str
    began: Moment | None
    finished: Moment | None
    took: str
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]
    error: SwapError | None
    retry: bool
    force: bool


@dataclass(frozen=True, slots=True)
class SwapCard:
    """`swap` None: there has not been one. `again` is what trying it again would stop."""

    template: ClassVar[str] = "swap/card.html"

    swap: Running | None
    queue: tuple[Queued, ...]
    serving: str | None
    again: str = ""


@dataclass(frozen=True, slots=True)
class PastSwap:
    """`again` is the model that can be asked for once more; empty when none can."""

    id: str
    model: str
    again: str
    previous: str | None
    label: str
    tone: Tone
    asked_by: str
    finished: Moment | None
    took: str
    message: str


@dataclass(frozen=True, slots=True)
class History:
    template: ClassVar[str] = "swap/history.html"

    swaps: tuple[PastSwap, ...]


def swap_card(
    current: SwapRecord | None,
    queue: Sequence[SwapRecord],
    last: SwapRecord | None,
    layout: Sequence[Serving],
    now: datetime,
    *,
    most: int = 1,
) -> SwapCard:
    """The running swap, else the next one waiting, else the last one that ended."""
    shown = current or (queue[0] if queue else last)
    swap = None if shown is None else running(shown, now)
    return SwapCard(
        swap,
        tuple(
            Queued(one.id, target(one), one.requested_by)
            for one in queue
            if shown is None or one.id != shown.id
        ),
        ", ".join(serving.model for serving in layout) or None,
        stops(swap.asked, layout, most) if swap and swap.retry and swap.asked else "",
    )


def running(record: SwapRecord, now: datetime) -> Running:
    label, tone = WORDS[record.state]
    ended = record.state.final
    refused = any(one.get("severity") == "error" for one in record.findings)
    failed = ended and record.error is not None and record.model is not None
    return Running(
        id=record.id,
        asked=record.model,
        previous=record.previous_model,
        state=record.state.value,
        label=label,
        tone=tone,
        stage=record.stage,
        percent=int(record.percent),
        spoken=int(record.percent) // 25 * 25,
        eta="" if ended or record.eta_seconds is None else duration(record.eta_seconds),
        ended=ended,
        cancelling=not ended and record.cancelled_by is not None,
        cancellable=not ended
        and record.cancelled_by is None
        and record.state is not State.ROLLING_BACK
        and record.node not in RELIEF,
        asked_by=record.requested_by,
        cancelled_by=record.cancelled_by or "",
        began=moment(record.started_at or record.created_at, now),
        finished=moment(record.finished_at, now),
        took=_took(record),
        steps=tuple(_step(step, now) for step in record.steps),
        findings=tuple(finding(one) for one in record.findings if _troubled(one)),
        error=record.error,
        retry=failed,
        force=failed and refused and not record.force,
    )


def _took(record: SwapRecord) -> str:
    if record.finished_at is None:
        return ""
    return duration((record.finished_at - (record.started_at or record.created_at)).total_seconds())


STEP_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "rb_stopping": "removing the new engine",
        "rb_starting": "starting the previous model again",
        "rb_loading": "loading the previous model",
        "rb_warming": "asking the previous model",
        "rb_cleaning": "clearing up",
        "relieving": "letting the old one finish",
        "retiring": "stopping the old one",
    }
)


def _step(step: StepRecord, now: datetime) -> Step:
    seconds = step.seconds
    if seconds is None and step.state == "running":
        seconds = max(0.0, (now - step.began_at).total_seconds())
    whole, colon, part = step.name.partition(":")
    return Step(
        (part.strip() if colon else STEP_WORDS.get(whole, whole)).replace("_", " "),
        bool(colon),
        step.host or "",
        step.state,
        duration(seconds),
        step.began_at.isoformat(),
    )


def _troubled(finding: Mapping[str, Any]) -> bool:
    return finding.get("severity") in TROUBLED


def finding(found: Mapping[str, Any]) -> Finding:
    return Finding(
        str(found.get("severity") or ""),
        str(found.get("message") or ""),
        str(found.get("advice") or ""),
        str(found.get("host") or ""),
    )


def history(records: Sequence[SwapRecord], now: datetime) -> History:
    """Only swaps that ended: the others are on the card."""
    return History(tuple(past_swap(one, (), now) for one in records if one.state.final))


def past_swap(record: SwapRecord, known: Collection[str], now: datetime) -> PastSwap:
    """`known` models can be asked for again."""
    return PastSwap(
        id=record.id,
        model=target(record),
        again=record.model if record.model in known and record.model else "",
        previous=record.previous_model,
        # What was served then may long be gone.
        label="Loaded" if record.state is State.SERVING else WORDS[record.state][0],
        tone=WORDS[record.state][1],
        asked_by=record.requested_by,
        finished=moment(record.finished_at, now),
        took=_took(record),
        message=record.error.message if record.error else "",
    )
