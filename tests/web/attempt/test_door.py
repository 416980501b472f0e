"""The way of the dashboard's scripts to the gateway: only for its own pages, under its own name."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from server.config.gateway import Gateway as GatewaySettings
from server.gateway.client.make import make_client
from server.gateway.model import Caller
from server.gateway.service import Gateway
from server.gateway.wire import CALLER
from server.web.pages.attempt.caller import DASHBOARD, from_own_page
from server.web.pages.attempt.door import PATHS
from tests.gateway.keys.made import house
from tests.web.attempt.made import Try, trying

CHAT = "/ui/try/v1/chat/completions"


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Try]:
    async with trying(tmp_path) as made:
        yield made


@pytest.mark.parametrize("path", sorted(PATHS))
async def test_a_page_of_ours_asks_the_gateway_as_the_dashboard(one: Try, path: str) -> None:
    """The same path without the prefix; nothing of the person's browser goes along."""
    got = await one.client.post(
        f"/ui/try{path}?x=1",
        json={"model": "tiny"},
        headers={"authorization": "Bearer x", "cookie": "a=b", "referer": "http://127.0.0.1:9999"},
    )
    assert got.status_code == 200
    scope = one.gateway.scopes[-1]
    assert (scope["path"], scope["query_string"]) == (path, b"")
    assert scope[CALLER] == Caller(DASHBOARD, "127.0.0.1", key_id=DASHBOARD)
    assert {name for name, _ in scope["headers"]} <= {b"content-type", b"content-length", b"accept"}
    assert one.gateway.asked == {"model": "tiny"}


async def test_what_an_engine_answers_cannot_act_as_a_page_of_ours(one: Try) -> None:
    """Opened in a tab it has no scripts and no origin."""
    one.gateway.headers = {"content-type": "text/html", "cache-control": "public"}
    got = await one.client.post(CHAT, json={})
    assert got.headers["content-security-policy"].startswith("sandbox")
    assert got.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "none"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"authorization": "Bearer sk-spark-x"},
    ],
)
async def test_nobody_else_gets_in(one: Try, headers: dict[str, str]) -> None:
    """A program has /v1 and a key: this way would be one around the key."""
    for path in (CHAT, "/ui/try/chat", "/ui/try/voices", "/ui/try/transcribe"):
        got = await one.stranger.post(path, json={}, headers=headers)
        assert got.status_code in {400, 403, 422}, path
    assert not one.gateway.scopes


async def test_over_plain_http_the_origin_says_whose_page_it_is(one: Try) -> None:
    """Browsers leave `Sec-Fetch-Site` out there."""
    got = await one.stranger.post(CHAT, json={}, headers={"origin": "http://127.0.0.1:9999"})
    assert got.status_code == 200
    assert not from_own_page([(b"host", b"box"), (b"origin", b"http://box:1")])
    assert from_own_page([(b"host", b"box"), (b"origin", b"https://box")])


@pytest.mark.parametrize("path", ["/v1/models", "/v1/responses", "/qdrant/x", "/v1/", "/v1/../x"])
async def test_only_what_the_page_asks_is_reached(one: Try, path: str) -> None:
    """Everything else is as if it were not there."""
    got = await one.client.post(f"/ui/try{path}", json={})
    assert got.status_code in {404, 405}
    refused = await one.client.get(CHAT)
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert not one.gateway.scopes


async def test_an_upload_passes_the_bound_of_other_forms(one: Try) -> None:
    """What the pages read whole is at most 1 MiB; a recording is not read here at all."""
    sent = b"x" * (3 << 20)
    got = await one.client.post("/ui/try/v1/audio/transcriptions", content=sent)
    assert got.status_code == 200
    assert one.gateway.bodies[-1] == sent
    got = await one.client.post(
        "/ui/try/transcribe", files={"file": ("a.wav", sent)}, data={"model": "parakeet"}
    )
    assert len(one.gateway.bodies[-1]) > len(sent)
    assert one.gateway.scopes[-1]["path"] == "/v1/audio/transcriptions"


async def test_the_dashboard_needs_no_key_where_programs_do(tmp_path: Path) -> None:
    """The caller comes from within: no header can say it."""
    async with house(tmp_path) as keys:
        keys.require = True
        gateway = Gateway(
            router=None,  # type: ignore[arg-type] - nothing is routed here
            upstream=make_client("pooled"),
            settings=GatewaySettings,
            entries=list,
            gatekeeper=keys.gate,
        )

        async def within(scope: Scope, receive: Receive, send: Send) -> None:
            await gateway({**scope, CALLER: Caller(DASHBOARD, key_id=DASHBOARD)}, receive, send)

        for app, status in ((gateway, 401), (within, 200)):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://box") as client:
                got = await client.get("/v1/models", headers={"spark_control.caller": "dashboard"})
            assert got.status_code == status
