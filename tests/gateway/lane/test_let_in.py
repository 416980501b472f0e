"""Nobody is let in on the fast lane who would be refused on the ordinary way.

Two houses with the same keys, one with the lane: the same things happen in both, and the same is
asked in both, each on one connection that is kept alive.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from server.config.gateway import Anonymous
from server.gateway.keys.model import Draft
from server.gateway.limits.model import Limits
from tests.gateway.keys.made import House, house
from tests.gateway.lane.both import BODY, post
from tests.gateway.lane.test_phases import Near, connected
from tests.gateway.made import CHAT, Running, gateway
from tests.gateway.running import ScriptedEngine, serve, whole

STEPS = 250
NAMES = ("a", "b")
HAPPENS = (
    *("make", "make", "change", "change", "rotate", "revoke"),
    *("require", "anonymous", "later"),
)


@dataclass
class Side:
    """One house, its gateway and the connection of a client; `keys` are the texts by name."""

    house: House
    running: Running
    near: Near
    keys: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in NAMES})
    flown: int = 0

    async def ask(self, *headers: str, body: bytes = BODY, host: str = "x") -> int:
        wire = post(body, *[header.encode("latin-1") for header in headers])
        self.near.writer.write(wire.replace(b"host: x", b"host: " + host.encode(), 1))
        head = await asyncio.wait_for(self.near.reader.readuntil(b"\r\n\r\n"), 10)
        length = re.search(rb"content-length: (\d+)", head)
        await self.near.reader.readexactly(int(length[1]) if length else 0)
        while not self.running.passages.empty():
            one = self.running.passages.get_nowait()
            self.flown += one.admitted == one.arrived and one.status == 200
        return int(head.split(b" ")[1])

    async def happens(self, what: str, name: str, draft: Draft) -> None:
        keys, texts = self.house.keys, self.keys[name]
        known = [key for key in keys.every() if key.name == name and key.revoked_at is None]
        if what == "make" and not known:
            texts.append((await keys.create(replace(draft, name=name))).text)
        elif what == "change" and known:
            await keys.replace(known[0].id, replace(draft, name=name))
        elif what == "rotate" and known:
            texts.append((await keys.rotate(known[0].id)).text)
        elif what == "revoke" and known:
            await keys.revoke(known[0].id)
        elif what == "require":
            self.house.require = not self.house.require
        elif what == "anonymous":
            self.house.anonymous = Anonymous(requests_per_minute=7)
        elif what == "later":
            self.house.clock.pass_(minutes=20)


@asynccontextmanager
async def sides(tmp_path: Path) -> AsyncIterator[tuple[Side, Side]]:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(
            serve(ScriptedEngine(whole({}, 200, (b"content-length", b"2"))))
        )
        made = []
        for fast in (True, False):
            data = tmp_path / str(fast)
            data.mkdir()
            one = await stack.enter_async_context(house(data))
            running = await stack.enter_async_context(
                gateway(gatekeeper=one.gate, ended=[one.gate.ended], fast_lane=fast)
            )
            running.serve(url)
            near = await connected(running)
            stack.callback(near.writer.close)
            made.append(Side(one, running, near))
        yield made[0], made[1]


def drafts(chance: random.Random, side: Side) -> Draft:
    """Rules that refuse half of what is asked."""
    return Draft(
        name="",
        scopes=chance.choice([("gateway",), ("gateway", "read"), ("read",)]),
        models=chance.choice([(), (), ("tiny",), ("small",), ("large",)]),
        limits=chance.choice([Limits(), Limits(), Limits(requests_per_minute=2)]),
        expires_at=chance.choice(
            [None, None, side.house.clock.now() + timedelta(minutes=chance.choice([10, 30]))]
        ),
    )


def presented(chance: random.Random, texts: list[str]) -> list[str]:
    """As clients send a key, the old ones of it as well, and what is none."""
    text = chance.choice([*texts[-1:], *texts[-1:], *texts, "no-key", "sk-spark-x"])
    return chance.choice(
        [
            [f"authorization: Bearer {text}"],
            [f"authorization: Bearer {text}"],
            [f"Authorization: bearer  {text} "],
            [f"x-api-key: {text}"],
            [f"api-key: {text}"],
            ["authorization: Basic eDp5", f"x-api-key: {text}"],
            ["authorization: Bearer no-key", f"api-key: {text}"],
            [f"authorization: Bearer {text}x"],
            [],
        ]
    )


@pytest.mark.parametrize("seed", range(3))
async def test_who_may_is_decided_anew_for_each_request(tmp_path: Path, seed: int) -> None:
    """Keys come, change, expire and go while a connection is used; both sides say the same."""
    chance = random.Random(seed)
    async with sides(tmp_path) as (fast, slow):
        for step in range(STEPS):
            name = chance.choice(NAMES)
            if chance.random() < 0.25:
                what = chance.choice(HAPPENS)
                state = chance.getstate()
                for side in (fast, slow):
                    chance.setstate(state)
                    await side.happens(what, name, drafts(chance, side))
            model = chance.choice(["tiny", "tiny", "small", "large", "none"])
            body = orjson.dumps(CHAT | {"model": model})
            state, said = chance.getstate(), []
            for side in (fast, slow):
                chance.setstate(state)
                said.append(await side.ask(*presented(chance, side.keys[name]), body=body))
            assert said[0] == said[1], step
        assert fast.flown > 10
        assert slow.flown == 0


PAGES = {
    "of another site": ("x", "origin: http://evil.example"),
    "that hides where it is": ("x", "origin: null"),
    "by its browser": ("x", "sec-fetch-site: cross-site"),
    "next door": ("x", "sec-fetch-site: same-site"),
    "with a rebound name": ("evil.example", "origin: http://evil.example"),
    "with a rebound name and a dot": ("evil.example.", "origin: http://evil.example."),
    "with a rebound name and no origin": ("evil.example", "accept-language: de"),
    "with a rebound name and a referer": ("evil.example", "referer: http://evil.example/"),
    "with a rebound name in a browser": ("evil.example", "user-agent: Mozilla/5.0"),
    "our own": ("x", "origin: http://x"),
    "typed": ("x", "sec-fetch-site: none"),
}


async def test_a_foreign_page_is_refused_between_requests_of_a_program(tmp_path: Path) -> None:
    """What was found out of one head says nothing of the next one."""
    async with sides(tmp_path) as (fast, slow):
        for name, (host, header) in PAGES.items():
            for side in (fast, slow):
                assert await side.ask(host=host) == 200
                said = await side.ask(header, host=host)
                assert said == (200 if name in {"our own", "typed"} else 403), name
                assert await side.ask(host=host) == 200
        assert fast.flown == 2 * len(PAGES)
