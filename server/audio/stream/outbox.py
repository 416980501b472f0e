"""What is still to be sent on one connection, in order. Pure.

Owns that a client which reads slowly gets less and never lies: of the states of one utterance only
the newest waits, in the place of the first, while finals all wait. Refuses to grow without bound:
`full` says when its client reads too slowly to be kept.
"""

from collections import OrderedDict
from collections.abc import Hashable
from itertools import count

MOST = 1 << 20
"""Characters that may wait."""


class Outbox:
    __slots__ = ("_count", "_size", "_texts")

    def __init__(self) -> None:
        self._texts: OrderedDict[Hashable, str] = OrderedDict()
        self._count = count()
        self._size = 0

    def __len__(self) -> int:
        return len(self._texts)

    @property
    def full(self) -> bool:
        return self._size > MOST

    def put(self, text: str, state_of: int | None = None) -> None:
        """`state_of`: the number of what this is the newest state of."""
        key: Hashable = ("one", next(self._count)) if state_of is None else ("of", state_of)
        self._size += len(text) - len(self._texts.get(key, ""))
        self._texts[key] = text

    def over(self, state_of: int) -> None:
        """Its end follows: a state of it that waits is old."""
        self._size -= len(self._texts.pop(("of", state_of), ""))

    def take(self) -> str | None:
        if not self._texts:
            return None
        _, text = self._texts.popitem(last=False)
        self._size -= len(text)
        return text
