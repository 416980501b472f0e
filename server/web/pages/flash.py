"""What a page says of the form that was sent last. Pure."""

from dataclasses import dataclass
from typing import ClassVar

from server.base.errors import SparkError


@dataclass(frozen=True, slots=True)
class Flash:
    """What became of a form. Empty when none was sent."""

    template: ClassVar[str] = "flash.html"

    level: str = ""
    message: str = ""
    advice: str = ""


def refusal(error: SparkError) -> Flash:
    """The HTML form of an error: the same words as its JSON."""
    return Flash("error", error.message, error.advice or "")
