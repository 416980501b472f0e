"""The fleet as a whole, with scripted streams and a clock that stands still until moved."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from server.base.bus import Event, EventBus, Subscription
from server.base.errors import HostKeyChanged, HostUnreachable, NotFound
from server.base.health import Health, Verdict
from server.config import model as config
from server.config.model import Host, Settings
from server.fleet.probe import Prober
from server.fleet.service import Fleet
from server.fleet.state import Answer, Outcome
from tests.fleet.captures import DOCKER, HELLO, frame, listing
from tests.fleet.fakes import FakeClock, ScriptedShells, settle


class FakeProber(Prober):
    """Answers what the test says."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.answers: dict[str, Answer] = {}

    async def ask(self, service: config.Service, host: Host) -> Answer:
        return self.answers.get(service.name, Answer(Outcome.ANSWERED, 0.01, 200))


class House:
    """A fleet and all that stands around it."""

    def __init__(self, *names: str, **sections: Any) -> None:
        self.clock, self.shells, self.bus = FakeClock(), ScriptedShells(), EventBus()
        self.prober = FakeProber(self.clock)
        self.settings = Settings.model_validate(
            {"hosts": [{"name": name, "address": "192.0.2.11"} for name in names], **sections}
        )
        self.fleet = Fleet(
            lambda: self.settings, self.shells, self.bus, self.clock, prober=self.prober
        )

    def configure(self, *names: str, **sections: Any) -> None:
        hosts = [{"name": name, "address": "192.0.2.11"} for name in names]
        self.settings = Settings.model_validate({"hosts": hosts, **sections})
        self.fleet.reconcile()

    def verdict(self, name: str = "spark-1") -> Verdict:
        return self.fleet.status(name).verdict

    async def see(self, uptime: float, name: str = "spark-1") -> None:
        self.shells.last(name).put(frame(uptime))
        await settle()


@asynccontextmanager
async def running(*names: str, **sections: Any) -> AsyncIterator[House]:
    house = House(*(names or ("spark-1",)), **sections)
    await house.fleet.start()
    await settle()
    try:
        yield house
    finally:
        await house.fleet.close()


async def pending(subscription: Subscription) -> list[Event]:
    """What waits there; at most the newest of each key."""
    found: list[Event] = []
    while True:
        waiting = asyncio.ensure_future(anext(subscription))
        await settle()
        if not waiting.done():
            waiting.cancel()
            return found
        found.append(waiting.result())


async def test_a_host_is_up_while_samples_come() -> None:
    """Unknown before the first sample, Up with it, and the sample is there to be read."""
    async with running() as house:
        assert house.verdict() == Verdict.unknown("not seen yet")
        house.shells.last("spark-1").put(HELLO, frame(1))
        await settle()
        assert house.verdict() == Verdict.up()
        assert house.fleet.status("spark-1").seen_at == house.clock.now()
        sample = house.fleet.latest("spark-1")
        assert sample is not None
        assert sample.cores == 20


async def test_silence_is_unknown_with_its_length() -> None:
    """No sample for longer than stale_seconds: grey, and the sentence says since when."""
    async with running() as house:
        await house.see(1)
        await house.clock.advance(9)
        assert house.verdict().health is Health.UP
        await house.clock.advance(31)
        assert house.verdict() == Verdict.unknown("not seen for 40 s")
        assert house.fleet.latest("spark-1") is not None
        await house.see(41)
        assert house.verdict() == Verdict.up()


async def test_ssh_trouble_is_unknown_and_tried_again() -> None:
    """A host that cannot be reached is grey with the reason, never red; it comes back by itself."""
    async with running() as house:
        await house.see(1)
        house.shells.refuse["spark-1"] = HostUnreachable("No answer from spark-1.", retry_after=3)
        house.shells.last("spark-1").put(HostUnreachable("The connection was lost."))
        await settle()
        assert house.verdict() == Verdict.unknown("The connection was lost.")
        await house.clock.advance(30)
        assert house.verdict() == Verdict.unknown("not seen for 30 s: No answer from spark-1.")
        del house.shells.refuse["spark-1"]
        await house.clock.advance(15)
        await house.see(50)
        assert house.verdict() == Verdict.up()


