"""What a sweep sees of others, over the real admission and activity."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from server.base.clock import SystemClock
from server.base.errors import NotFound, Unavailable
from server.base.health import Verdict
from server.config.gateway import Gateway
from server.config.model import Host, Service, Settings
from server.gateway.activity import Activity
from server.gateway.admission.service import Admission
from server.gateway.inflight import InFlight
from server.gateway.model import ANYONE, Ask, Grant, Operation, Passage, Route, Upstream
from server.gateway.sweep.ground import GatewayGround, Present, finder
from server.gateway.sweep.runner import Leaving

SPEECH = Operation("/v1/audio/speech", ("tts",))
KOKORO = Upstream("kokoro", "tts", "http://192.0.2.11:8880", "spark-1", cap=2)
OTHER = Upstream("parakeet", "asr", "http://192.0.2.11:8001", "spark-1", cap=2)


@dataclass
class House:
    """An admission with two services, and the view of one."""

    admission: Admission
    activity: Activity
    inflight: InFlight
    now: list[float] = field(default_factory=lambda: [100.0])
    upstream: list[Upstream] = field(default_factory=lambda: [KOKORO])

    def ground(self, present: Present = lambda _: nullcontext()) -> GatewayGround:
        return GatewayGround(
            "kokoro",
            find=lambda _name: self.upstream[0],
            door=self.admission,
            activity=self.activity,
            inflight=self.inflight,
            monotonic=lambda: self.now[0],
            since=95.0,
            present=present,
        )

    async def asks(self, pool: str) -> Grant:
        arrived = SystemClock().monotonic()
        ask = Ask(Route(pool, "kokoro"), SPEECH, ANYONE, "r1", arrived, 60.0)
        return await self.admission.admit(ask, lambda _waiting: None)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    inflight, clock = InFlight(), SystemClock()
    admission = Admission(inflight=inflight, settings=Gateway, clock=clock)
    admission.set_pools(
        {"service:kokoro": (KOKORO,), "kind:tts": (KOKORO,), "service:parakeet": (OTHER,)}
    )
    now = [100.0]
    yield House(admission, Activity(lambda: now[0]), inflight, now)
    admission.close()


def passage(upstream: str, *, ended: float | None = None) -> Passage:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    return Passage(
        "r", at, 90.0, "/v1/audio/speech", upstream=upstream, host="spark-1", admitted=91.0,
        ended=ended,
    )  # fmt: skip


@pytest.mark.parametrize("pool", ["service:kokoro", "kind:tts"])
async def test_who_comes_while_it_is_reserved_waits_and_is_seen(house: House, pool: str) -> None:
    """By name or by kind; let in at once when the sweep has gone."""
    ground, came = house.ground(), asyncio.Event()
    house.admission.on_change = came.set
    with ground.reserved():
        assert ground.others() == 0
        asked = asyncio.create_task(house.asks(pool))
        await came.wait()
        assert ground.others() == 1
        assert not asked.done()
    grant = await asked
    grant.lease.release()
    assert ground.others() == 0


ENGINE = Upstream("tiny@spark-1", "llm", "http://e", "spark-1", models=("tiny",), engine=True)


async def test_an_engine_is_held_like_a_service(house: House) -> None:
    """Who asks for the model while it is measured waits, is seen, and goes when the sweep went."""
    house.upstream[0] = ENGINE
    house.admission.set_pools({"model:tiny": (ENGINE,), "model:large": ()})
    ground = house.ground()
    with ground.reserved():
        asked = asyncio.create_task(house.asks("model:tiny"))
        await asyncio.sleep(0)
        assert (ground.others(), asked.done()) == (1, False)
        house.admission.unhold("model:tiny", "another model goes first")
        assert not asked.done()
    (await asked).lease.release()


async def test_an_engine_makes_room_for_who_waits_for_another_model(house: House) -> None:
    """It may have to go for that; a service never has to."""
    house.admission.set_pools({"model:tiny": (ENGINE,), "model:large": (), "kind:tts": (KOKORO,)})
    service = house.ground()
    house.upstream[0] = ENGINE
    engine = house.ground()
    asked = asyncio.create_task(house.asks("model:large"))
    await asyncio.sleep(0)
    assert (service.others(), engine.others()) == (0, 1)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert engine.others() == 0


async def test_another_service_goes_on(house: House) -> None:
    """Only the pools that the measured one belongs to are held."""
    with house.ground().reserved():
        (await house.asks("service:parakeet")).lease.release()


async def test_a_pool_that_somebody_else_holds_stays_held(house: House) -> None:
    """The sweep gives back its own hold only."""
    house.admission.hold("kind:tts", "another model goes first")
    with house.ground().reserved():
        pass
    held = {pool.pool: pool.held for pool in house.admission.snapshot().pools}
    assert held["kind:tts"]
    assert not held["service:kokoro"]


async def test_who_runs_there_is_counted_and_who_runs_beside_it_is_noted(house: House) -> None:
    """On it: others. On its host: neighbours."""
    ground = house.ground()
    grant = await house.asks("service:kokoro")
    house.activity.began(passage("kokoro"))
    house.activity.began(passage("parakeet"))
    assert (ground.others(), ground.neighbours()) == (1, 1)
    grant.lease.release()
    assert ground.others() == 0


async def test_it_knows_how_long_nobody_was_there(house: House) -> None:
    """Since the last request to it ended; since it was asked for when there was none."""
    ground = house.ground()
    assert ground.idle_seconds() == 5.0
    house.activity.ended(passage("kokoro", ended=98.0))
    house.activity.ended(passage("parakeet", ended=99.0))
    assert ground.idle_seconds() == 2.0


async def test_its_requests_hold_leases_of_their_own(house: House) -> None:
    """Seen by a drain, under the name of the upstream."""
    with house.ground().lease("sweep-1"):
        assert house.inflight.count("kokoro") == 1
    assert house.inflight.count() == 0


async def test_its_requests_are_somebody_who_is_there(house: House) -> None:
    """For as long as they last, so that their GPU time is not nobody's."""
    there: list[str] = []

    @contextmanager
    def present(upstream: Upstream) -> Iterator[None]:
        there.append(upstream.name)
        yield
        there.append("gone")

    ground = house.ground(present)
    with ground.lease("sweep-1"):
        assert there == ["kokoro"]
    assert there == ["kokoro", "gone"]


async def test_an_upstream_that_is_down_or_leaving_is_refused(house: House) -> None:
    """Unknown is not down: then the requests will tell."""
    ground = house.ground()
    for health in (Verdict.down("connection refused"),):
        house.upstream[0] = Upstream("kokoro", "tts", "http://x", "spark-1", health=health)
        with pytest.raises(Unavailable, match="connection refused"):
            ground.upstream()
    house.upstream[0] = Upstream("kokoro", "tts", "http://x", "spark-1", accepting=False)
    with pytest.raises(Leaving, match="replaced"):
        ground.upstream()
    unknown = Upstream("kokoro", "tts", "http://x", "spark-1", health=Verdict.unknown("new"))
    house.upstream[0] = unknown
    assert ground.upstream() is unknown


def test_a_target_is_found_by_the_name_of_a_service() -> None:
    """What is unknown is told with what there is."""
    settings = Settings(
        hosts=(Host(name="spark-1", address="192.0.2.11"),),
        services=(Service(name="kokoro", kind="tts", host="spark-1", port=8880),),
    )
    find = finder(lambda: settings, tuple, dict)
    assert find("kokoro").base_url == "http://192.0.2.11:8880"
    with pytest.raises(NotFound, match="There are: kokoro"):
        find("whisper")
