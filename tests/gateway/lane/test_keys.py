"""Who is remembered on a connection is let in no longer than its key is good."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiohttp

from server.gateway.keys.model import Draft
from server.gateway.limits.model import Limits
from tests.gateway.keys.made import NOON, House, house
from tests.gateway.made import CHAT, Running, gateway
from tests.gateway.running import ScriptedEngine, serve, whole


@asynccontextmanager
async def guarded(tmp_path: Path) -> AsyncIterator[tuple[House, Running]]:
    async with (
        house(tmp_path) as one,
        serve(ScriptedEngine(whole({}))) as url,
        gateway(gatekeeper=one.gate, ended=[one.gate.ended]) as running,
    ):
        one.require = True
        running.serve(url)
        yield one, running


async def ask(running: Running, key: str) -> tuple[int, "aiohttp.typedefs.LooseHeaders"]:
    headers = {"authorization": f"Bearer {key}"}
    async with running.session.post(
        running.url + "/v1/chat/completions", json=CHAT, headers=headers
    ) as got:
        await got.read()
        return got.status, dict(got.headers)


async def statuses(running: Running, key: str, count: int) -> list[int]:
    """All on one connection."""
    return [(await ask(running, key))[0] for _ in range(count)]


async def test_a_revoked_key_is_refused_on_a_connection_that_used_it(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (one, running):
        minted = await one.keys.create(Draft(name="a"))
        assert await statuses(running, minted.text, 3) == [200, 200, 200]
        await one.keys.revoke("a")
        assert await statuses(running, minted.text, 2) == [401, 401]


async def test_the_old_secret_of_a_key_is_refused_on_a_connection_that_used_it(
    tmp_path: Path,
) -> None:
    """Also when somebody came by the new one meanwhile."""
    async with guarded(tmp_path) as (one, running):
        minted = await one.keys.create(Draft(name="a"))
        assert await statuses(running, minted.text, 3) == [200, 200, 200]
        fresh = await one.keys.rotate("a")
        async with aiohttp.ClientSession() as other:
            headers = {"authorization": f"Bearer {fresh.text}"}
            url = running.url + "/v1/chat/completions"
            for _ in range(2):
                async with other.post(url, json=CHAT, headers=headers) as got:
                    assert got.status == 200
        assert await statuses(running, minted.text, 2) == [401, 401]


async def test_a_key_that_expires_is_refused_from_that_moment(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (one, running):
        draft = Draft(name="a", expires_at=NOON + timedelta(hours=1))
        minted = await one.keys.create(draft)
        assert await statuses(running, minted.text, 3) == [200, 200, 200]
        one.clock.pass_(hours=2)
        assert await statuses(running, minted.text, 1) == [401]


async def test_new_rules_of_a_key_hold_for_the_next_request(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (one, running):
        minted = await one.keys.create(Draft(name="a"))
        assert await statuses(running, minted.text, 3) == [200, 200, 200]
        draft = replace(minted.key.draft, limits=Limits(requests_per_minute=2))
        await one.keys.replace("a", draft)
        assert await statuses(running, minted.text, 3) == [200, 200, 429]


async def test_a_request_counts_once_against_its_limit_and_is_told_what_is_left(
    tmp_path: Path,
) -> None:
    async with guarded(tmp_path) as (one, running):
        minted = await one.keys.create(
            Draft(name="a", limits=Limits(requests_per_minute=9, tokens_per_minute=1000))
        )
        left = []
        for _ in range(3):
            _, headers = await ask(running, minted.text)
            left.append(dict(headers)["x-ratelimit-remaining-requests"])
        assert left == ["8", "7", "6"]


async def test_a_key_was_last_used_when_it_was_used_last(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (one, running):
        minted = await one.keys.create(Draft(name="a"))
        assert await statuses(running, minted.text, 3) == [200, 200, 200]
        one.clock.pass_(hours=2)
        assert await statuses(running, minted.text, 1) == [200]
        await running.passages.get()
        assert one.keys.get("a").last_used_at == one.clock.now()


async def test_a_gateway_that_wants_keys_from_now_on_gets_them(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (one, running):
        one.require = False
        assert await statuses(running, "no-key", 3) == [200, 200, 200]
        one.require = True
        assert await statuses(running, "no-key", 1) == [401]
