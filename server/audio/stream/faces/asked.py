"""What the handshake of a WebSocket asks for: which protocol, which settings, which old stream.

    ?protocol=realtime   OpenAI's events at /v1/audio/stream too (or `intent=transcription`, or the
                         subprotocol `realtime`)
    ?model= language= sample_rate= encoding= prompt= vocabulary=a,b,c
    ?resume=TOKEN&after=N
Pure. Raises `InvalidValue` when it is read, never before.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Scope

from server.audio.stream.faces.choice import Choice, formatted, heard_as
from server.audio.stream.faces.model import Face
from server.audio.stream.faces.plain import Plain
from server.audio.stream.faces.realtime import RATE, Realtime
from server.audio.stream.model import Setup
from server.base.errors import InvalidValue
from server.gateway.intake.request import named
from server.gateway.model import Operation
from server.gateway.sockets.dialect import takes_events

REALTIME = "/v1/realtime"
_QUERY = 8192
_TOKEN = 200


@dataclass(frozen=True, slots=True)
class Query:
    """`token` is None for a new stream; `after` is the last final that its client has."""

    choice: Choice
    token: str | None = None
    after: int = 0


class Asked:
    """One handshake."""

    def __init__(self, operation: Operation, scope: Scope) -> None:
        self._operation = operation
        self._scope = scope
        raw: bytes = scope["query_string"][:_QUERY]
        self._given: dict[str, str] = {}
        with suppress(ValueError):  # More fields than anybody sends.
            self._given = dict(parse_qsl(raw.decode("latin-1"), max_num_fields=50))

    @property
    def realtime(self) -> bool:
        """Whether OpenAI's events are spoken."""
        given = self._given
        return (
            self._operation.path == REALTIME
            or given.get("intent") == "transcription"
            or given.get("protocol") == "realtime"
            or "realtime" in self._scope.get("subprotocols", ())
        )

    @property
    def token(self) -> str | None:
        """Of the stream that is to be taken up again."""
        token = self._given.get("resume")
        return None if token is None else token[:_TOKEN]

    def face(self, request_id: str) -> Face:
        choice = Choice(rate=RATE) if self.realtime else Choice()
        if not self.realtime:
            return Plain(request_id, choice)
        scope = self._scope
        events = takes_events(scope["headers"], scope.get("subprotocols", ()))
        return Realtime(request_id, choice, events=events)

    def read(self) -> Query:
        given, token = self._given, self.token
        if token is not None:
            return Query(Choice(), token, _whole(given, "after") or 0)
        body: dict[str, Any] = {
            "model": named(self._operation, self._scope),
            "language": given.get("language"),
            "prompt": given.get("prompt"),
        }
        if "vocabulary" in given:
            body["vocabulary"] = given["vocabulary"].split(",")
        choice = Choice(
            heard_as(Setup(), body, "vocabulary"), rate=RATE if self.realtime else Choice().rate
        )
        choice = formatted(choice, given.get("encoding"), _whole(given, "sample_rate"))
        return Query(choice)


def _whole(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InvalidValue(f"{name} is a whole number.", param=name)
    return int(text)
