"""The threshold of the JSON API and the pages: paths, HEAD, and the bound of a body.

Pure ASGI. Owns that `/api/…` is `/api/v1/…`, that a trailing slash does not matter, that HEAD
answers like GET without a body, and that nobody sends more than the API can want. Refuses bodies
that are not JSON under `/api`: a form of a foreign page can never be one. A backup that is handed
in is passed on as it comes, by the few routes that take one; what they keep of it they bound.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.base.errors import ClientClosed, SparkError
from server.gateway.intake.body import read_body
from server.gateway.intake.head import check_type
from server.gateway.wire import NOTES, REQUEST_ID, error_answer, header
from server.web.reply import API

MAX_BODY = 1 << 20
RESTORE = f"{API}/backups/restore"
RESTORE_FORM = "/ui/settings/backup/upload"
ARCHIVES = frozenset({"application/gzip", "application/x-gzip", "application/octet-stream"})
"""What an archive is sent as: no page of another site can send these without being asked first."""
_UPLOADS = {RESTORE: ARCHIVES, RESTORE_FORM: frozenset({"multipart/form-data"})}


def canonical(path: str) -> str:
    """`/api/x` and `/api/v1/x/` are `/api/v1/x`. Pages keep their paths."""
    if len(path) > 1 and path.endswith("/"):
        path = path.rstrip("/") or "/"
    if path == "/api" or (path.startswith("/api/") and not _versioned(path)):
        return API + path.removeprefix("/api")
    return path


def _versioned(path: str) -> bool:
    return path == API or path.startswith(API + "/")


def _is_upload(scope: Scope) -> bool:
    wanted = _UPLOADS.get(scope["path"])
    if wanted is None or scope["method"] != "POST":
        return False
    value = header(scope["headers"], b"content-type") or b""
    return value.split(b";", 1)[0].strip().lower().decode("latin-1") in wanted


class Entry:
    """Wraps FastAPI. `max_body` bounds what is read before a route sees it."""

    def __init__(self, app: ASGIApp, *, max_body: int = MAX_BODY) -> None:
        self._app = app
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["path"] = canonical(scope["path"])
        try:
            if scope["method"] == "HEAD":
                await self._head(scope, receive, send)
            elif scope["method"] in {"GET", "OPTIONS"} or _is_upload(scope):
                await self._app(scope, receive, send)
            else:
                await self._with_body(scope, receive, send)
        except ClientClosed as error:
            scope.setdefault(NOTES, {})["error"] = error.code
        except SparkError as error:
            scope.setdefault(NOTES, {})["error"] = error.code
            status, headers, body = error_answer(error, scope.get(REQUEST_ID))
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _with_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the bounded body first, then hand it on as one message."""
        body = await read_body(scope["headers"], receive, self._max_body)
        if body and scope["path"].startswith(API):
            check_type(scope["headers"])
        handed = False

        async def again() -> Message:
            nonlocal handed
            if handed:
                return await receive()
            handed = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, again, send)

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask as GET, send the head, and let an endless answer (events) think the client left."""
        scope["method"] = "GET"
        ended = False

        async def headless(message: Message) -> None:
            nonlocal ended
            if message["type"] == "http.response.start":
                await send(message)
            elif not ended:
                ended = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        async def gone() -> Message:
            return {"type": "http.disconnect"} if ended else await receive()

        await self._app(scope, gone, headless)
