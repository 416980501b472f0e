"""The whole app behind its lock: pages, JSON API, programs, the gateway."""

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher

from server.app import build
from server.auth.password import Password
from server.config.paths import DataDir
from server.gateway.keys.model import Draft
from server.running import App

RIGHT = "correct horse battery"
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux) Firefox/140.0", "accept": "text/html"}
SITE = "http://127.0.0.1:9999"
OURS = {**BROWSER, "origin": SITE, "sec-fetch-site": "same-origin"}


@asynccontextmanager
async def running(folder: Path, config: str = "auth: {mode: password}\n") -> AsyncIterator[App]:
    (folder / "config.yaml").write_text(config)
    data = DataDir(folder)
    data.prepare()
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    Password(data.password, cheap).write(RIGHT)
    app = build(data, {})
    await app.start()
    try:
        yield app
    finally:
        await app.begin_shutdown()
        await app.close()


def browser(app: App, **more: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app.edge, client=("192.0.2.9", 4000))
    return httpx.AsyncClient(transport=transport, base_url=SITE, headers={**OURS, **more})


def program(app: App, key: str = "") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app.edge, client=("192.0.2.9", 4000))
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.AsyncClient(transport=transport, base_url=SITE, headers=headers)


async def test_a_browser_is_led_to_the_login_and_back(tmp_path: Path) -> None:
    """Cookie for no script and no other site; out again, and the cookie is worth nothing."""
    async with running(tmp_path) as app, browser(app) as client:
        sent = await client.get("/swaps?model=a")
        assert (sent.status_code, sent.headers["location"]) == (
            303,
            "/login?next=%2Fswaps%3Fmodel%3Da",
        )
        page = await client.get(sent.headers["location"])
        assert page.status_code == 200
        assert "/api" not in page.text
        wrong = await client.post("/login", data={"password": "wrong", "next": "/swaps?model=a"})
        assert wrong.status_code == 422
        assert "That is not the password." in wrong.text
        assert 'value="/swaps?model=a"' in wrong.text
        right = await client.post("/login", data={"password": RIGHT, "next": "/swaps?model=a"})
        assert (right.status_code, right.headers["location"]) == (303, "/swaps?model=a")
        cookie = right.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert "secure" not in cookie
        assert (await client.get("/swaps?model=a")).status_code == 200
        kept = client.cookies["spark_session"]
        out = await client.post("/logout")
        assert out.headers["location"] == "/login"
        client.cookies.set("spark_session", kept)
        assert (await client.get("/api/v1/hosts")).status_code == 401


async def test_a_cookie_got_over_tls_is_never_sent_without(tmp_path: Path) -> None:
    """TLS ends in front of us; the browser says what it sees."""
    async with running(tmp_path) as app:
        secure = {"origin": "https://127.0.0.1:9999"}
        async with browser(app, **secure) as client:
            answer = await client.post("/login", data={"password": RIGHT})
        assert "secure" in answer.headers["set-cookie"].lower()


CLOSED = ["/api/v1/hosts", "/api/hosts", "/metrics", "/api/v1/openapi.json"]


@pytest.mark.parametrize("path", CLOSED)
async def test_a_program_without_a_key_is_told_what_it_needs(tmp_path: Path, path: str) -> None:
    """JSON, no redirect: it could not type a password."""
    async with running(tmp_path) as app, program(app) as client:
        answer = await client.get(path)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert (await client.get("/livez")).status_code == 200


async def test_keys_open_what_their_scopes_say(tmp_path: Path) -> None:
    """`read` looks, `admin` acts, `gateway` is for the gateway."""
    async with running(tmp_path) as app:
        keys = {
            scope: (await app.keys.create(Draft(scope, frozenset({scope})))).text  # type: ignore[arg-type]
            for scope in ("read", "admin", "gateway")
        }
        model = {"model": "nothing"}
        for scope, looks, acts in (("read", 200, 403), ("admin", 200, 404), ("gateway", 403, 403)):
            async with program(app, keys[scope]) as client:
                assert (await client.get("/api/v1/hosts")).status_code == looks, scope
                assert (await client.post("/api/v1/swaps", json=model)).status_code == acts, scope
        async with program(app, keys["read"][:-1] + "x") as client:
            assert (await client.get("/api/v1/hosts")).status_code == 401


async def test_who_may_read_our_data_is_let_in(tmp_path: Path) -> None:
    """By a token of this start, for our user alone; it is gone when the app ends."""
    file = tmp_path / "local.token"
    async with running(tmp_path) as app:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        text = file.read_text()
        async with program(app, text) as client:
            assert (await client.get("/api/v1/hosts")).status_code == 200
            assert (await client.post("/api/v1/swaps", json={"model": "x"})).status_code == 404
        async with program(app, text[:-1] + "!") as client:
            assert (await client.get("/api/v1/hosts")).status_code == 401
    assert not file.exists()


async def test_the_gateway_has_its_own_keys(tmp_path: Path) -> None:
    """Programs go on as before; `gateway.require_key` is what closes it."""
    async with running(tmp_path) as app, program(app) as client:
        assert (await client.get("/v1/models")).status_code == 200


async def test_what_the_try_pages_ask_of_the_gateway_needs_the_session(tmp_path: Path) -> None:
    """It is asked without a key, so the lock must be in front of it."""
    async with running(tmp_path) as app, browser(app) as client:
        asked = {"model": "tiny", "messages": []}
        answer = await client.post("/ui/try/v1/chat/completions", json=asked)
        assert answer.status_code == 401


async def test_a_fragment_tells_the_page_to_go_to_the_login(tmp_path: Path) -> None:
    """What is shown there may not be shown any more."""
    async with running(tmp_path) as app, browser(app, **{"hx-request": "true"}) as client:
        answer = await client.get("/ui/hosts")
        assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login")


