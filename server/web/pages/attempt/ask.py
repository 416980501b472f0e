"""What each form asks for, read from its fields and checked, and the body that the gateway is sent.

Pure. A form whose fields are wrong is told all of them at once (`InvalidFields`). The same value
makes the request without JavaScript and the code that is shown.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal, TypeVar

from server.web.errors import InvalidFields

LONGEST_TEXT = 200_000
LONGEST_SPOKEN = 4096
MOST_TURNS = 400
MOST_TOKENS = 1_000_000
EXAMPLE = "Say hello in one sentence."
SOUNDS = ("mp3", "wav", "opus", "flac", "aac")
FORMATS = ("verbose_json", "json", "text", "srt", "vtt", "diarized_json")
Task = Literal["transcriptions", "translations", "diarize", "label-merge"]
TASKS: tuple[Task, ...] = ("transcriptions", "translations", "diarize", "label-merge")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}")
_NUMBER = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?")
_ROLES = ("user", "assistant")

Fields = Mapping[str, str]
Wrong = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class ChatAsk:
    """`history` is what was said before `message`. None: the field is not sent."""

    model: str
    message: str
    history: tuple[Turn, ...] = ()
    system: str = ""
    temperature: float | None = None
    max_tokens: int | None = None

    @property
    def messages(self) -> list[dict[str, str]]:
        """Up to the last question; without any, an example. A question that was never answered is
        not asked again together with the next one."""
        turns = list(self.history)
        if self.message.strip():
            turns.append(Turn("user", self.message))
        while turns and turns[-1].role != "user":
            turns.pop()
        spoken = [
            {"role": one.role, "content": one.content}
            for one, following in zip_longest(turns, turns[1:])
            if not (one.role == "user" and following is not None and following.role == "user")
        ]
        first = [{"role": "system", "content": self.system}] if self.system.strip() else []
        return first + (spoken or [{"role": "user", "content": EXAMPLE}])

    def body(self, *, stream: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.model, "messages": self.messages}
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if self.max_tokens is not None:
            body["max_tokens"] = self.max_tokens
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body


@dataclass(frozen=True, slots=True)
class SpeakAsk:
    model: str
    text: str
    voice: str
    format: str = "mp3"
    speed: float = 1.0

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.model, "input": self.text, "voice": self.voice}
        body["response_format"] = self.format
        return body if self.speed == 1.0 else body | {"speed": self.speed}


@dataclass(frozen=True, slots=True)
class CompareAsk:
    model: str
    first: str
    second: str

    @property
    def body(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "input": [self.first, self.second],
            "encoding_format": "float",
        }


@dataclass(frozen=True, slots=True)
class HearAsk:
    """`filename` is how the recording is called where the code is run, `second` the other channel
    of a conversation."""

    model: str
    task: Task = "transcriptions"
    format: str = "verbose_json"
    language: str = ""
    words: bool = False
    filename: str = "recording.wav"
    diarize: bool = False
    second: str = "system.wav"

    @property
    def fields(self) -> dict[str, str | list[str]]:
        """Of the form, beside the file, in the order in which they are sent."""
        found: dict[str, str | list[str]] = {"model": self.model}
        if self.task == "diarize":
            return found
        found["response_format"] = self.format
        if self.language:
            found["language"] = self.language
        if self.task == "label-merge":
            return found
        if self.words and self.format == "verbose_json":
            found["timestamp_granularities"] = ["word", "segment"]
        if self.diarize:
            found["diarize"] = "true"
        return found

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """Their fields and names."""
        if self.task == "label-merge":
            return ("mic", self.filename), ("system", self.second)
        return (("file", self.filename),)


Ask = ChatAsk | SpeakAsk | CompareAsk | HearAsk
A = TypeVar("A", ChatAsk, SpeakAsk, CompareAsk, HearAsk)


def chat(fields: Fields, *, complete: bool = True) -> ChatAsk:
    """`complete`: there must be something to ask (not for the code of a form being filled in)."""
    wrong: Wrong = []
    ask = ChatAsk(
        model=_model(fields, wrong),
        message=_text(fields, "message", wrong),
        history=_history(fields.get("history", ""), wrong),
        system=_text(fields, "system", wrong),
        temperature=_number(fields, "temperature", 0, 2, wrong),
        max_tokens=_whole(fields, "max_tokens", MOST_TOKENS, wrong),
    )
    if complete and not ask.message.strip():
        wrong.append(("message", "write something to ask"))
    return _right(ask, wrong)


def speak(fields: Fields, *, complete: bool = True) -> SpeakAsk:
    wrong: Wrong = []
    text = _text(fields, "text", wrong, LONGEST_SPOKEN)
    if complete and not text.strip():
        wrong.append(("text", "write what is to be said"))
    voice = _line(fields, "voice", wrong)
    if not voice:
        wrong.append(("voice", "choose a voice"))
    speed = _number(fields, "speed", 0.25, 4, wrong)
    sound = fields.get("response_format") or SOUNDS[0]
    if sound not in SOUNDS:
        wrong.append(("response_format", f"use {', '.join(SOUNDS)}"))
    return _right(
        SpeakAsk(_model(fields, wrong), text, voice, sound, 1.0 if speed is None else speed), wrong
    )


def compare(fields: Fields, *, complete: bool = True) -> CompareAsk:
    wrong: Wrong = []
    texts = [_text(fields, name, wrong) for name in ("first", "second")]
    for name, text in zip(("first", "second"), texts, strict=True):
        if complete and not text.strip():
            wrong.append((name, "write a text"))
    return _right(CompareAsk(_model(fields, wrong), *texts), wrong)


def hear(fields: Fields) -> HearAsk:
    wrong: Wrong = []
    task = next((one for one in TASKS if one == fields.get("task")), TASKS[0])
    form = fields.get("response_format") or FORMATS[0]
    if form not in FORMATS:
        wrong.append(("response_format", f"use {', '.join(FORMATS)}"))
    language = fields.get("language", "").strip()
    if language and not _LANGUAGE.fullmatch(language):
        wrong.append(("language", "use a code such as en, de or pt-BR, or leave it empty"))
    ask = HearAsk(
        _model(fields, wrong),
        task,
        form,
        language,
        fields.get("words") == "yes",
        _named(fields.get("filename", ""), "recording.wav"),
        fields.get("diarize") == "true",
        _named(fields.get("second", ""), "system.wav"),
    )
    return _right(ask, wrong)


def _named(given: str, otherwise: str) -> str:
    name = given[:255]
    return name if name.strip() and name.isprintable() else otherwise


# ---- one field


def _right(ask: A, wrong: Wrong) -> A:
    if wrong:
        raise InvalidFields(wrong)
    return ask


def _model(fields: Fields, wrong: Wrong) -> str:
    model = _line(fields, "model", wrong)
    if not model:
        wrong.append(("model", "choose who answers"))
    return model


def _line(fields: Fields, name: str, wrong: Wrong) -> str:
    text = fields.get(name, "")
    if len(text) > 512 or not text.isprintable():
        wrong.append((name, "use one line of at most 512 letters"))
    return text


def _text(fields: Fields, name: str, wrong: Wrong, longest: int = LONGEST_TEXT) -> str:
    """Browsers send line breaks of a text as two letters."""
    text = fields.get(name, "").replace("\r\n", "\n")
    if len(text) > longest:
        wrong.append((name, f"is {len(text)} letters long; at most {longest} are taken"))
    return text


def _number(fields: Fields, name: str, least: float, most: float, wrong: Wrong) -> float | None:
    text = fields.get(name, "").strip().replace(",", ".")
    if not text:
        return None
    value = float(text) if _NUMBER.fullmatch(text) else None
    if value is None or not least <= value <= most:
        wrong.append((name, f"use a number from {least:g} to {most:g}, or leave it empty"))
    return value


def _whole(fields: Fields, name: str, most: int, wrong: Wrong) -> int | None:
    text = fields.get(name, "").strip()
    if not text:
        return None
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= value <= most:
        wrong.append((name, f"use a whole number from 1 to {most}, or leave it empty"))
    return value


def _history(text: str, wrong: Wrong) -> tuple[Turn, ...]:
    """What the page kept of the conversation, as it wrote it."""
    try:
        turns = [Turn(str(one["role"]), str(one["content"])) for one in json.loads(text or "[]")]
        # Half of a pair of surrogates is no text: it could not be sent on.
        text.encode()
        "".join(turn.content for turn in turns).encode()
    except (ValueError, TypeError, KeyError, RecursionError):
        wrong.append(("history", "the conversation cannot be read; begin a new one"))
        return ()
    if len(turns) > MOST_TURNS or any(turn.role not in _ROLES for turn in turns):
        wrong.append(("history", f"more than {MOST_TURNS} messages; begin a new conversation"))
        return ()
    return tuple(turns)
