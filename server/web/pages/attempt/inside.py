"""The gateway asked from within, for pages that work without JavaScript.

Owns that a whole answer is bounded, that a person who leaves ends what was asked, and how a refusal
of the gateway is read. Refuses to know what was asked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import orjson
from fastapi import Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.base.errors import SparkError, UpstreamError
from server.gateway.wire import Header, header
from server.web.pages.attempt.caller import asked_as

LARGEST = 8 << 20
JSON = (b"content-type", b"application/json")
# Whatever an engine answers with: opened as a page, it must not act as one of ours.
INERT: tuple[Header, ...] = (
    (b"content-security-policy", b"sandbox; default-src 'none'; media-src 'self'"),
    (b"cache-control", b"no-store"),
)


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer of the gateway, whole."""

    status: int
    headers: tuple[Header, ...]
    body: bytes

    @property
    def media(self) -> str:
        value = header(self.headers, b"content-type") or b""
        return value.split(b";", 1)[0].strip().lower().decode("latin-1")


class Ear:
    """Takes what the gateway sends. `whole` when it has ended."""

    def __init__(self) -> None:
        self._status = 0
        self._headers: tuple[Header, ...] = ()
        self._pieces: list[bytes] = []
        self._size = 0
        self._complete = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], tuple(message["headers"])
            return
        piece = message.get("body", b"")
        self._size += len(piece)
        if self._size <= LARGEST:
            self._pieces.append(piece)
        self._complete = not message.get("more_body", False)

    def whole(self) -> Heard:
        """Raises `UpstreamError` for an answer that was cut off, or is too large to be shown."""
        if not self._complete:
            raise UpstreamError("The answer broke off before its end.")
        if self._size > LARGEST:
            raise UpstreamError(
                f"The answer is larger than the {LARGEST >> 20} MiB that a page can show.",
                advice="Use the command below: it writes the answer to your terminal.",
            )
        return Heard(self._status, self._headers, b"".join(self._pieces))


async def ask(
    gateway: ASGIApp, request: Request, path: str, body: object = None, model: str = ""
) -> Heard:
    """`body` as JSON; without one it is a GET, of `model` when that is named. Raises `Forbidden`
    for who is no page of ours, `UpstreamError` as `Ear`."""
    scope, receive = _asked(request, path, body)
    if model:
        # Not in a header: what was typed may hold what would end one.
        scope["query_string"] = urlencode({"model": model}).encode()
    ear = Ear()
    await gateway(scope, receive, ear)
    return ear.whole()


def _asked(request: Request, path: str, body: object) -> tuple[Scope, Receive]:
    scope = asked_as(request.scope, path, "GET" if body is None else "POST")
    content = b"" if body is None else orjson.dumps(body)
    length = (b"content-length", str(len(content)).encode())
    scope["headers"] = [JSON, length] if content else []
    return scope, first(content, request.receive)


class Passed(Response):
    """An answer that goes to the person as it comes, as a file; a refusal is drawn by `page`."""

    def __init__(
        self,
        gateway: ASGIApp,
        request: Request,
        path: str,
        body: object,
        *,
        name: str,
        page: Callable[[Heard | SparkError], Response],
    ) -> None:
        super().__init__()
        self._gateway = gateway
        self._asked = _asked(request, path, body)
        self._name = name
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ear = Ear()
        passing = False

        async def heard(message: Message) -> None:
            nonlocal passing
            if message["type"] == "http.response.start" and message["status"] < 400:
                passing = True
                message = {**message, "headers": self._named(message["headers"])}
            await (send if passing else ear)(message)

        await self._gateway(*self._asked, heard)
        if not passing:
            answer: Heard | SparkError
            try:
                answer = ear.whole()
            except SparkError as error:
                answer = error
            await self._page(answer)(scope, receive, send)

    def _named(self, headers: Sequence[Header]) -> list[Header]:
        """Saved, and never a page of ours, whatever the service says that it is. Shown in the
        browser it would be fetched again, by a GET."""
        kept = [pair for pair in headers if pair[0] in {b"content-type", b"content-length"}]
        named = (b"content-disposition", f'attachment; filename="{self._name}"'.encode())
        return [*kept, named, *INERT]


def first(body: bytes, rest: Receive) -> Receive:
    """`body`, then what else is heard of the person: that they left."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return await rest()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
