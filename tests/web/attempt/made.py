"""The pages under `/try` over a gateway that answers what a test says, without a socket."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import orjson
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.base.lines import Lines
from server.swap.model import Serving
from server.web.app import create_api, create_edge
from server.web.pages.attempt import routes as attempt
from server.web.pages.notice import NoticeBoard
from server.web.pages.routes import make_site, routes
from server.web.pages.site import Site
from tests.swap.made import T0, deployment
from tests.web.made import Web, web

ROOT = Path(__file__).resolve().parents[3]
OWN = {"sec-fetch-site": "same-origin"}
"""What a browser says of a request by a page of ours."""


@dataclass
class FakeGateway:
    """Remembers how it was asked. `complete` False: it breaks off in the middle."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    body: bytes = b"{}"
    complete: bool = True
    scopes: list[Scope] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def says(self, body: Any, status: int = 200) -> None:
        self.status, self.body = status, orjson.dumps(body)

    @property
    def asked(self) -> Any:
        return orjson.loads(self.bodies[-1])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.bodies.append(body)
        headers = [(key.encode(), value.encode()) for key, value in self.headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        half = len(self.body) // 2
        await send({"type": "http.response.body", "body": self.body[:half], "more_body": True})
        if self.complete:
            await send({"type": "http.response.body", "body": self.body[half:]})


@dataclass
class Try:
    """`client` asks as a page of ours does; `stranger` as a program."""

    web: Web
    site: Site
    gateway: FakeGateway
    client: httpx.AsyncClient
    stranger: httpx.AsyncClient


@asynccontextmanager
async def trying(data: Path, **options: Any) -> AsyncIterator[Try]:
    gateway = FakeGateway()
    dist = data / "dist"
    dist.mkdir()
    (dist / "manifest.json").write_text("{}")
    site = make_site(
        ROOT / "templates",
        dist,
        notices=NoticeBoard(EventBus(), SystemClock()),
        public_key="ssh-ed25519 AAAA",
        refusal=lambda _model: None,
    )
    async with web(data, **options) as made:
        pages = [attempt.routes(site, gateway), routes(site)]
        api = create_api(made.parts, pages=pages)
        # Of its own, since the house has counters of these names already.
        parts = replace(made.parts, registry=CollectorRegistry())
        edge = create_edge(parts, api, {"v1": gateway}, log=Lines("web"))
        transport = httpx.ASGITransport(app=edge)
        url = "http://127.0.0.1:9999"
        async with (
            httpx.AsyncClient(transport=transport, base_url=url, headers=OWN) as client,
            httpx.AsyncClient(transport=transport, base_url=url) as stranger,
        ):
            yield Try(made, site, gateway, client, stranger)


def serve(one: Try, model: str = "tiny") -> None:
    """The model is loaded."""
    one.web.swaps.served = Serving(model, (model,), "http://127.0.0.1:1", T0, deployment(model))
