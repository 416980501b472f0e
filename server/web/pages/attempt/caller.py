"""Who asks the gateway for the dashboard, and which requests may be asked in its name.

Owns the caller `dashboard`, under which activity, usage and metrics know these requests: the page
needs no key where programs do. Pages of others cannot become it, since browsers say of each request
where it comes from. Refuses to be a login: whoever may open the dashboard may ask.
"""

from collections.abc import Sequence

from starlette.types import Scope

from server.base.errors import Forbidden
from server.gateway.model import Caller
from server.gateway.wire import CALLER, Header, header
from server.web.guard import same_origin

DASHBOARD = "dashboard"
PREFIX = "/ui/try"
# What describes the body, and nothing of the person's browser.
_PASSED = frozenset({b"content-type", b"content-length", b"transfer-encoding", b"accept"})


def from_own_page(headers: Sequence[Header]) -> bool:
    """Whether a page of this app sent it. `Sec-Fetch-Site` is sent over https and to localhost
    only; elsewhere a browser tells the origin of everything but a GET."""
    site = header(headers, b"sec-fetch-site")
    if site is not None:
        return site == b"same-origin"
    origin, host = header(headers, b"origin"), header(headers, b"host") or b""
    return origin is not None and same_origin(origin.decode("latin-1"), host.decode("latin-1"))


def asked_as(scope: Scope, path: str, method: str) -> Scope:
    """`scope` as the gateway shall see it. Raises `Forbidden` for who is no page of ours."""
    if not from_own_page(scope["headers"]):
        raise Forbidden(
            f"{PREFIX} is for the pages of this dashboard.",
            advice=f"Programs use {path} with a key; browsers open /try.",
        )
    client = scope.get("client")
    return {
        **scope,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "method": method,
        "headers": [pair for pair in scope["headers"] if pair[0] in _PASSED],
        CALLER: Caller(DASHBOARD, client[0] if client else "", key_id=DASHBOARD),
    }
