"""The lock on the dashboard and the JSON API, when `auth.mode` is `password`.

Pure ASGI, in front of everything but the gateway, which has its own keys. Lets in who holds a
session (a cookie) or an API key with the right scope; a browser that opens a page is sent to the
login and back, everybody else gets an error. A session or a key that is ended ends what streams to
it; the lock, when it is put on, ends what streams to those who came in before. Refuses to decide:
`server.auth.doors` says what a path needs.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.auth.doors import Need, need, opens
from server.auth.session import COOKIE, Session
from server.base.errors import Forbidden, InvalidApiKey, SparkError
from server.gateway.keys import token
from server.gateway.model import Caller
from server.gateway.wire import NOTES, REQUEST_ID, Header, error_answer, header

SESSION = "spark.session"
"""Where in the scope the session of a request is found."""
STRANGER = "spark.stranger"
"""Set in the scope of a request that was let in without having to show anything."""

_FORMS = frozenset({b"application/x-www-form-urlencoded", b"multipart/form-data"})
Mode = Literal["open", "password"]


class Sessions(Protocol):
    def find(self, cookie: str) -> Session | None: ...

    def over(self, session_id: str) -> asyncio.Event: ...


class Token(Protocol):
    def is_this(self, text: str) -> bool: ...


class KeyHolders(Protocol):
    """Raises `InvalidApiKey` and `RateLimited`."""

    def identify(self, headers: list[Header], address: str) -> Caller: ...


class Lock:
    """`mode` is asked for each request: a change of the settings takes effect at once."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        mode: Callable[[], Mode],
        sessions: Sessions,
        keys: KeyHolders,
        local: Token | None = None,
    ) -> None:
        self._app = app
        self._mode = mode
        self._sessions = sessions
        self._keys = keys
        self._local = local
        self._locked = asyncio.Event()
        """Set when the door that the requests went through was locked behind them."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        session = self._session(scope["headers"])
        if session is not None:
            scope[SESSION] = session
        if self._mode() == "open" and scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._mode() == "open":
            await _while(self._locked, self._app, scope, receive, send)
            return
        # Whoever locks it is led to another page: there is a request at once.
        self._locked.set()
        self._locked = asyncio.Event()
        wanted = need(scope.get("method", "GET"), scope["path"])
        if session is not None and wanted != "nothing":
            await _while(self._sessions.over(session.id), self._app, scope, receive, send)
            return
        try:
            self._check(scope, wanted)
        except SparkError as error:
            await _refuse(scope, send, error)
        else:
            if wanted == "nothing":
                await self._app(scope, receive, send)
                return
            still = partial(self._still, scope, wanted)
            await _while(asyncio.Event(), self._app, scope, receive, send, still=still)

    def _still(self, scope: Scope, wanted: Need) -> bool:
        try:
            self._check(scope, wanted)
        except SparkError:
            return False
        return True

    def _session(self, headers: list[Header]) -> Session | None:
        cookie = cookie_of(headers, COOKIE)
        return self._sessions.find(cookie) if cookie else None

    def _check(self, scope: Scope, wanted: Need) -> None:
        presented = token.presented(scope["headers"])
        if presented and self._local is not None and self._local.is_this(presented):
            return
        ours = presented is not None and token.is_ours(presented)
        if wanted == "nothing" and not ours:
            scope[STRANGER] = SESSION not in scope
            return
        if not ours:
            raise InvalidApiKey(
                "Log in first, or send an API key.",
                advice="Programs send `Authorization: Bearer sk-spark-…` with a key that has the "
                "scope read or admin; the command line takes it from SPARK_CONTROL_API_KEY.",
            )
        client = scope.get("client")
        caller = self._keys.identify(scope["headers"], client[0] if client else "")
        if not opens(caller.scopes, wanted):
            raise Forbidden(
                f"The key {caller.name!r} may not do this.",
                advice=f"It needs the scope `{wanted}`.",
            )


def cookie_of(headers: list[Header], name: str) -> str | None:
    """The first cookie of this name. What else is in the header is not looked at."""
    wanted = f"{name}="
    for key, value in headers:
        if key == b"cookie":
            for part in value.decode("latin-1").split(";"):
                if part.strip().startswith(wanted):
                    return part.strip().removeprefix(wanted)
    return None


# ---- saying no


async def _refuse(scope: Scope, send: Send, error: SparkError) -> None:
    scope.setdefault(NOTES, {})["error"] = error.code
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": error.message})
        return
    login = login_address(scope)
    if login is not None and isinstance(error, InvalidApiKey):
        await _answer(send, 303, [(b"location", login.encode()), (b"cache-control", b"no-store")])
        return
    status, headers, body = error_answer(error, scope.get(REQUEST_ID))
    if isinstance(error, InvalidApiKey) and _from_htmx(scope):
        # The page is told to go: what it shows may not be shown any more.
        headers = [*headers, (b"hx-redirect", b"/login")]
    await _answer(send, status, headers, body)


def login_address(scope: Scope) -> str | None:
    """Where a browser that opens a page or sends a form is led; None for everything else."""
    accepts = header(scope["headers"], b"accept") or b""
    if b"text/html" not in accepts or scope["path"].startswith("/api"):
        return None
    sent = (header(scope["headers"], b"content-type") or b"").partition(b";")[0].lower()
    if scope["method"] == "POST" and sent in _FORMS and not _from_htmx(scope):
        return "/login"  # a form whose session is over: what was typed is lost either way
    if scope["method"] not in {"GET", "HEAD"} or scope["path"].startswith("/ui/"):
        return None
    query = scope.get("query_string", b"").decode("latin-1")
    wanted = scope["path"] + (f"?{query}" if query else "")
    return "/login" if wanted == "/" else f"/login?next={quote(wanted, safe='')}"


def _from_htmx(scope: Scope) -> bool:
    return header(scope["headers"], b"hx-request") == b"true"


async def _answer(send: Send, status: int, headers: list[Header], body: bytes = b"") -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


# ---- a session that ends


async def _while(
    over: asyncio.Event,
    app: ASGIApp,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    still: Callable[[], bool] | None = None,
) -> None:
    """For what is still being answered, the end of its session is as if the caller had left; the
    answer is ended, since the caller has not. `still` is asked before each part of a stream: a key
    may have been revoked meanwhile."""
    unfinished = False

    async def noted(message: Message) -> None:
        nonlocal unfinished
        if message["type"] == "http.response.start":
            unfinished = True
        elif message["type"] == "http.response.body":
            more = message.get("more_body", False)
            if more and still is not None and not still():
                over.set()
                return
            unfinished = more
        await send(message)

    await app(scope, _until(receive, over), noted)
    if unfinished and over.is_set():
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _until(receive: Receive, over: asyncio.Event) -> Receive:
    async def either() -> Message:
        if over.is_set():
            return {"type": "http.disconnect"}
        message = asyncio.ensure_future(receive())
        ended = asyncio.ensure_future(over.wait())
        try:
            await asyncio.wait({message, ended}, return_when=asyncio.FIRST_COMPLETED)
            return message.result() if message.done() else {"type": "http.disconnect"}
        finally:
            message.cancel()
            ended.cancel()

    return either
