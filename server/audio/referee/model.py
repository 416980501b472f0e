"""The words of the referee. Pure.

Owns the values that pass between the modules of this room, and what the caller is shown of them.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from server.audio.model import How, Said


class Message(NamedTuple):
    role: Literal["system", "user"]
    content: str


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked. `schema` is the JSON schema of its answer, `name` the schema's name;
    `answer_tokens` is the longest answer that makes sense."""

    number: int
    name: str
    messages: tuple[Message, ...]
    schema: Mapping[str, Any]
    answer_tokens: int


Ask = Callable[[Question], Awaitable[str]]
"""The model's answer as it wrote it. Raises a `SparkError` when there is none."""


@dataclass(frozen=True, slots=True)
class Unasked:
    """Nobody is asked, and why."""

    reason: str


class Run(NamedTuple):
    """Neighbouring words in doubt of one speaker: `said[begin:end]`. `candidates` are the speakers
    of its own channel that are heard nearby."""

    begin: int
    end: int
    speaker: str | None
    candidates: tuple[str, ...]


class Change(NamedTuple):
    """`said[begin:end]` went from `before` to `after`; `was` is what `before` was decided by."""

    begin: int
    end: int
    text: str
    start: float
    until: float
    before: str | None
    after: str
    was: How

    def to_dict(self, *, text: bool) -> dict[str, Any]:
        """Without `text` where the transcript is scrubbed."""
        shape: dict[str, Any] = {
            "start": round(self.start, 3),
            "end": round(self.until, 3),
            "words": self.end - self.begin,
            "before": self.before,
            "after": self.after,
            "was": self.was,
        }
        if text:
            shape["text"] = self.text
        return shape


Source = Literal["says_own_name", "is_addressed", "is_mentioned"]
"""What a quote is: who speaks names itself; somebody else speaks to it, just before or after it
speaks; any other mention."""
CONFIDENCE: Mapping[Source, float] = {
    "says_own_name": 0.9,
    "is_addressed": 0.6,
    "is_mentioned": 0.3,
}


class SuggestedName(NamedTuple):
    """`speaker` could be called `name`: `quote` is found word by word in segment number `segment`,
    which begins at `start`. Nothing is renamed by it."""

    speaker: str
    name: str
    source: Source
    segment: int
    start: float
    quote: str

    def to_dict(self) -> dict[str, Any]:
        """The confidence is that of the kind of evidence. What a model says of its own confidence
        is not asked for."""
        return {
            "speaker": self.speaker,
            "name": self.name,
            "source": self.source,
            "confidence": CONFIDENCE[self.source],
            "evidence": {
                "segment": self.segment,
                "start": round(self.start, 3),
                "quote": self.quote,
            },
        }


@dataclass(frozen=True, slots=True)
class Report:
    """`doubts` are runs of words in doubt, `left` those that no question was spent on. `failed`
    questions had no answer, or one that was thrown away; `reason` is why the first of them did, or
    why nothing was asked. `contradicted` are runs for which the model, asked again, named somebody
    else."""

    doubts: int = 0
    left: int = 0
    asked: int = 0
    answered: int = 0
    failed: int = 0
    changed: int = 0
    contradicted: int = 0
    reason: str | None = None
    model: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "doubts": self.doubts,
            "left": self.left,
            "asked": self.asked,
            "answered": self.answered,
            "changed": self.changed,
            "contradicted": self.contradicted,
            "failed": self.failed,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Refereed:
    """`said` are the same words at the same times, in the same order, as were given."""

    said: tuple[Said, ...]
    changes: tuple[Change, ...] = ()
    names: tuple[SuggestedName, ...] = ()
    report: Report = field(default_factory=Report)

    def to_dict(self, *, text: bool = True) -> dict[str, Any]:
        """What an answer says of it. Without `text` no word of the recording is in it."""
        return {
            "referee": self.report.to_dict(),
            "refereed": [change.to_dict(text=text) for change in self.changes],
            "suggested_names": [name.to_dict() for name in self.names] if text else [],
        }
