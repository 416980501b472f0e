"""Whose window is heard next. Pure.

Theory. Engines take a few windows at once, streams are many. Whose oldest sound has been late for
longest goes first (sound is late a step after it came, or when its utterance ended), and a stream
has one window at most in flight, so what all streams are behind is kept as even as it can be
(earliest deadline first: the largest lateness is the least possible, Jackson 1955). A stream that
sent much at once counts from when it sent it, so nobody comes first by sending faster.
"""

import heapq
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Those who wait for a place in one pool, each at most once."""

    __slots__ = ("_count", "_heap", "_since")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._since: dict[T, tuple[float, int]] = {}
        self._count = count()

    def __len__(self) -> int:
        return len(self._since)

    def add(self, who: T, since: float) -> None:
        """Once more: with the new time."""
        number = next(self._count)
        self._since[who] = since, number
        heapq.heappush(self._heap, (since, number, who))

    def remove(self, who: T) -> None:
        """Nothing where it does not wait."""
        self._since.pop(who, None)
        if len(self._heap) > 64 and len(self._heap) > 2 * len(self._since):
            self._heap = [one for one in self._heap if self._stands(one)]
            heapq.heapify(self._heap)

    def next(self) -> T | None:
        """The one that goes; it waits no more."""
        while self._heap:
            item = heapq.heappop(self._heap)
            if self._stands(item):
                del self._since[item[2]]
                return item[2]
        return None

    def standing(self) -> list[T]:
        """All, first come first."""
        return [who for who, _ in sorted(self._since.items(), key=lambda item: item[1])]

    def _stands(self, item: tuple[float, int, T]) -> bool:
        return self._since.get(item[2]) == item[:2]
