"""The fork in front of FastAPI: requests under a known first segment go to their own application.

Owns nothing but the choice. It costs a microsecond, where a route inside FastAPI costs a hundred.
"""

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send


class Dispatcher:
    """`routes` maps a first path segment (`v1`) to an application; all else, and the life span,
    goes to `inner`."""

    def __init__(self, inner: ASGIApp, routes: Mapping[str, ASGIApp]) -> None:
        self._inner = inner
        self._routes = dict(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._inner
        if scope["type"] != "lifespan":
            first = scope["path"].split("/", 2)[1:2]
            if first:
                app = self._routes.get(first[0], app)
        await app(scope, receive, send)
