"""Short ids that sort by time and are safe in URLs, labels and shells: `[0-9a-z-]` only."""

import secrets
from collections.abc import Callable
from datetime import datetime

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"

IdSource = Callable[[str, datetime], str]


def _base36(number: int, width: int) -> str:
    digits = []
    while number:
        number, rest = divmod(number, 36)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits)).rjust(width, "0")


def new_id(prefix: str, now: datetime) -> str:
    """`prefix-` + nine characters of milliseconds + five random: `swap-0mc1x2y3z4k7q2`."""
    stamp = _base36(int(now.timestamp() * 1000), 9)
    return f"{prefix}-{stamp}{_base36(secrets.randbelow(36**5), 5)}"


class Stream:
    """Ids of one prefix for what comes thousands of times a second: the shape of `new_id`, counted
    on from a random start instead of asking the system for randomness each time."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._count = secrets.randbelow(36**5)
        self._pairs = [_base36(number, 2) for number in range(36**2)]
        self._millisecond = -1
        self._stamp = ""

    def next(self, now: datetime) -> str:
        millisecond = int(now.timestamp() * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            self._stamp = f"{self._prefix}-{_base36(millisecond, 9)}"
        self._count = count = (self._count + 1) % 36**5
        upper, lower = divmod(count, 36**2)
        top, upper = divmod(upper, 36**2)
        return f"{self._stamp}{_ALPHABET[top]}{self._pairs[upper]}{self._pairs[lower]}"
