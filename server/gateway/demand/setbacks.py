"""Models that could not be loaded a moment ago, and why.

Owns the cool-off: who asks meanwhile gets the cause at once instead of a wait that ends the same
way. It doubles from failure to failure. Refuses to know the time: moments are arguments.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from server.base.errors import SparkError, Unavailable
from server.swap.model import State, SwapRecord

FIRST_SECONDS = 60.0
LONGEST_SECONDS = 900.0


@dataclass(slots=True)
class _Setback:
    error: SparkError
    times: int
    until: float


class Setbacks:
    """One per app. A failure is forgotten `LONGEST_SECONDS` after its pause."""

    def __init__(self) -> None:
        self._known: dict[str, _Setback] = {}

    def failed(self, model: str, error: SparkError, now: float) -> None:
        known = self._known.get(model)
        recent = known is not None and now - known.until < LONGEST_SECONDS
        times = known.times + 1 if known is not None and recent else 1
        pause = min(FIRST_SECONDS * 2 ** (times - 1), LONGEST_SECONDS)
        self._known[model] = _Setback(error, times, now + pause)

    def loaded(self, model: str, now: float) -> None:
        """It may be asked for again. Should it fail soon, that counts as the next failure."""
        known = self._known.get(model)
        if known is not None:
            known.until = min(known.until, now)

    def why(self, model: str, now: float) -> SparkError | None:
        """The error for who asks now, None when it may be tried again."""
        known = self._known.get(model)
        return None if known is None or known.until <= now else _again(known, now)

    def all(self, now: float) -> Mapping[str, SparkError]:
        return {
            model: _again(known, now) for model, known in self._known.items() if known.until > now
        }


def _again(known: _Setback, now: float) -> SparkError:
    """A fresh error for each who gets it: they are raised in several tasks."""
    error = known.error
    return Unavailable(
        error.message,
        param="model",
        advice=error.advice,
        retry_after=max(1.0, known.until - now),
    )


def died(model: str) -> SparkError:
    return Unavailable(
        f"{model} was loaded, but its engine died and was not restarted.",
        param="model",
        advice="The notices on the dashboard tell why; `spark-control swap` loads it again.",
    )


def error_of(model: str, record: SwapRecord) -> SparkError:
    """What who waited for `model` is told of the swap that did not bring it."""
    told = record.error
    if told is None:
        by = f" by {record.cancelled_by}" if record.cancelled_by else ""
        what = "was cancelled" + by if record.state is State.CANCELLED else "did not load it"
        return Unavailable(f"{model} is not loaded: swap {record.id} {what}.", param="model")
    cause = f" {told.cause}" if told.cause and told.cause not in told.message else ""
    return Unavailable(
        f"{model} could not be loaded: {told.message}{cause}",
        param="model",
        advice=told.advice or f"GET /api/v1/swaps/{record.id} tells more.",
    )
