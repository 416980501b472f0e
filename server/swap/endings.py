"""Ends of a swap that its own machine does not come to: dropped, given up, buried. Pure."""

from datetime import datetime

from server.swap.events import Broke, CancelAsked, Event
from server.swap.model import State, SwapError, SwapRecord
from server.swap.node import STAGE_OF, UNTOUCHED, Node


def dropped(waiting: SwapRecord, by: str, now: datetime) -> SwapRecord:
    """A swap that was cancelled before its turn came."""
    return waiting.with_(
        node=Node.CANCELLED.value,
        state=State.CANCELLED,
        stage=STAGE_OF[Node.CANCELLED],
        cancelled_by=by,
        finished_at=now,
    )


def given_up(record: SwapRecord, reason: str, by: str) -> Event:
    """A cancel while a host stays silent: before anything was touched it simply ends; after that
    the truth is that nobody knows, and the sweep settles it when the host is back."""
    if Node(record.node) in UNTOUCHED:
        return CancelAsked(by)
    return Broke(
        SwapError(
            "host_unreachable",
            f"Cancelled while {reason}.",
            cause="A host of this swap does not answer, so its engine cannot be looked at.",
            advice="Bring the host back; what is left there is adopted or stopped then.",
        )
    )


def buried(record: SwapRecord, now: datetime) -> SwapRecord:
    """A swap that a mistake of ours ended."""
    return record.with_(
        node=Node.FAILED.value,
        state=State.FAILED,
        stage=STAGE_OF[Node.FAILED],
        finished_at=now,
        error=SwapError("internal", "Spark Control made a mistake; see its log for this swap."),
    )
