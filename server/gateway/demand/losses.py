"""Models that went without a swap: their engine died.

Owns the pause after a death in which the swap service decides what follows (a restart, the model
before, nothing), so that a request that waits neither comes before it nor is refused for it. Who
dies and is not restarted was a bad load. Refuses to know the time: moments are arguments.
"""

from collections.abc import Collection, Iterable

from server.swap.model import SwapRecord

PAUSE_SECONDS = 3.0


class Losses:
    """One per app."""

    def __init__(self) -> None:
        self._served: frozenset[str] = frozenset()
        self._lost: dict[str, float] = {}

    def look(self, served: frozenset[str], swaps: Iterable[SwapRecord], now: float) -> None:
        """`swaps`: those under way at this look or at the last one, as they are now."""
        gone = self._served - served
        for swap in swaps:
            gone -= frozenset([*swap.evicted_models, swap.model, swap.unloads])
            if swap.model is None and swap.unloads is None:
                gone = frozenset()
        self._lost |= dict.fromkeys(gone, now)
        self._served = served

    def open(self) -> frozenset[str]:
        """Lost a moment ago: what follows is not decided yet."""
        return frozenset(self._lost)

    def settle(self, coming: Collection[str | None], now: float) -> list[str]:
        """The models that stay lost. `coming`: served again, or a swap to them is under way."""
        self._lost = {model: at for model, at in self._lost.items() if model not in coming}
        final = [model for model, at in self._lost.items() if now - at >= PAUSE_SECONDS]
        for model in final:
            del self._lost[model]
        return final
