"""Health probes of upstreams that rest: asked only then, judged by the breaker."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from server.base.errors import Unavailable
from server.config.gateway import Gateway
from server.config.model import Host, Service, Settings
from server.gateway.admission.breaker import Rules
from server.gateway.admission.probe import DEADLINE_SECONDS, EVERY_SECONDS, Probing, probe_url
from server.gateway.admission.service import Admission
from server.gateway.inflight import InFlight
from server.gateway.model import Upstream, UpstreamRequest, UpstreamResponse
from tests.gateway.admission.made import HandClock, ask, upstream

SETTINGS = Settings(
    hosts=(Host(name="spark-1", address="192.0.2.1"),),
    services=(Service(name="a", kind="asr", host="spark-1", port=9, path_prefix="/api"),),
)
ENGINE = Upstream("m@spark-1", "llm", "http://192.0.2.1:8000", "spark-1", engine=True)


@dataclass
class Answers:
    """The far side: a status, or None for nobody there."""

    status: int | None = 200
    asked: list[str] = field(default_factory=list)
    closed: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self, request: UpstreamRequest) -> UpstreamResponse:
        self.asked.append(f"{request.method} {request.url}")
        self.reached.set()
        if self.status is None:
            raise Unavailable("nobody listens")
        answer = SimpleNamespace(status=self.status, close=self._close)
        return cast("UpstreamResponse", answer)

    def _close(self) -> None:
        self.closed += 1

    async def close(self) -> None: ...


class Watch:
    def __init__(self) -> None:
        self.clock, gateway = HandClock(), Gateway()
        self.far = Answers()
        self.admission = Admission(
            inflight=InFlight(),
            settings=lambda: gateway,
            clock=self.clock,
            rules=Rules(row=1, first_seconds=1.0),
        )
        self.admission.set_pools({"kind:asr": (upstream(),)})
        self.probing = Probing(
            admission=self.admission,
            client=self.far,
            settings=lambda: SETTINGS,
            clock=self.clock,
        )

    async def request(self, **fields: Any) -> str:
        grant = await self.admission.admit(
            ask(at=self.clock.moment, patience=0.0, **fields), lambda _waiting: None
        )
        grant.report("failed")
        grant.lease.release()
        return grant.upstream.name

    def state(self) -> str:
        return self.admission.snapshot().upstreams[0].state


@pytest.fixture
async def watch() -> Watch:
    made = Watch()
    assert await made.request() == "a"
    assert made.state() == "open"
    return made


async def test_nobody_is_asked_while_nothing_failed() -> None:
    """A probe costs the upstream something too."""
    watch = Watch()
    await watch.probing.look()
    assert watch.far.asked == []


async def test_one_that_answers_gets_the_next_request(watch: Watch) -> None:
    """At once, before its time is over; the prefix of its requests is not its health's."""
    await watch.probing.look()
    assert watch.far.asked == ["GET http://192.0.2.1:9/health"]
    assert watch.far.closed == 1
    assert watch.state() == "half_open"
    assert await watch.request() == "a"


@pytest.mark.parametrize("status", [None, 500, 503])
async def test_one_that_is_still_sick_gets_no_victim(watch: Watch, status: int | None) -> None:
    """Longer than its time, until the next probe had its chance."""
    watch.far.status = status
    await watch.probing.look()
    watch.clock.moment += EVERY_SECONDS + DEADLINE_SECONDS - 0.1
    with pytest.raises(Unavailable):
        await watch.request()


async def test_an_odd_answer_says_nothing(watch: Watch) -> None:
    """It has no such path: a request finds out when the time is over."""
    watch.far.status = 404
    await watch.probing.look()
    assert watch.state() == "open"
    watch.clock.moment += 1
    assert await watch.request() == "a"


async def test_the_task_ends_when_it_is_closed(watch: Watch) -> None:
    """It looks by itself; closing twice is as good as once."""
    await watch.probing.start()
    await watch.far.reached.wait()
    await watch.probing.close()
    await watch.probing.close()


def test_where_health_is_asked() -> None:
    """An engine's own, a service's of the settings, nowhere for what is gone."""
    assert probe_url(ENGINE, SETTINGS) == "http://192.0.2.1:8000/health"
    assert probe_url(upstream("a"), SETTINGS) == "http://192.0.2.1:9/health"
    assert probe_url(upstream("gone"), SETTINGS) is None
