"""Foreign web pages are kept out: cross-site requests (CSRF) and rebound names (DNS rebinding).

Programs (curl, SDKs, our CLI) are not affected: they send none of the headers looked at here.

* A request that changes something and comes from a browser must be of the same origin: by
  `Sec-Fetch-Site` (`same-origin`, or `none` = typed by the person), which no page can forge; where
  it is absent (plain http in a LAN) `Origin` must be our `Host`. There is no CORS.
* A page of `evil.example` may let that name point at this box; then origin and host do agree. So
  a browser's request must also be to a name that no stranger can own: an IP address, a name
  without a dot, one under a private suffix (.local, .lan, .home.arpa, .internal, .onion, .ts.net
  and the like), or one of the configured names. This holds for reading as well.

Refuses to be authentication: who may do what is not decided here.
"""

import ipaddress
from collections.abc import Callable, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from server.base.errors import Forbidden
from server.gateway.wire import NOTES, REQUEST_ID, Header, error_answer, header

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Not delegated in the public DNS, or (ts.net) handed out with addresses of its own network only.
PRIVATE_SUFFIXES = (
    ".local",
    ".localhost",
    ".lan",
    ".home",
    ".home.arpa",
    ".internal",
    ".intranet",
    ".localdomain",
    ".private",
    ".corp",
    ".onion",
    ".startos",
    ".test",
    ".ts.net",
)
_BROWSER_HEADERS = frozenset({b"origin", b"sec-fetch-site", b"referer", b"accept-language"})
_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}


def split_host(value: str) -> tuple[str, str]:
    """`name`, `port` (empty when absent) of a Host header; the name in lower case without dot."""
    value = value.strip().lower()
    if value.startswith("["):
        name, _, rest = value[1:].partition("]")
        return name, rest.removeprefix(":")
    name, _, port = value.partition(":") if value.count(":") <= 1 else (value, "", "")
    return name.rstrip("."), port


def is_own_name(name: str, allowed: Sequence[str]) -> bool:
    """Whether `name` can only mean this network, or is one the settings name (`*`: any)."""
    if not name:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        return True
    if "." not in name or name.endswith(PRIVATE_SUFFIXES):
        return True
    return "*" in allowed or name in {one.lower().rstrip(".") for one in allowed}


def same_origin(origin: str, host: str) -> bool:
    """Whether an `Origin` is the site that `Host` names. The scheme may differ: TLS may end in
    front of us. `null` (sandboxed frame, local file) is nobody's origin."""
    scheme, found, rest = origin.strip().lower().partition("://")
    if not found:
        return False
    theirs, ours = split_host(rest), split_host(host)
    default = _DEFAULT_PORTS.get(scheme, "")
    return theirs[0] == ours[0] and (theirs[1] or default) == (ours[1] or default)


def from_browser(headers: Sequence[Header]) -> bool:
    return any(key in _BROWSER_HEADERS for key, _ in headers) or (
        header(headers, b"user-agent") or b""
    ).startswith(b"Mozilla/")


def objection(method: str, headers: Sequence[Header], allowed: Sequence[str]) -> Forbidden | None:
    """Why a request is refused, or None. Pure."""
    if not from_browser(headers):
        return None
    host = (header(headers, b"host") or b"").decode("latin-1")
    if method not in SAFE_METHODS and not _is_same_site(headers, host):
        return Forbidden(
            "A web page of another site may not change anything here.",
            advice="Use the dashboard under the address it is served from, or a program.",
        )
    if not is_own_name(split_host(host)[0], allowed):
        return Forbidden(
            f"This app is not known under the name {split_host(host)[0][:100]!r}.",
            advice="If that name is yours, add it to web.allowed_hosts in config.yaml "
            "(SPARK_CONTROL_WEB__ALLOWED_HOSTS).",
        )
    return None


def _is_same_site(headers: Sequence[Header], host: str) -> bool:
    site = header(headers, b"sec-fetch-site")
    if site is not None:
        return site in {b"same-origin", b"none"}
    origin = header(headers, b"origin")
    return origin is None or same_origin(origin.decode("latin-1"), host)


class Guard:
    """Pure ASGI, in front of everything, the gateway included."""

    def __init__(self, app: ASGIApp, *, allowed_hosts: Callable[[], Sequence[str]]) -> None:
        self._app = app
        self._allowed_hosts = allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        # A WebSocket has no CORS and no preflight: opening one counts as a change.
        method = scope["method"] if scope["type"] == "http" else "WEBSOCKET"
        error = objection(method, scope["headers"], self._allowed_hosts())
        if error is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": error.message})
        else:
            scope.setdefault(NOTES, {})["error"] = error.code
            status, headers, body = error_answer(error, scope.get(REQUEST_ID))
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body, "more_body": False})
