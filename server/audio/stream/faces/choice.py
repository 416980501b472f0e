"""What a client may choose, from any JSON: checked value by value, or a 422 that names it. Pure.

A number that is none, NaN, a list where a text belongs: nothing of the kind gets further. A field
that is not known is passed over, as a newer client may send it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from server.audio.stream.inlet import ENCODINGS, LEAST, MOST, TELEPHONE, Encoding
from server.audio.stream.model import RATE, Setup
from server.audio.stream.vocabulary import LETTERS, TERMS
from server.base.errors import InvalidValue

T = TypeVar("T")
_PROMPT = 2000
_NAME = 200
_LANGUAGE = 35
_LENIENT = (0.3, 0.5, 0.7)
"""Thresholds up to which the detector of voices has the strictness 0, 1 and 2."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Of one stream."""

    setup: Setup = field(default_factory=Setup)
    encoding: Encoding = "pcm16"
    rate: int = RATE


def number(given: Mapping[str, Any], name: str, low: float, high: float) -> float | None:
    """None when it is not there or null."""
    value = given.get(name)
    if value is None:
        return None
    if type(value) not in {int, float} or not math.isfinite(value) or not low <= value <= high:
        raise InvalidValue(f"{name} is a number from {low:g} to {high:g}.", param=name)
    return float(value)


def text(given: Mapping[str, Any], name: str, most: int) -> str | None:
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > most or not _readable(value):
        raise InvalidValue(f"{name} is a text of at most {most} characters.", param=name)
    return value.strip() or None


def group(given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Empty when it is not there or null."""
    value = given.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidValue(f"{name} is an object.", param=name)
    return value


def terms(given: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    value = given.get(name)
    if value is None:
        return None
    good = isinstance(value, list) and len(value) <= TERMS
    if not good or not all(isinstance(one, str) and one.isprintable() for one in value):
        raise InvalidValue(f"{name} is a list of at most {TERMS} texts.", param=name)
    found = tuple(dict.fromkeys(stripped for one in value if (stripped := one.strip())))
    if any(len(one) > LETTERS for one in found):
        raise InvalidValue(f"A text of {name} has more than {LETTERS} characters.", param=name)
    return found


def strictness(threshold: float) -> int:
    """Of OpenAI's threshold from 0 to 1."""
    return sum(1 for bound in _LENIENT if threshold > bound)


def heard_as(setup: Setup, given: Mapping[str, Any], vocabulary: str) -> Setup:
    """The fields about the recogniser; what is not there stays."""
    words = terms(given, vocabulary)
    return replace(
        setup,
        model=_or(text(given, "model", _NAME), setup.model),
        language=_or(text(given, "language", _LANGUAGE), setup.language),
        prompt=_or(text(given, "prompt", _PROMPT), setup.prompt),
        vocabulary=setup.vocabulary if words is None else words,
    )


def ended_by(setup: Setup, given: Mapping[str, Any]) -> Setup:
    """The fields about the ends of utterances, as OpenAI calls them."""
    pause = number(given, "silence_duration_ms", 100, 10_000)
    before = number(given, "prefix_padding_ms", 0, 3000)
    threshold = number(given, "threshold", 0, 1)
    return replace(
        setup,
        manual=False,
        pause=setup.pause if pause is None else pause / 1000,
        before=setup.before if before is None else before / 1000,
        strictness=setup.strictness if threshold is None else strictness(threshold),
    )


def formatted(choice: Choice, encoding: Any, rate: Any) -> Choice:
    """Raises for what is no format; None stays as it is."""
    if encoding is None and rate is None:
        return choice
    if encoding is not None and encoding not in ENCODINGS:
        raise InvalidValue(f"The encoding is one of {', '.join(ENCODINGS)}.", param="encoding")
    asked = number({"sample_rate": rate}, "sample_rate", LEAST, MOST)
    if asked is not None and asked != int(asked):
        raise InvalidValue("sample_rate is a whole number.", param="sample_rate")
    if asked is None:
        asked = choice.rate
        if encoding is not None and encoding != choice.encoding:
            asked = RATE if encoding == "pcm16" else TELEPHONE
    return replace(
        choice,
        encoding=choice.encoding if encoding is None else cast("Encoding", encoding),
        rate=int(asked),
    )


def _readable(value: str) -> bool:
    return value.replace("\n", " ").isprintable()


def _or(value: T | None, otherwise: T) -> T:
    return otherwise if value is None else value
