"""OpenAI's realtime API, as far as it transcribes: its events in and out. Pure.

    client   session.update  input_audio_buffer.append|commit|clear
             (transcription_session.update of the beta as well)
    server   session.created|updated  input_audio_buffer.speech_started|speech_stopped|committed|
             cleared  conversation.item.input_audio_transcription.delta|completed|failed  error

A delta is what became sure since the last one: deltas are only ever added, and together they are
the transcript. What the API has no event for is told as `spark.…` to a client that passes over
events it does not know, a gap as an `error` to the others: lost sound is never kept quiet.
"""

import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson

from server.audio.stream.faces.choice import Choice, ended_by, formatted, group, heard_as
from server.audio.stream.faces.model import (
    LONGEST,
    SHORT,
    About,
    Begin,
    Command,
    EndHere,
    Forget,
    Heard,
    Ping,
    Waits,
)
from server.audio.stream.faces.plain import parsed
from server.audio.stream.model import (
    Cleared,
    Final,
    Gap,
    Nothing,
    Partial,
    Setup,
    Started,
    Stopped,
    Told,
)
from server.base.errors import InvalidRequest, InvalidValue, PayloadTooLarge, SparkError

RATE = 24_000
_APPEND = "input_audio_buffer.append"
_AUDIO = re.compile(r'"audio"\s*:\s*"')
_ENCODINGS = {"audio/pcm": "pcm16", "audio/pcmu": "pcmu", "audio/pcma": "pcma"}
_BETA_ENCODINGS = {"pcm16": "pcm16", "g711_ulaw": "pcmu", "g711_alaw": "pcma"}
_NAMES = {"pcm16": "audio/pcm", "pcmu": "audio/pcmu", "pcma": "audio/pcma"}