async def test_a_changed_host_key_is_unknown_until_somebody_acts() -> None:
    """The reason is told; after `nudge` it is tried at once."""
    async with running() as house:
        house.shells.refuse["spark-1"] = HostKeyChanged("The host key of spark-1 changed.")
        house.shells.last("spark-1").put(HostUnreachable("lost"))
        await settle()
        await house.clock.advance(2)
        assert "host key" in house.verdict().reason
        del house.shells.refuse["spark-1"]
        opened = len(house.shells.feeds["spark-1"])
        house.fleet.nudge("spark-1")
        await settle()
        assert len(house.shells.feeds["spark-1"]) == opened + 1


async def test_pauses_grow_while_a_host_stays_away() -> None:
    """Two minutes of a dead host are about a dozen attempts, not a hundred."""
    async with running() as house:
        attempts = 0

        class Refusing(HostUnreachable):
            def __init__(self) -> None:
                nonlocal attempts
                attempts += 1
                super().__init__("No answer.")

        original = house.shells.shell

        def shell(host: str, user: str | None = None) -> Any:
            raise Refusing

        house.shells.shell = shell  # type: ignore[method-assign]
        house.shells.last("spark-1").put(HostUnreachable("lost"))
        await house.clock.advance(120)
        house.shells.shell = original  # type: ignore[method-assign]
        assert 8 <= attempts <= 14


async def test_a_renewed_stream_is_not_seen() -> None:
    """The planned end of a stream: the next one opens at once, and the host stays Up."""
    async with running() as house:
        house.shells.last("spark-1").put(HELLO, *listing("K", [DOCKER]), frame(1))
        await settle()
        first = house.shells.last("spark-1")
        first.put("@X\t@E", None)
        await settle()
        assert house.shells.last("spark-1") is not first
        assert house.verdict() == Verdict.up()
        await house.see(2)
        sample = house.fleet.latest("spark-1")
        assert sample is not None
        assert sample.containers
        assert sample.nics[0].rx_rate == 0.0


async def test_a_sampler_that_ends_early_is_told() -> None:
    """The remote script was killed: Unknown with the reason, and it is started again."""
    async with running() as house:
        house.shells.last("spark-1").put(None)
        await settle()
        assert "ended early" in house.verdict().reason
        await house.clock.advance(2)
        assert len(house.shells.feeds["spark-1"]) == 2


async def test_at_most_one_event_per_host_and_second() -> None:
    """Ten frames a second give one event a second, and it carries the newest."""
    async with running(fleet={"sample_seconds": 0.2}) as house:
        seen: list[Event] = []
        with house.bus.subscribe(frozenset({"host"})) as subscription:
            for tick in range(100):
                await house.see(tick / 10)
                await house.clock.advance(0.1, step=0.1)
                seen += await pending(subscription)
        assert 9 <= len(seen) <= 11
        assert all(event.key == "spark-1" for event in seen)
        assert seen[-1].data["sample"]["uptime"] > 8


async def test_silence_makes_an_event() -> None:
    """Nobody sends anything, yet the dashboard learns that the host is not seen any more."""
    async with running() as house:
        await house.see(1)
        with house.bus.subscribe(frozenset({"host"})) as subscription:
            await house.clock.advance(12)
            events = await pending(subscription)
        assert events[-1].data["health"] == "unknown"
        assert events[-1].data["reason"] == "not seen for 10 s"


async def test_hosts_come_and_go_at_run_time() -> None:
    """A new host is watched, a removed one is let go and said to be gone."""
    async with running("spark-1", "spark-2") as house:
        await house.see(1, "spark-1")
        with house.bus.subscribe(frozenset({"host"})) as subscription:
            house.configure("spark-1", "spark-3")
            await settle()
            events = await pending(subscription)
        assert [status.name for status in house.fleet.statuses()] == ["spark-1", "spark-3"]
        assert house.shells.last("spark-2").closed
        assert not house.shells.last("spark-1").closed
        assert house.verdict("spark-1") == Verdict.up()
        assert {"name": "spark-2", "removed": True} in [dict(event.data) for event in events]
        with pytest.raises(NotFound):
            house.fleet.status("spark-2")


