"""A line of people in an order that does not change while they stand in it. Pure.

Owns a sorted list of (rank, ticket). At 10,000 the two dozen comparisons of a bisection and one
`memmove` cost a few microseconds, and a list also tells everybody's position, which a heap cannot.
The first one leaves without a move: a mark is pushed on, and what lies before it is cut off now and
then.
"""

from bisect import bisect_left, insort

Item = tuple[float, int]
"""Rank (less goes first) and ticket, which makes it unique and breaks ties first come first."""

_CUT = 64


class Line:
    __slots__ = ("_begin", "_items")

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._begin = 0

    def __len__(self) -> int:
        return len(self._items) - self._begin

    def add(self, item: Item) -> None:
        items = self._items
        if not items or item > items[-1]:
            items.append(item)
        else:
            insort(items, item, self._begin)

    def remove(self, item: Item) -> None:
        """Raises KeyError when it does not stand there: a lost place is a bug, not a detail."""
        items, begin = self._items, self._begin
        at = bisect_left(items, item, begin)
        if at == len(items) or items[at] != item:
            raise KeyError(item)
        if at > begin or at + 1 == len(items):
            del items[at]
            return
        self._begin = begin = begin + 1
        if begin > _CUT and begin * 2 > len(items):
            del items[:begin]
            self._begin = 0

    def cut(self, tickets: set[int]) -> None:
        """Remove many at once."""
        self._items = [item for item in self._items[self._begin :] if item[1] not in tickets]
        self._begin = 0

    def first(self) -> Item | None:
        return self._items[self._begin] if len(self._items) > self._begin else None

    def last(self) -> Item:
        """Raises IndexError when nobody stands there."""
        return self._items[-1]

    def position(self, item: Item) -> int:
        """Counted from 1."""
        return bisect_left(self._items, item, self._begin) - self._begin + 1

    def some(self, begin: int, count: int) -> list[Item]:
        """Those from the position `begin` (from 0) on."""
        at = self._begin + begin
        return self._items[at : at + count]
