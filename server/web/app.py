"""The HTTP applications put together: the JSON API, and the layers in front of it and the gateway.

Observed   request id, headers, one log line, metrics      every request
  Guard    foreign web pages and rebound names             every request
    Dispatcher ── v1 ──> Gateway                           never enters FastAPI
      Lock     who has logged in, when that is asked for   every request but the gateway's
       Door ── /ui/try/v1 ──> Gateway                      asked by a page of ours
        Entry    paths, HEAD, bound of the body
          FastAPI   JSON API and pages
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.types import ASGIApp

from server import __version__
from server.gateway.dispatch import Dispatcher
from server.web import errors
from server.web.api import (
    activity,
    backups,
    events,
    health,
    hosts,
    keys,
    models,
    services,
    sessions,
    settings,
    swaps,
    sweeps,
    usage,
)
from server.web.entry import Entry
from server.web.guard import Guard
from server.web.lock import KeyHolders, Lock, Token
from server.web.metrics import RequestMetrics
from server.web.observe import Log, Observed
from server.web.pages.attempt.door import Door
from server.web.parts import Parts
from server.web.reply import API, reply

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_api(
    parts: Parts, *, pages: Sequence[APIRouter] = (), lifespan: Lifespan | None = None
) -> FastAPI:
    """The JSON API (and `pages`), without the layers that `create_edge` puts in front."""
    app = FastAPI(
        title="Spark Control",
        version=__version__,
        openapi_url=None,  # ours below: FastAPI's own stops the loop for a tenth of a second
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.parts = parts
    errors.install(app)
    for module in (
        hosts,
        models,
        swaps,
        services,
        activity,
        sweeps,
        keys,
        usage,
        backups,
        sessions,
        settings,
        events,
    ):
        app.include_router(module.routes())
    app.add_api_route(API, _index, methods=["GET"], include_in_schema=False)
    app.add_api_route(f"{API}/openapi.json", _schema, methods=["GET"], include_in_schema=False)
    app.include_router(health.routes())
    for page in pages:
        app.include_router(page)
    return app


async def _schema(request: Request) -> Response:
    """Made when it is first asked for, beside the loop."""
    app: FastAPI = request.app
    return reply(await asyncio.to_thread(app.openapi))


async def _index() -> Response:
    nouns = (
        *("hosts", "models", "knobs", "discovery", "swaps", "services"),
        *("activity", "sweeps", "keys", "usage", "backups", "sessions", "settings", "events"),
    )
    links = {noun: f"{API}/{noun}" for noun in nouns}
    return reply({"version": __version__, "links": links | {"openapi": f"{API}/openapi.json"}})


def create_edge(
    parts: Parts,
    inner: ASGIApp,
    routes: Mapping[str, ASGIApp],
    *,
    log: Log,
    keys: KeyHolders | None = None,
    local: Token | None = None,
) -> Observed:
    """What the server runs. `routes` maps first path segments past FastAPI: `{"v1": gateway}`."""
    # What a page of ours asks of the gateway streams past the bound of the body.
    door: ASGIApp = Door(Entry(inner), routes["v1"])
    if parts.auth is not None and keys is not None:
        door = Lock(
            door,
            mode=lambda: parts.settings.current.auth.mode,
            sessions=parts.auth,
            keys=keys,
            local=local,
        )
    dispatcher = Dispatcher(door, routes)
    return Observed(
        Guard(dispatcher, allowed_hosts=parts.allowed_hosts),
        clock=parts.clock,
        metrics=RequestMetrics(parts.registry),
        log=log,
    )
