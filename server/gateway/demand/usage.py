"""When each model was last used, and which one `ttl` sent away.

Owns two memories of the demand. Refuses to know the time: moments are arguments.
"""

from collections.abc import Mapping


class Usage:
    """One per app. What nobody saw being used counts as used when the app started, so that a
    restart unloads nothing early."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._used: dict[str, float] = {}
        self._served: frozenset[str] = frozenset()
        self._parted: str | None = None

    def used(self, model: str, now: float) -> None:
        self._used[model] = now

    def idle(self, model: str, now: float) -> float:
        return max(0.0, now - self._used.get(model, self._started))

    def part(self, model: str) -> None:
        """`ttl` unloads it."""
        self._parted = model

    def look(self, served: frozenset[str], in_flight: Mapping[str, int], now: float) -> None:
        """What is in use now; a model that came is no longer parted from."""
        for model in in_flight.keys() & (served | self._served):
            # Only those: a service may be asked under any name, and names must not pile up.
            self._used[model] = now
        if served - self._served:
            self._parted = None
        self._served = served

    def parted(self, now: float) -> tuple[str, float] | None:
        """The model that went for its `ttl`, and how long ago it was last used."""
        if self._parted is None or self._parted in self._served:
            return None
        return self._parted, self.idle(self._parted, now)
