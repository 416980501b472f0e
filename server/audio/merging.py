"""`POST /v1/audio/label-merge`: transcripts of both channels become one conversation with names.

Owns the shape of the request and of the answer. What is sent are words with their times, as every
recogniser gives them (`verbose_json` with `timestamp_granularities[]=word`), and turns, as a
diarizer gives them. Works beside the loop. Refuses recordings: hearing is not done here.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from server.audio import apart, formats
from server.audio.attribute import attribute
from server.audio.channels import FAR, NEAR, Conversation, Heard, merge
from server.audio.model import Said, Turn, Word
from server.base.errors import InvalidValue, UnsupportedMediaType
from server.gateway.client.here import Answered, whole
from server.gateway.model import UpstreamRequest
from server.gateway.wire import header

LARGEST = 64 << 20
WORDS = 300_000
TURNS = 100_000
HOURS = 48

Seconds = Annotated[float, Field(ge=0, le=HOURS * 3600, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=100)]
Format = Literal["diarized_json", "verbose_json", "json", "text", "srt", "vtt"]


_PART = ConfigDict(extra="ignore")


@dataclass(config=_PART, frozen=True, slots=True)
class WordIn:
    """`suppressed_db`: by how much an echo canceller made the word quieter (microphone only). With
    slots: a hundred thousand of them take a third of what models take."""

    text: Annotated[str, Field(max_length=200, validation_alias=AliasChoices("word", "text"))]
    start: Seconds
    end: Seconds
    confidence: Annotated[
        float | None,
        Field(ge=0, le=1, validation_alias=AliasChoices("confidence", "probability")),
    ] = None
    suppressed_db: Annotated[float | None, Field(ge=-200, le=200)] = None


@dataclass(config=_PART, frozen=True, slots=True)
class TurnIn:
    speaker: Name
    start: Seconds
    end: Seconds

    @model_validator(mode="after")
    def _forward(self) -> "TurnIn":
        if self.end < self.start:
            raise ValueError("a turn ends before it begins")
        return self


class Channel(BaseModel):
    """Words without turns are all `speaker`'s."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    words: list[WordIn] = Field(max_length=WORDS)
    turns: list[TurnIn] = Field(default=[], max_length=TURNS)
    speaker: Name | None = None


class Body(BaseModel):
    """`names` puts a name in the place of a diarizer's label, such as `SPEAKER_00`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mic: Channel | None = None
    system: Channel | None = None
    names: dict[Name, Name] = Field(default={}, max_length=1000)
    response_format: Format = "diarized_json"
    language: str | None = Field(default=None, max_length=20)
    model: str | None = None

    @model_validator(mode="after")
    def _something(self) -> "Body":
        if self.mic is None and self.system is None:
            raise ValueError("send `mic`, `system` or both")
        return self


async def answer(request: UpstreamRequest) -> Answered:
    kind = (header(request.headers, b"content-type") or b"").partition(b";")[0].strip().lower()
    if kind != b"application/json":
        raise UnsupportedMediaType(
            "/v1/audio/label-merge takes application/json: the words of each channel.",
            advice="Transcribe both channels with word timestamps first, then send their words.",
        )
    return await apart.done("label-merge", await whole(request, LARGEST), answered)


def answered(raw: bytes) -> Answered:
    try:
        body = Body.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        field = ".".join(map(str, first["loc"])) or None
        message = first["msg"].removeprefix("Value error, ")
        raise InvalidValue(f"{field or 'body'}: {message}", param=field) from None
    found, kind, language = conversation(body), body.response_format, body.language
    del body  # what is written takes as much again as what was sent
    return written(found, kind, language)


def conversation(body: Body) -> Conversation:
    """Who said what, with the names that were given."""
    far = _attributed(body.system, FAR, body.names) if body.system else []
    near: list[Heard] = []
    if body.mic:
        words = sorted(body.mic.words, key=lambda word: word.start)  # as `attribute` sorts them
        said = _attributed(body.mic, NEAR, body.names)
        near = [Heard(one, word.suppressed_db) for one, word in zip(said, words, strict=True)]
    return merge(near, far)


def _attributed(channel: Channel, name: str, names: Mapping[str, str]) -> list[Said]:
    words = [
        Word(word.text, word.start, max(word.start, word.end), word.confidence)
        for word in channel.words
    ]
    if not channel.turns:
        words.sort(key=lambda word: word.start)
        speaker = channel.speaker or name
        return [Said(word, speaker, 1.0, False, "channel", name) for word in words]
    turns = [
        Turn(names.get(turn.speaker, turn.speaker), turn.start, turn.end) for turn in channel.turns
    ]
    return attribute(words, turns, channel=name)


# ---- the answer


def written(found: Conversation, kind: Format, language: str | None) -> Answered:
    """JSON forms also list what was taken out of the microphone, and why."""
    if kind == "text":
        return _text(formats.text(found.segments, names=True), "text/plain")
    if kind == "srt":
        return _text(formats.srt(found.segments), "application/x-subrip")
    if kind == "vtt":
        return _text(formats.vtt(found.segments), "text/vtt")
    if kind == "json":
        return Answered(orjson.dumps(formats.plain_json(found.segments)))
    duration = max((one.end for one in found.segments), default=0.0)
    shape: dict[str, Any]
    if kind == "verbose_json":
        shape = formats.verbose_json(
            found.segments, duration=duration, language=language, words=True
        )
    else:
        shape = formats.diarized_json(found.segments, duration=duration)
    shape["removed"] = removed(found)
    shape["bleed_ratio"] = round(found.bleed, 4)
    return Answered(orjson.dumps(shape))


def removed(found: Conversation, *, words: bool = True) -> list[dict[str, Any]]:
    """What was taken out of the microphone; without its `words` where nobody may read them."""
    return [
        ({"word": one.word.text.strip()} if words else {})
        | {
            "start": round(one.word.start, 3),
            "end": round(one.word.end, 3),
            "reason": one.reason,
            "suppressed_db": None if one.suppressed is None else round(one.suppressed, 1),
        }
        for one in found.removed
    ]


def _text(text: str, media_type: str) -> Answered:
    return Answered(text.encode(), f"{media_type}; charset=utf-8")