async def test_another_sampling_period_renews_the_stream_and_keeps_the_history() -> None:
    """What was seen so far is not lost because somebody changed a setting."""
    async with running() as house:
        await house.see(1)
        house.configure("spark-1", fleet={"sample_seconds": 5})
        await settle()
        assert house.shells.feeds["spark-1"][0].closed
        assert house.shells.argv["spark-1"][3] == "5"
        assert len(house.fleet.samples("spark-1", 5)) == 1


async def test_samples_are_those_of_the_asked_minutes() -> None:
    """Oldest first, bounded by keep_minutes."""
    async with running(fleet={"keep_minutes": 2}) as house:
        for tick in range(60):
            await house.see(tick * 10)
            await house.clock.advance(10, step=10)
        assert len(house.fleet.samples("spark-1", 1)) == 6
        kept = house.fleet.samples("spark-1", 1000)
        assert len(kept) == 13
        assert kept == sorted(kept, key=lambda sample: sample.at)


async def test_the_minutes_before_the_silence_are_kept() -> None:
    """A host went silent an hour ago: its last minute can still be asked for."""
    async with running() as house:
        for tick in range(120):
            await house.see(tick)
            await house.clock.advance(1, step=1)
        await house.clock.advance(3600, step=60)
        assert house.fleet.samples("spark-1", 1) == []
        last = house.fleet.samples("spark-1", 1, until=house.fleet.status("spark-1").seen_at)
        assert [sample.uptime for sample in last] == [float(tick) for tick in range(59, 120)]


async def test_closing_ends_every_stream() -> None:
    """After `close` nothing runs on any host, and closing twice is harmless."""
    async with running("spark-1", "spark-2") as house:
        await house.fleet.close()
        assert house.shells.last("spark-1").closed
        assert house.shells.last("spark-2").closed


SERVICE = {"name": "kokoro", "kind": "tts", "host": "spark-1", "port": 8880, "container": "kokoro"}


async def test_a_refused_service_is_down_only_on_a_host_that_is_up() -> None:
    """Down is what an Up host says; of a host nobody has seen, nothing is known."""
    async with running(services=[SERVICE]) as house:
        assert house.fleet.services()[0].verdict == Verdict.up()
        house.prober.answers["kokoro"] = Answer(Outcome.REFUSED, 0.01)
        await house.clock.advance(5)
        assert house.fleet.services()[0].verdict.health is Health.UNKNOWN
        await house.see(1)
        await house.clock.advance(5)
        assert house.fleet.services()[0].verdict.health is Health.DOWN


async def test_a_service_whose_container_stopped_is_down_even_when_the_probe_hangs() -> None:
    """docker on the host says that it does not run: that is an answer."""
    async with running(services=[SERVICE]) as house:
        stopped = DOCKER.replace("spark-control-engine", "kokoro").replace("running", "exited")
        house.shells.last("spark-1").put(*listing("K", [stopped]), frame(1))
        house.prober.answers["kokoro"] = Answer(Outcome.TIMED_OUT, 4)
        await settle()
        await house.clock.advance(5)
        status = house.fleet.services()[0]
        assert status.verdict == Verdict.down("container kokoro is exited")
        assert status.checked_at is not None


async def test_a_probe_that_fails_inside_does_not_stop_the_others() -> None:
    """One odd service is Unknown; the next one is still asked."""
    services = [SERVICE, SERVICE | {"name": "odd", "port": 1}]
    async with running(services=services) as house:

        class Odd:
            @property
            def outcome(self) -> Outcome:
                raise RuntimeError

        house.prober.answers["odd"] = Odd()  # type: ignore[assignment]
        house.prober.answers["kokoro"] = Answer(Outcome.ANSWERED, 0.5, 200)
        await house.clock.advance(5)
        kokoro, odd = house.fleet.services()
        assert (kokoro.verdict, kokoro.latency) == (Verdict.up(), 0.5)
        assert odd.verdict.health is Health.UNKNOWN


async def test_a_removed_service_is_forgotten() -> None:
    """Its status goes with it, and the bus says so."""
    async with running(services=[SERVICE]) as house:
        with house.bus.subscribe(frozenset({"service"})) as subscription:
            house.configure("spark-1")
            events = await pending(subscription)
        assert house.fleet.services() == ()
        assert [dict(event.data) for event in events] == [{"name": "kokoro", "removed": True}]