async def test_ending_a_session_ends_what_streams_to_it(tmp_path: Path) -> None:
    """The event stream of an open page, at once."""
    async with running(tmp_path) as app, browser(app) as client:
        await client.post("/login", data={"password": RIGHT})
        (session,) = app.auth.every()
        before = app.bus.subscribers
        stream = asyncio.create_task(client.get("/api/v1/events"))
        async with asyncio.timeout(60):
            while app.bus.subscribers == before:  # noqa: ASYNC110 - the bus tells nobody of it
                await asyncio.sleep(0)
            await app.auth.end(session.id)
            answer = await stream
        assert answer.text.startswith("retry:")
        assert (await client.get("/api/v1/hosts")).status_code == 401


async def test_readiness_tells_strangers_states_and_no_reasons(tmp_path: Path) -> None:
    """Reasons name hosts."""
    async with running(tmp_path) as app:
        async with program(app) as client:
            told = (await client.get("/readyz")).json()["checks"]
        assert all(check["reason"] == "" for check in told)
        async with browser(app) as client:
            await client.post("/login", data={"password": RIGHT})
            told = (await client.get("/readyz")).json()["checks"]
        assert any(check["reason"] for check in told)


async def test_an_open_app_asks_nobody(tmp_path: Path) -> None:
    """And the login leads on."""
    async with running(tmp_path, "auth: {mode: open}\n") as app, browser(app) as client:
        assert (await client.get("/api/v1/hosts")).status_code == 200
        assert (await client.get("/login?next=/swaps")).headers["location"] == "/swaps"


async def test_the_page_sets_a_password_then_the_lock(tmp_path: Path) -> None:
    """In this order; the present password is asked for to change it, other sessions end."""
    async with running(tmp_path, "auth: {mode: open}\n") as app, browser(app) as client:
        Path(tmp_path / "password").unlink()
        refused = await client.post("/ui/settings/access/mode", data={"mode": "password"})
        assert refused.status_code == 409
        new = {"password": "another horse 1", "again": "another horse 2"}
        unlike = await client.post("/ui/settings/access/password", data=new)
        assert "not the same" in unlike.text
        new["again"] = new["password"]
        assert (await client.post("/ui/settings/access/password", data=new)).status_code == 303
        locked = await client.post("/ui/settings/access/mode", data={"mode": "password"})
        assert locked.status_code == 303
        assert (await client.get("/settings/access")).status_code == 303
        await client.post("/login", data={"password": new["password"]})
        page = await client.get("/settings/access")
        assert "Firefox on Linux" in page.text
        async with browser(app) as other:
            await other.post("/login", data={"password": new["password"]})
            wrong = {"current": "no", "password": RIGHT, "again": RIGHT}
            kept = await client.post("/ui/settings/access/password", data=wrong)
            assert kept.status_code == 422
            right = wrong | {"current": new["password"]}
            assert (await client.post("/ui/settings/access/password", data=right)).is_redirect
            assert (await client.get("/settings/access")).status_code == 200
            assert (await other.get("/api/v1/hosts")).status_code == 401


async def test_locking_ends_what_streams_to_those_who_came_in_before(tmp_path: Path) -> None:
    """Who was let in by an open door would else see every event until he leaves."""
    async with running(tmp_path, "auth: {mode: open}\n") as app, browser(app) as client:
        before = app.bus.subscribers
        stream = asyncio.create_task(client.get("/api/v1/events"))
        async with asyncio.timeout(60):
            while app.bus.subscribers == before:  # noqa: ASYNC110 - the bus tells nobody of it
                await asyncio.sleep(0)
            locked = await client.post("/ui/settings/access/mode", data={"mode": "password"})
            assert (await client.get(locked.headers["location"])).status_code == 303
            assert (await stream).text.startswith("retry:")


async def test_a_form_whose_session_is_over_leads_to_the_login(tmp_path: Path) -> None:
    """A person sees a page, htmx is told to go there, a program gets an error."""
    async with running(tmp_path) as app:
        async with browser(app) as client:
            sent = await client.post("/logout", data={"a": ""})
            assert (sent.status_code, sent.headers["location"]) == (303, "/login")
            sent = await client.post("/logout", data={"a": ""}, headers={"hx-request": "true"})
            assert (sent.status_code, sent.headers["hx-redirect"]) == (401, "/login")
        async with program(app) as client:
            assert (await client.post("/logout")).status_code == 401


async def test_the_api_does_not_lock_everybody_out(tmp_path: Path) -> None:
    """As the page: the password comes first."""
    async with running(tmp_path, "auth: {mode: open}\n") as app, browser(app) as client:
        Path(tmp_path / "password").unlink()
        body = {"values": {"mode": "password"}}
        refused = await client.put("/api/v1/settings/auth", json=body)
        assert (refused.status_code, refused.json()["error"]["param"]) == (409, "mode")
        assert app.settings.current.auth.mode == "open"


async def test_a_key_that_is_revoked_hears_no_further_event(tmp_path: Path) -> None:
    """The stream ends in place of the next one."""
    async with running(tmp_path) as app:
        key = (await app.keys.create(Draft("reader", frozenset({"read"})))).text
        async with program(app, key) as client:
            before = app.bus.subscribers
            stream = asyncio.create_task(client.get("/api/v1/events"))
            async with asyncio.timeout(60):
                while app.bus.subscribers == before:  # noqa: ASYNC110 - the bus tells nobody of it
                    await asyncio.sleep(0)
                app.bus.publish("notice", "first", {"message": "for all"})
                await asyncio.sleep(0)
                await app.keys.revoke("reader")
                app.bus.publish("notice", "second", {"message": "not for it"})
                answer = await stream
        assert "not for it" not in answer.text
