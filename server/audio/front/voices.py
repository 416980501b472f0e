"""`GET /v1/audio/voices`: the voices of a speech service, in one shape whatever it gives.

Some services list names, some list objects, under `voices`, `data` or nothing; some clients read
names, some objects. The answer has both: `voices` are objects with `id` and `name` (and whatever
else the service says of a voice), `ids` their ids; with `?legacy=true` `voices` are the ids, as the
service itself would. Owns that shape. What cannot be read passes as it came.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.types import Message, Receive, Scope, Send

from server.gateway.call import Call
from server.gateway.model import Operation, Passage
from server.gateway.way import Crew
from server.gateway.wire import header

VOICES = "/v1/audio/voices"
_MOST = 4 << 20
_NAMES = ("id", "voice_id", "voice", "name")


class Voices:
    """A `Front` of the gateway."""

    async def __call__(
        self,
        crew: Crew,
        operation: Operation,
        passage: Passage,
        asgi: tuple[Scope, Receive, Send],
    ) -> None:
        scope, receive, send = asgi
        legacy = b"legacy=true" in scope["query_string"].lower()
        await Call(crew, operation, passage, (scope, receive, _Shaped(send, legacy=legacy))).run()


class _Shaped:
    """A `Send` that holds a good answer of JSON back until it is whole."""

    def __init__(self, send: Send, *, legacy: bool) -> None:
        self._send = send
        self._legacy = legacy
        self._head: Message | None = None
        self._held: list[bytes] = []
        self._size = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if message["status"] == 200 and _is_json(message["headers"]):
                self._head = message
                return
        elif self._head is not None:
            await self._body(message)
            return
        await self._send(message)

    async def _body(self, message: Message) -> None:
        piece: bytes = message.get("body", b"")
        self._held.append(piece)
        self._size += len(piece)
        more = bool(message.get("more_body", False))
        if more and self._size <= _MOST:
            return
        head, self._head = self._head, None
        assert head is not None  # noqa: S101 - its caller looked
        body = b"".join(self._held)
        if body and not more:
            body = reshaped(body, legacy=self._legacy) or body
            head = {**head, "headers": _resized(head["headers"], len(body))}
        await self._send(head)
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


def _is_json(headers: list[tuple[bytes, bytes]]) -> bool:
    lowered = [(key.lower(), value) for key, value in headers]
    return (header(lowered, b"content-type") or b"").startswith(b"application/json")


def _resized(headers: list[tuple[bytes, bytes]], size: int) -> list[tuple[bytes, bytes]]:
    kept = [pair for pair in headers if pair[0].lower() not in {b"content-length", b"etag"}]
    return [*kept, (b"content-length", b"%d" % size)]


def reshaped(body: bytes, *, legacy: bool) -> bytes | None:
    """None for what is no list of voices."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    rest: dict[str, Any] = dict(parsed) if isinstance(parsed, dict) else {}
    given = parsed if isinstance(parsed, list) else rest.get("voices", rest.get("data"))
    if isinstance(given, Mapping):
        given = [
            {"id": name, **(one if isinstance(one, dict) else {})} for name, one in given.items()
        ]
    if not isinstance(given, list):
        return None
    voices = [voice for one in given if (voice := _voice(one)) is not None]
    ids = [voice["id"] for voice in voices]
    rest.pop("data", None)
    return orjson.dumps({**rest, "voices": ids if legacy else voices, "ids": ids})


def _voice(one: Any) -> dict[str, Any] | None:
    if isinstance(one, str) and one:
        return {"id": one, "name": one}
    if not isinstance(one, dict):
        return None
    found = next((one[key] for key in _NAMES if isinstance(one.get(key), str) and one[key]), None)
    if found is None:
        return None
    name = one.get("name")
    return {**one, "id": found, "name": name if isinstance(name, str) and name else found}
