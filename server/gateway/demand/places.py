"""Where wanted models would go and who would go for them, as the swap service plans it.

Owns the answers of the last seconds: a plan may ask the hosts for their free memory, and a look is
taken many times a second. Refuses to plan.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from server.base.errors import Conflict, SparkError
from server.gateway.demand.model import Facts
from server.swap.events import Placement

GOOD_FOR_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class _Answer:
    """`evicts` None with an `error`: it could not be planned; without: pinned models bar it."""

    layout: frozenset[str]
    until: float
    evicts: frozenset[str] | None = None
    overlap: bool = False
    error: SparkError | None = None


class Places:
    """One per app. An answer is good for a few seconds and the layout that it was made for."""

    def __init__(self, place: Callable[[str], Awaitable[Placement]]) -> None:
        self._place = place
        self._answers: dict[str, _Answer] = {}

    async def fill(self, facts: Facts, models: Sequence[str], now: float) -> Facts:
        """The facts with what is known of these models' places; what cannot be planned at all is
        blocked with the reason."""
        layout = frozenset(one.model for one in facts.layout)
        answers = {model: await self._answer(model, layout, now) for model in models}
        self._answers = answers
        errors = {model: one.error for model, one in answers.items() if one.error is not None}
        return replace(
            facts,
            evicts={model: one.evicts for model, one in answers.items() if one.error is None},
            overlap=frozenset(model for model, one in answers.items() if one.overlap),
            blocked={**facts.blocked, **errors},
        )

    async def _answer(self, model: str, layout: frozenset[str], now: float) -> _Answer:
        known = self._answers.get(model)
        if known is not None and known.layout == layout and now < known.until:
            return known
        until = now + GOOD_FOR_SECONDS
        try:
            placement = await self._place(model)
        except Conflict:
            return _Answer(layout, until)
        except SparkError as error:
            return _Answer(layout, until, error=error)
        gone = frozenset(each.spec.model for each in placement.evicted)
        return _Answer(layout, until, gone, placement.mode == "overlap")
