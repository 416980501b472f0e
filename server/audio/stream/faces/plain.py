"""Our own protocol: binary messages are samples, texts are JSON with a `type`. Pure.

client   start  commit  clear  stop  ping    or one byte: ETX CAN EOT ENQ
server   ready  started  speech_started  speech_stopped  partial  final  gap  committed
         cleared  queue  behind  heartbeat  pong  error  closed
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson

from server.audio.stream.faces.choice import (
    Choice,
    ended_by,
    formatted,
    group,
    heard_as,
    text,
)
from server.audio.stream.faces.model import (
    SHORT,
    About,
    Begin,
    Command,
    EndHere,
    Forget,
    Leave,
    Ping,
    Waits,
)
from server.audio.stream.model import (
    Cleared,
    Final,
    Gap,
    Nothing,
    Partial,
    Started,
    Stopped,
    Told,
)
from server.base.errors import InvalidRequest, InvalidValue, PayloadTooLarge, SparkError

_ETX, _EOT, _ENQ, _CAN = 0x03, 0x04, 0x05, 0x18
_CONTROL: dict[int, Callable[[], Command]] = {
    _ETX: EndHere,
    _EOT: Leave,
    _ENQ: Ping,
    _CAN: Forget,
}
_TYPES = "start, commit, clear, stop, ping"


class Plain:
    """One connection."""

    states = True

    def __init__(self, request_id: str, choice: Choice) -> None:
        self._request_id = request_id
        self._choice = choice

    # ---- from the client

    def read(self, text: str) -> Command:
        if len(text) > SHORT:
            raise PayloadTooLarge(
                f"A text message has at most {SHORT >> 10} KiB.",
                advice="Send sound as binary messages.",
            )
        body = parsed(text)
        kind = body.get("type")
        if kind == "start":
            return Begin(self._started(body))
        if kind == "ping":
            return Ping(_id(body))
        simple: dict[Any, Command] = {"commit": EndHere(), "clear": Forget(), "stop": Leave()}
        command = simple.get(kind) if isinstance(kind, str) else None
        if command is None:
            raise InvalidRequest(f"The type of a message is one of {_TYPES}.", param="type")
        return command

    def control(self, code: int) -> Command:
        make = _CONTROL.get(code)
        if make is None:
            raise InvalidRequest(
                "A binary message of one byte is a control: ETX (3) commit, EOT (4) stop, ENQ (5) "
                "ping, CAN (24) clear.",
                advice="Sound has two bytes a sample.",
            )
        return make()

    def _started(self, body: dict[str, Any]) -> Choice:
        setup = heard_as(self._choice.setup, body, "vocabulary")
        turns = body.get("turn_detection")
        if turns == "none":
            setup = replace(setup, manual=True)
        elif isinstance(turns, dict):
            setup = ended_by(setup, group(body, "turn_detection"))
        elif turns == "vad":
            setup = replace(setup, manual=False)
        elif turns is not None:
            raise InvalidValue(
                "turn_detection is none, vad, or an object with its settings.",
                param="turn_detection",
            )
        choice = replace(self._choice, setup=setup)
        return formatted(choice, body.get("encoding"), body.get("sample_rate"))

    # ---- to the client

    def hello(self, about: About) -> Sequence[str]:
        self._choice = about.choice
        return [
            _json(
                "ready",
                stream=about.id,
                resume=about.token,
                resume_seconds=about.keeps,
                resumed=about.resumed,
                sequence=about.sequence,
                received=round(about.received, 4),
                **_format(about.choice),
            )
        ]

    def changed(self, choice: Choice) -> Sequence[str]:
        self._choice = choice
        return [_json("started", **_format(choice))]

    def told(self, told: Told) -> Sequence[str]:
        return [_TELL[type(told)](told)]

    def waits(self, waits: Waits) -> Sequence[str]:
        return [
            _json("queue", position=waits.position, waiting_seconds=round(waits.seconds, 1)),
        ]

    def behind(self, seconds: float, held: float) -> Sequence[str]:
        return [_json("behind", seconds=round(seconds, 1), held_seconds=round(held, 1))]

    def pulse(self, received: float, behind: float) -> Sequence[str]:
        return [_json("heartbeat", received=round(received, 3), behind=round(behind, 1))]

    def pong(self, ping: Ping) -> Sequence[str]:
        return [_json("pong") if ping.id is None else _json("pong", id=ping.id)]

    def fault(self, error: SparkError) -> Sequence[str]:
        return [_json("error", error=error.to_dict(self._request_id))]

    def bye(self, about: About, code: int, reason: str) -> Sequence[str]:
        return [
            _json(
                "closed",
                code=code,
                reason=reason,
                resume=about.token or None,
                sequence=about.sequence,
                received=round(about.received, 4),
            )
        ]


def parsed(text: str) -> dict[str, Any]:
    """A message as an object."""
    try:
        body = orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        raise InvalidRequest("The message is not JSON.") from None
    if not isinstance(body, dict):
        raise InvalidRequest("The message is not a JSON object.")
    return body


def _id(body: dict[str, Any]) -> str | None:
    return text(body, "id", 200)


def _format(choice: Choice) -> dict[str, Any]:
    setup = choice.setup
    return {
        "encoding": choice.encoding,
        "sample_rate": choice.rate,
        "language": setup.language,
        "model": setup.model,
        "vocabulary": len(setup.vocabulary),
        "turn_detection": "none" if setup.manual else "vad",
    }


def _json(kind: str, **fields: Any) -> str:
    return orjson.dumps({"type": kind} | fields).decode()


def _time(seconds: float) -> float:
    return round(seconds, 3)


def _partial(told: Partial) -> str:
    return _json(
        "partial",
        id=told.id,
        revision=told.revision,
        text=told.text,
        stable=told.stable,
        until=_time(told.until),
    )


def _final(told: Final) -> str:
    sure = told.confidence
    return _json(
        "final",
        sequence=told.sequence,
        id=told.id,
        text=told.text,
        start=_time(told.start),
        end=_time(told.end),
        at=_time(told.at),
        confidence=None if sure is None else round(sure, 3),
        complete=told.error is None,
        words=[
            {
                "word": word.text.strip(),
                "start": _time(word.start),
                "end": _time(word.end),
                "confidence": None if word.confidence is None else round(word.confidence, 3),
            }
            for word in told.words
        ],
        corrections=[
            {"was": one.was, "now": one.now.strip(), "start": _time(one.start)}
            for one in told.changes
        ],
    )


def _gap(told: Gap) -> str:
    return _json("gap", start=_time(told.start), end=_time(told.end), reason=told.why, id=told.id)


_TELL: dict[type[Told], Callable[[Any], str]] = {
    Started: lambda told: _json("speech_started", id=told.id, at=_time(told.at)),
    Stopped: lambda told: _json("speech_stopped", id=told.id, at=_time(told.at)),
    Nothing: lambda _told: _json("committed", id=None),
    Cleared: lambda told: _json("cleared", id=told.id),
    Partial: _partial,
    Final: _final,
    Gap: _gap,
}
