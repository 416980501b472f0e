"""What a WebSocket has cost so far: sound from what its client sends, tokens from what it is told.

    client   text    OpenAI's realtime events: sound in base64, the format of the session
             binary  a container that can be read, else plain samples
    upstream text    `usage` of what is done; the session as it is in force

Sound counts when it is sent, whatever becomes of it. The format is that of the query, of the
session that the upstream tells of, else of the one that the client asks for; else 16 bits, one
channel, and the rate of the route. Owns these dialects; refuses to keep or change a message. Pure,
raises nothing; a long message without sound or usage costs the search for a word.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import orjson

from server.gateway.model import Operation, Upstream, Used
from server.gateway.usage.figures import used_of
from server.gateway.usage.sound import Sound

PARSED = 256 * 1024
"""Longer texts are not looked into: one that may hold sound counts as nothing else."""
_QUERY = 4096
_SHORT = 2048
_SURE = 8192
_RATES = (8_000, 48_000)
_CHANNELS = (1, 2)
_OPENAI, _ENGINES, _SERVICES = 24_000, 16_000, 16_000
_RATE_NAMES = ("sample_rate", "sampleRate", "sample_rate_hz", "samplerate", "rate")
_WIDTHS = {
    **dict.fromkeys(("g711_ulaw", "g711_alaw", "mulaw", "alaw", "pcmu", "pcma", "ulaw"), 1),
    **dict.fromkeys(("f32le", "pcm_f32le", "float32", "pcm_f32", "f32"), 4),
}
_FORMATS = ("encoding", "format", "codec", "audio_format")
_SOUND = ("audio", "audio_base_64", "audio_data")
_HEARING = frozenset({"asr", "diarize"})


class Format:
    """Plain samples. What makes no sense is left as it was."""

    __slots__ = ("channels", "rate", "width")

    def __init__(self, rate: int, width: int = 2, channels: int = 1) -> None:
        self.rate = rate
        self.width = width
        self.channels = channels

    @property
    def per_second(self) -> int:
        return self.rate * self.width * self.channels

    def take(self, said: Mapping[str, Any]) -> None:
        """Fields as a query, a session or a first message have them."""
        for name in _RATE_NAMES:
            self.rate = _within(said.get(name), _RATES, self.rate)
        self.channels = _within(said.get("channels"), _CHANNELS, self.channels)
        for name in (*_FORMATS, "type"):
            named = said.get(name)
            if isinstance(named, str):
                word = named.lower().removeprefix("audio/")
                if word in _WIDTHS:
                    self.width = _WIDTHS[word]
                    if self.width == 1:
                        self.rate = 8_000
                elif word.startswith(("pcm", "linear16", "s16")):
                    self.width = 2


class Meter:
    """One WebSocket. `audio` is in seconds."""

    __slots__ = ("_asked", "_binary", "_format", "_plain", "_sound", "_sums", "_told", "audio")

    def __init__(self, form: Format, *, binary: bool) -> None:
        self.audio = 0.0
        self._format = form
        self._binary = binary
        self._plain: bool | None = None  # whether binary messages are samples, once that is known
        self._sound = Sound()
        self._asked = True  # whether the format is the client's to say
        self._sums = [0, 0, 0]  # prompt, completion, cached
        self._told: float | None = None

    @property
    def tokens(self) -> int:
        return self._sums[0] + self._sums[1]

    def used(self) -> Used:
        prompt, completion, cached = self._sums
        used = Used(prompt, completion, cached or None) if self.tokens else Used()
        if self.audio:
            return replace(used, audio_seconds=self.audio, audio_source="measured")
        return replace(used, audio_seconds=self._told)

    # -- what passes

    def sent_bytes(self, data: bytes) -> None:
        """By the client."""
        if not self._binary or not data:
            return
        if self._plain is None and self._sound.size + len(data) >= 16:
            self._sound.feed(data)
            self._decide(plain=not self._sound.known)
        elif self._plain:
            self._count(len(data))
        else:
            self._sound.feed(data)
            if self._sound.size >= _SURE and self._sound.doubtful:
                self._decide(plain=True)
        if self._plain is False:
            self.audio = max(self.audio, self._sound.heard().seconds)

    def sent_text(self, text: str) -> None:
        """By the client."""
        if len(text) > PARSED:
            # An escaped letter could hide the word.
            if "audio" in text or "\\u" in text[:PARSED]:
                self._count(len(text) * 3 // 4)
            return
        if len(text) > _SHORT and "audio" not in text and "\\u" not in text:
            return
        body = _object(text)
        if body is None:
            return
        kind = body.get("type")
        kind = kind if isinstance(kind, str) else ""
        if kind == "conversation.item.create":
            self._item(body.get("item"))
        elif kind.endswith("session.update"):
            if self._asked:
                self._session(body.get("session"))
        else:
            names = (*_SOUND, "data") if "audio" in kind else _SOUND
            found = [body[name] for name in names if isinstance(body.get(name), str)]
            for sound in found:
                self._base64(sound)
            if not found and self._asked:
                self._declared(body)

    def told_text(self, text: str) -> None:
        """By the upstream."""
        if '"usage"' in text:
            body = _object(text)
            kind = str(body.get("type", "")) if body is not None else ""
            if not kind or kind.endswith((".done", ".completed")):
                self._usage(used_of(body))
        elif '"session.' in text[:200] or '"transcription_session.' in text[:200]:
            body = _object(text)
            if body is not None and isinstance(body.get("session"), dict):
                self._session(body["session"], in_force=True)

    # -- inside

    def _decide(self, *, plain: bool) -> None:
        self._plain = plain
        if plain:
            self.audio = self._sound.size / self._format.per_second
            self._sound = Sound()

    def _count(self, size: int) -> None:
        self.audio += size / self._format.per_second

    def _base64(self, text: str) -> None:
        self._count(max(0, len(text) * 3 // 4 - text[-2:].count("=")))

    def _item(self, item: Any) -> None:
        content = item.get("content") if isinstance(item, dict) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and isinstance(part.get("audio"), str):
                self._base64(part["audio"])

    def _session(self, session: Any, *, in_force: bool = False) -> None:
        """`input_audio_format`, or `audio.input.format` as it is called now."""
        if not isinstance(session, dict):
            return
        said = session.get("input_audio_format")
        audio = session.get("audio")
        inner = audio.get("input") if isinstance(audio, dict) else None
        if isinstance(inner, dict):
            said = inner.get("format", said)
        if isinstance(said, str):
            said = {"format": said}
        if isinstance(said, dict):
            self._format.take(said)
            self._asked = self._asked and not in_force

    def _declared(self, body: Mapping[str, Any]) -> None:
        """A first message of a service's own: its fields, or those of `config` or `audio`."""
        self._format.take({key: value for key, value in body.items() if key != "type"})
        for name in ("config", "audio", "format"):
            inner = body.get(name)
            if isinstance(inner, dict):
                self._format.take(inner)

    def _usage(self, used: Used) -> None:
        for at, figure in enumerate(
            (used.prompt_tokens, used.completion_tokens, used.cached_tokens)
        ):
            self._sums[at] += figure or 0
        if used.audio_seconds is not None:
            self._told = (self._told or 0.0) + used.audio_seconds


def meter(operation: Operation, upstream: Upstream, query: bytes) -> Meter:
    """For a WebSocket that was let in."""
    rate = _ENGINES if upstream.engine else _SERVICES
    if operation.path == "/v1/realtime" and not upstream.engine:
        rate = _OPENAI
    form = Format(rate)
    if len(query) <= _QUERY:
        given = parse_qs(query.decode("latin-1"))
        form.take({name: _number(values[0]) for name, values in given.items()})
    speech = operation.path.startswith("/v1/audio/") or upstream.kind in _HEARING
    return Meter(form, binary=speech)


def _object(text: str) -> dict[str, Any] | None:
    try:
        body = orjson.loads(text) if len(text) <= PARSED else None
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return None
    return body if isinstance(body, dict) else None


def _number(text: str) -> Any:
    return int(text) if text.isdigit() and len(text) < 10 else text


def _within(value: Any, bounds: tuple[int, int], otherwise: int) -> int:
    good = type(value) in {int, float} and bounds[0] <= value <= bounds[1]
    return int(value) if good else otherwise
