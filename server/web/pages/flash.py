"""What a page says of the form that was sent last. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from server.base.errors import SparkError

SAID: Mapping[str, str] = MappingProxyType(
    {
        "saved": "Saved.",
        "added": "Added.",
        "removed": "Removed.",
        "accepted": "The key is accepted.",
        "revoked": "Revoked.",
        "restarted": "Restarted.",
        "restored": "Restored.",
    }
)
"""What `?said=` of an address may make a page say: a form that leads to another page names one of
these, since nothing else outlives the redirect. Words of an address are never shown."""


@dataclass(frozen=True, slots=True)
class Flash:
    """What became of a form. Empty when none was sent. `back` is where "Dismiss" leads without
    JavaScript: the page one is on, unless that page is itself the answer to a form."""

    template: ClassVar[str] = "flash.html"

    level: str = ""
    message: str = ""
    advice: str = ""
    back: str = ""


QUIET = Flash()


def refusal(error: SparkError) -> Flash:
    """The HTML form of an error: the same words as its JSON."""
    return Flash("error", error.message, error.advice or "")


def said(code: str) -> Flash:
    """The flash of a page that was led to by `?said=…`; an unknown code says nothing."""
    return Flash("info", SAID[code]) if code in SAID else QUIET