class Realtime:
    """One connection. `events`: its client passes over events that it does not know."""

    states = False

    def __init__(self, request_id: str, choice: Choice, *, events: bool) -> None:
        self._request_id = request_id
        self._choice = choice
        self._events = events
        self._stream = ""
        self._number = 0
        self._update = "session.updated"
        self._heard: str | None = None
        self._spoken: set[int] = set()
        self._begun: set[int] = set()

    # ---- from the client

    def read(self, text: str) -> Command:
        self._heard = None
        if len(text) > LONGEST:
            raise PayloadTooLarge(f"An event has at most {LONGEST >> 20} MiB.")
        audio = None
        if len(text) > SHORT:
            text, audio = apart(text)
        body = parsed(text)
        given = body.get("event_id")
        self._heard = given[:200] if isinstance(given, str) else None
        kind = body.get("type")
        if kind == _APPEND:
            return Heard(decoded(body.get("audio") if audio is None else audio))
        if kind == "input_audio_buffer.commit":
            return EndHere()
        if kind == "input_audio_buffer.clear":
            return Forget()
        if kind == "session.update":
            self._update = "session.updated"
            return Begin(self._updated(group(body, "session")))
        if kind == "transcription_session.update":
            self._update = "transcription_session.updated"
            return Begin(self._updated_beta(group(body, "session")))
        raise InvalidRequest(
            "This session transcribes: it takes session.update and input_audio_buffer.append, "
            "commit and clear.",
            param="type",
        )

    def control(self, _code: int) -> Command:
        raise InvalidRequest(
            "Binary messages are not spoken here: send input_audio_buffer.append with base64.",
        )

    def _updated(self, session: Any) -> Choice:
        if session.get("type", "transcription") != "transcription":
            raise InvalidValue("This session is of type transcription.", param="session.type")
        given = group(group(session, "audio"), "input")
        choice = self._choice
        form = given.get("format")
        if form is not None:
            form = group(given, "format")
            choice = formatted(choice, _encoding(form.get("type"), _ENCODINGS), form.get("rate"))
        return replace(choice, setup=_heard_and_ended(choice.setup, given, "transcription"))

    def _updated_beta(self, session: Any) -> Choice:
        choice = self._choice
        encoding = _encoding(session.get("input_audio_format"), _BETA_ENCODINGS)
        if encoding is not None:
            choice = formatted(choice, encoding, RATE if encoding == "pcm16" else None)
        setup = _heard_and_ended(choice.setup, session, "input_audio_transcription")
        return replace(choice, setup=setup)

    # ---- to the client

    def hello(self, about: About) -> Sequence[str]:
        self._stream, self._choice = about.id, about.choice
        spark = {
            "resume": about.token,
            "resume_seconds": about.keeps,
            "resumed": about.resumed,
            "sequence": about.sequence,
            "received": round(about.received, 4),
        }
        return [self._event("session.created", session=self._session() | {"spark": spark})]

    def changed(self, choice: Choice) -> Sequence[str]:
        self._choice = choice
        return [self._event(self._update, session=self._session())]

    def told(self, told: Told) -> Sequence[str]:
        tell: dict[type[Told], Callable[[Any], Sequence[str]]] = {
            Started: self._started,
            Stopped: self._stopped,
            Nothing: self._nothing,
            Cleared: lambda _told: [self._event("input_audio_buffer.cleared")],
            Partial: lambda told: self._delta(told.id, told.sure),
            Final: self._final,
            Gap: self._gap,
        }
        return tell[type(told)](told)

    def waits(self, waits: Waits) -> Sequence[str]:
        return self._ours("queue", position=waits.position, waiting_seconds=round(waits.seconds, 1))

    def behind(self, seconds: float, held: float) -> Sequence[str]:
        return self._ours("behind", seconds=round(seconds, 1), held_seconds=round(held, 1))

    def pulse(self, _received: float, _behind: float) -> Sequence[str]:
        return ()  # The pings of the connection are enough.

    def pong(self, _ping: Ping) -> Sequence[str]:
        return ()

    def fault(self, error: SparkError) -> Sequence[str]:
        body = error.to_dict(self._request_id) | {"event_id": self._heard}
        return [self._event("error", error=body)]

    def bye(self, about: About, code: int, reason: str) -> Sequence[str]:
        return self._ours(
            "closed",
            code=code,
            reason=reason,
            resume=about.token or None,
            sequence=about.sequence,
            received=round(about.received, 4),
        )

    # ---- inside

    def _event(self, kind: str, **fields: Any) -> str:
        self._number += 1
        head = {"type": kind, "event_id": f"event_{self._request_id}_{self._number}"}
        return orjson.dumps(head | fields).decode()

    def _ours(self, kind: str, **fields: Any) -> Sequence[str]:
        return [self._event(f"spark.{kind}", **fields)] if self._events else ()

    def _item(self, number: int | None) -> str | None:
        return None if number is None else f"item_{self._stream}_{number}"

    def _speech(self, what: str, field: str, number: int, at: float) -> str:
        fields = {field: round(at * 1000), "item_id": self._item(number)}
        return self._event(f"input_audio_buffer.speech_{what}", **fields)

    def _started(self, told: Started) -> Sequence[str]:
        self._spoken.add(told.id)
        return [self._speech("started", "audio_start_ms", told.id, told.at)]

    def _nothing(self, _told: Nothing) -> Sequence[str]:
        return self.fault(
            InvalidRequest("There is no sound to commit: the input audio buffer is empty.")
        )

    def _stopped(self, told: Stopped) -> Sequence[str]:
        texts = []
        if told.id in self._spoken:
            self._spoken.discard(told.id)
            texts.append(self._speech("stopped", "audio_end_ms", told.id, told.at))
        texts.append(
            self._event(
                "input_audio_buffer.committed",
                item_id=self._item(told.id),
                previous_item_id=self._item(told.before),
            )
        )
        return texts

    def _delta(self, number: int, sure: str) -> list[str]:
        if not sure:
            return []
        delta = f" {sure}" if number in self._begun else sure
        self._begun.add(number)
        kind = "conversation.item.input_audio_transcription.delta"
        return [self._event(kind, item_id=self._item(number), content_index=0, delta=delta)]

    def _final(self, told: Final) -> Sequence[str]:
        texts = self._delta(told.id, told.sure)
        self._begun.discard(told.id)
        item = {"item_id": self._item(told.id), "content_index": 0}
        kind = "conversation.item.input_audio_transcription."
        if told.error is not None and not told.words:
            error = told.error
            body = {
                "type": error.kind,
                "code": error.code,
                "message": error.message,
                "param": None,
            }
            return [*texts, self._event(f"{kind}failed", **item, error=body)]
        usage = {"type": "duration", "seconds": round(told.end - told.start, 3)}
        return [*texts, self._event(f"{kind}completed", **item, transcript=told.text, usage=usage)]

    def _gap(self, told: Gap) -> Sequence[str]:
        fields = {"start": round(told.start, 3), "end": round(told.end, 3), "reason": told.why}
        if self._events:
            return self._ours("gap", **fields, item_id=self._item(told.id))
        message = f"The sound from {told.start:.1f} s to {told.end:.1f} s was not heard."
        body = {"type": "server_error", "code": "audio_gap", "message": message, "param": None}
        return [self._event("error", error=body | fields | {"event_id": None})]

    def _session(self) -> dict[str, Any]:
        choice, setup = self._choice, self._choice.setup
        turns = {
            "type": "server_vad",
            "threshold": (0.25, 0.5, 0.7, 0.9)[setup.strictness],
            "prefix_padding_ms": round(setup.before * 1000),
            "silence_duration_ms": round(setup.pause * 1000),
        }
        sound: dict[str, Any] = {"type": _NAMES[choice.encoding]}
        if choice.encoding == "pcm16":
            sound["rate"] = choice.rate
        transcription = {
            "model": setup.model,
            "language": setup.language,
            "prompt": setup.prompt,
            "keywords": list(setup.vocabulary),
        }
        given = {
            "format": sound,
            "noise_reduction": None,
            "transcription": transcription,
            "turn_detection": None if setup.manual else turns,
        }
        return {
            "id": f"sess_{self._stream}",
            "object": "realtime.transcription_session",
            "type": "transcription",
            "audio": {"input": given},
            "include": [],
        }


def apart(text: str) -> tuple[str, str]:
    """A long event without its sound, and the sound. Raises where the length is something else."""
    found = _AUDIO.search(text, 0, SHORT)
    end = text.find('"', found.end()) if found is not None else -1
    if found is None or end < 0 or len(text) - (end - found.end()) > SHORT:
        raise PayloadTooLarge(f"An event that is no sound has at most {SHORT >> 10} KiB.")
    return text[: found.end()] + text[end:], text[found.end() : end].replace("\\/", "/")


def decoded(audio: Any) -> bytes:
    if not isinstance(audio, str):
        raise InvalidValue("audio is sound in base64.", param="audio")
    try:
        return binascii.a2b_base64(audio, strict_mode=True) if audio else b""
    except ValueError:
        raise InvalidValue("audio is not base64.", param="audio") from None


def _encoding(name: Any, names: dict[str, str]) -> str | None:
    if name is None:
        return None
    found = names.get(name) if isinstance(name, str) else None
    if found is None:
        raise InvalidValue(f"The format is one of {', '.join(names)}.", param="format")
    return found


def _heard_and_ended(setup: Setup, given: Any, transcription: str) -> Setup:
    setup = heard_as(setup, group(given, transcription), "keywords")
    if "turn_detection" not in given:
        return setup
    if given["turn_detection"] is None:
        return replace(setup, manual=True)
    return ended_by(setup, group(given, "turn_detection"))
