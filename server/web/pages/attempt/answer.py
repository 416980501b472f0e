"""What the gateway answered, as a page without JavaScript shows it. Pure.

Owns reading answers that come from an engine: whatever is in them, what comes out is text and
numbers, or a sentence that says what is wrong with the answer.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from server.base.errors import SparkError
from server.web.pages.attempt.inside import Heard

MOST_VOICES = 1000
MOST_SEGMENTS = 20_000
COLOURS = 8
"""How many voices have a colour of their own on a page; then they begin again."""
Shown = TypeVar("Shown")


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, in words; `request_id` leads to it in the log."""

    message: str
    advice: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer of a model. Token counts are None when it did not tell them."""

    text: str
    thoughts: str = ""
    prompt_tokens: int | None = None
    tokens: int | None = None
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    start: float
    end: float
    text: str
    speaker: str = ""


@dataclass(frozen=True, slots=True)
class Transcript:
    """`segments` where the service tells them; `raw` is the answer as it came."""

    text: str
    raw: str
    segments: tuple[Segment, ...] = ()

    @property
    def colours(self) -> dict[str, int]:
        """The number of each speaker's colour, from 1, in the order in which they first speak."""
        names = dict.fromkeys(one.speaker for one in self.segments if one.speaker)
        return {name: number % COLOURS + 1 for number, name in enumerate(names)}


@dataclass(frozen=True, slots=True)
class Likeness:
    """`cosine` None when one of the vectors is zero. `size` is how many numbers each has."""

    cosine: float | None
    size: int
    model: str = ""


Reader = Callable[[Heard], Shown | Failure]


def failure(error: SparkError, request_id: str = "") -> Failure:
    return Failure(error.message, error.advice or "", request_id)


def refused(heard: Heard) -> Failure | None:
    """None for an answer that is one."""
    if heard.status < 400:
        return None
    error = _object(_object(heard.body).get("error"))
    message = error.get("message")
    if not isinstance(message, str):
        return Failure(f"The gateway answered with status {heard.status}.")
    return Failure(message, _text(error.get("advice")), _text(error.get("request_id")))


def said(heard: Heard) -> Said | Failure:
    body = _object(heard.body)
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        return _odd("an answer to a chat")
    choice = _object(choices[0])
    message, usage = _object(choice.get("message")), _object(body.get("usage"))
    return Said(
        text=_text(message.get("content")),
        thoughts=_text(message.get("reasoning_content")) or _text(message.get("reasoning")),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        tokens=_count(usage.get("completion_tokens")),
        cut=choice.get("finish_reason") == "length",
    )


def transcript(heard: Heard) -> Transcript | Failure:
    """Any of the formats: those that are not JSON are text as they are."""
    raw = heard.body.decode("utf-8", "replace")
    if heard.media != "application/json":
        return Transcript(raw, raw)
    body = _object(heard.body)
    rows = body.get("segments")
    segments = [_segment(one) for one in rows[:MOST_SEGMENTS]] if isinstance(rows, list) else []
    if "text" not in body and not segments:
        return _odd("a transcript")
    text = _text(body.get("text")) or " ".join(one.text for one in segments).strip()
    return Transcript(text, raw, tuple(segments))


def likeness(heard: Heard) -> Likeness | Failure:
    body = _object(heard.body)
    rows = body.get("data")
    vectors = (
        [_vector(_object(one).get("embedding")) for one in rows] if isinstance(rows, list) else []
    )
    if len(vectors) != 2 or not vectors[0] or len(vectors[0]) != len(vectors[1]):
        return _odd("two vectors of one size")
    return Likeness(cosine(*vectors), len(vectors[0]), _text(body.get("model")))


def cosine(first: Sequence[float], second: Sequence[float]) -> float | None:
    """1 for vectors of one direction, 0 for right angles; None when one has no direction."""
    length = math.hypot(*first) * math.hypot(*second)
    if not length or not math.isfinite(length):
        return None
    return max(
        -1.0, min(1.0, math.fsum(a * b for a, b in zip(first, second, strict=True)) / length)
    )


def voices(heard: Heard) -> tuple[str, ...] | Failure:
    """Names, whichever way the service lists them."""
    body = _parsed(heard.body)
    rows = body.get("voices", body.get("data")) if isinstance(body, dict) else body
    if not isinstance(rows, list):
        return _odd("a list of voices")
    names = (_voice(one) for one in rows[:MOST_VOICES])
    return tuple(dict.fromkeys(name for name in names if name and len(name) <= 200))


def _voice(row: object) -> str:
    if isinstance(row, str):
        return row
    found = _object(row)
    return next((v for k in ("id", "voice_id", "name") if isinstance(v := found.get(k), str)), "")


def _segment(row: object) -> Segment:
    found = _object(row)
    start = _seconds(found.get("start"))
    speaker = found.get("speaker")
    return Segment(
        start,
        max(start, _seconds(found.get("end"))),
        _text(found.get("text")).strip(),
        "" if speaker is None else str(speaker)[:100],
    )


def _seconds(value: object) -> float:
    good = isinstance(value, int | float) and math.isfinite(value) and value >= 0
    return float(value) if good and isinstance(value, int | float) else 0.0


def _vector(value: object) -> list[float]:
    if not isinstance(value, list) or not all(isinstance(one, int | float) for one in value):
        return []
    return [float(one) for one in value]


def _parsed(value: object) -> Any:
    try:
        return orjson.loads(value) if isinstance(value, bytes) else value
    except orjson.JSONDecodeError:
        return None


def _object(value: object) -> Mapping[str, Any]:
    """Empty for anything else than an object."""
    found = _parsed(value)
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _odd(what: str) -> Failure:
    return Failure(
        f"What came back is not {what}.",
        "Whatever answers at this address may be another kind of service: look at its log.",
    )
