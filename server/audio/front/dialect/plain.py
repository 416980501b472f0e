"""Values out of an answer that may be anything. Pure: what is not what it should be is None.

Owns what counts as a time, a text, a number. An answer of a service is not to be trusted with more
than that: numbers that are none, times before the beginning, texts without end.
"""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

LATEST = 7 * 86400.0
"""Seconds: no recording is longer."""
LETTERS = 200_000

Object = Mapping[str, Any]


def number(value: Any) -> float | None:
    """A finite number, also one written as text (`"1.5"`, `"1.5s"`)."""
    if isinstance(value, str):
        try:
            value = float(value.strip().removesuffix("s"))
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value)


def moment(value: Any) -> float | None:
    found = number(value)
    return None if found is None or not 0 <= found <= LATEST else found


def share(value: Any) -> float | None:
    """0 to 1."""
    found = number(value)
    return None if found is None or not 0 <= found <= 1 else found


def text(value: Any) -> str | None:
    return value[:LETTERS] if isinstance(value, str) else None


def first(of: Object, names: Iterable[str]) -> Any:
    """The first of these that is there and not null."""
    for name in names:
        value = of.get(name)
        if value is not None:
            return value
    return None


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def objects(value: Any) -> list[Object]:
    return [one for one in listed(value) if isinstance(one, Mapping)]
