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
