"""The way of the dashboard's own scripts to the gateway: `/ui/try/v1/…` is `/v1/…`, asked by it.

Pure ASGI, in front of what reads bodies whole: uploads stream through it, that of a form without
JavaScript as well, whose answer is then drawn by the page. Refuses every path that the page does
not ask; a program has `/v1` and a key.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.base.errors import MethodNotAllowed, NotFound, SparkError
from server.gateway.wire import NOTES, REQUEST_ID, error_answer
from server.web.pages.attempt.caller import PREFIX, asked_as
from server.web.pages.attempt.inside import INERT, Ear, Heard, first

HEARD = "spark_control.heard"
"""Key in an ASGI scope of what the gateway said to a form that streamed past the page."""
FORM = f"{PREFIX}/transcribe"
PATHS = frozenset(
    {
        "/v1/chat/completions",
        "/v1/embeddings",
        "/v1/audio/transcriptions",
        "/v1/audio/translations",
        "/v1/audio/diarize",
        "/v1/audio/label-merge",
        "/v1/audio/speech",
    }
)


@dataclass(frozen=True, slots=True)
class _Label:
    """What the metrics call the route."""

    path: str


class Door:
    """In front of `inner`, the pages."""

    def __init__(self, inner: ASGIApp, gateway: ASGIApp) -> None:
        self._inner = inner
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if scope["type"] == "http" and path.startswith(f"{PREFIX}/v1/"):
            await self._relay(scope, receive, send)
        elif scope["type"] == "http" and path == FORM and scope["method"] == "POST":
            await self._form(scope, receive, send)
        else:
            await self._inner(scope, receive, send)

    async def _relay(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            asked = self._asked(scope, scope["path"].removeprefix(PREFIX).rstrip("/"))
        except SparkError as error:
            scope.setdefault(NOTES, {})["error"] = error.code
            status, headers, body = error_answer(error, scope.get(REQUEST_ID))
            if isinstance(error, MethodNotAllowed):
                headers.append((b"allow", b"POST"))
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body, "more_body": False})
            return
        scope["route"] = _Label(asked["path"])
        await self._gateway(asked, receive, _inert(send))

    def _asked(self, scope: Scope, path: str) -> Scope:
        if path not in PATHS:
            raise NotFound(f"There is no {PREFIX}{path[:200]} here.")
        if scope["method"] != "POST":
            raise MethodNotAllowed(f"{PREFIX}{path} does not answer {scope['method']}.")
        return asked_as(scope, path, "POST")

    async def _form(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The page draws what is in `HEARD`, as if it were opened."""
        ear = Ear()
        heard: Heard | SparkError
        try:
            await self._gateway(asked_as(scope, "/v1/audio/transcriptions", "POST"), receive, ear)
            heard = ear.whole()
        except SparkError as error:
            heard = error
        scope["route"] = _Label(FORM)
        page = {**scope, "method": "GET", "path": "/try/transcribe", "query_string": b""}
        page["raw_path"] = b"/try/transcribe"
        page[HEARD] = heard
        await self._inner(page, first(b"", receive), send)


def _inert(send: Send) -> Callable[[Message], Awaitable[None]]:
    async def headed(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message["headers"] if pair[0] != b"cache-control"]
            message = {**message, "headers": [*kept, *INERT]}
        await send(message)

    return headed
