"""One sweep carried out against an upstream that a test plays."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.base.errors import Conflict, InvalidValue, NotFound, Unavailable, UpstreamError
from server.base.ids import new_id
from server.gateway.inflight import InFlight, Lease
from server.gateway.model import Upstream, UpstreamRequest
from server.gateway.sweep.ledger import KEPT, SweepLedger
from server.gateway.sweep.model import Interval, Knee, Level, Sweep, Wish
from server.gateway.sweep.service import Sweeps, most
from server.gateway.wire import Header
from server.store.database import Database

KOKORO = Upstream("kokoro", "tts", "http://192.0.2.1:8880", "spark-1", cap=2)
SHORT = Wish("kokoro", most=3, seconds=0.1, repeats=2, quiet=0.0)


class Answer:
    """A whole answer."""

    def __init__(self, status: int, body: bytes, ended: Callable[[], None]) -> None:
        self.status = status
        self.headers: list[Header] = []
        self.retried = False
        self._body = body
        self._ended = ended

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body

    async def read(self, limit: int) -> bytes:
        return self._body[:limit]

    def close(self) -> None:
        self._ended()
        self._ended = lambda: None


@dataclass
class Service:
    """Answers after `seconds`; `breaks_at` in flight it fails, `refuses` with a status. What comes
    over it is noted."""

    seconds: float = 0.002
    breaks_at: int = 100
    refuses: int = 0
    running: int = 0
    most: int = 0
    requests: list[UpstreamRequest] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def _left(self) -> None:
        self.running -= 1

    async def open(self, request: UpstreamRequest) -> Answer:
        self.requests.append(request)
        self.asked.set()
        self.running += 1
        self.most = max(self.most, self.running)
        broken = self.running >= self.breaks_at
        try:
            await asyncio.sleep(self.seconds)
            if broken:
                raise UpstreamError("kokoro closed the connection.")
        except BaseException:
            self.running -= 1
            raise
        return Answer(self.refuses or 200, b"no such voice", self._left)

    async def close(self) -> None:
        """Nothing is kept."""


@dataclass
class Ground:
    """Nobody else is there until `come` requests were seen by `service`."""

    service: Service
    inflight: InFlight
    come: int = 1_000_000
    busy: bool = False
    gone: bool = False
    held: bool = False

    def upstream(self) -> Upstream:
        if self.gone:
            raise Unavailable("kokoro is down: connection refused")
        return KOKORO

    def others(self) -> int:
        return int(self.busy or len(self.service.requests) >= self.come)

    def idle_seconds(self) -> float:
        return 1000.0

    def neighbours(self) -> int:
        return 0

    @contextmanager
    def reserved(self) -> Iterator[None]:
        self.held = True
        try:
            yield
        finally:
            self.held = False

    def lease(self, request_id: str) -> AbstractContextManager[Lease]:
        assert self.held
        return self.inflight.lease("kokoro", request_id)


@dataclass
class Desk:
    """The service of sweeps and what it stands on."""

    sweeps: Sweeps
    service: Service
    ground: Ground
    inflight: InFlight
    bus: EventBus

    async def over(self, wish: Wish = SHORT) -> Sweep:
        """Start it and follow it on the bus to its end."""
        with self.bus.subscribe(frozenset({"job"})) as events:
            sweep = await self.sweeps.start(wish, requested_by="a test")
            async for event in events:
                if event.data["state"] not in {"waiting", "running"}:
                    break
        await self.sweeps.close()
        return await self.sweeps.get(sweep.id)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    service, inflight, bus = Service(), InFlight(), EventBus()
    ground = Ground(service, inflight)
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'sweeps.db'}")
    await database.open()

    def find(name: str) -> Upstream:
        if name != "kokoro":
            raise NotFound(f"There is no {name}.")
        return KOKORO

    sweeps = Sweeps(
        find=find,
        ground=lambda _name: ground,
        client=service,
        ledger=SweepLedger(database),
        bus=bus,
        clock=SystemClock(),
        new_id=lambda now: new_id("sweep", now),
        seed=lambda: 7,
    )
    yield Desk(sweeps, service, ground, inflight, bus)
    await sweeps.close()
    await database.close()


async def test_a_sweep_measures_every_level_and_proposes_a_cap(desk: Desk) -> None:
    """No more in flight than asked for, every lease given back, and it is kept."""
    sweep = await desk.over()
    assert sweep.state == "done", sweep.message
    assert [level.level for level in sweep.levels] == [1, 2, 3]
    assert all(level.repeats == 2 and level.rate.mean > 0 for level in sweep.levels)
    assert sweep.knee is not None
    assert 1 <= sweep.knee.cap <= 3
    assert sweep.message == sweep.knee.sentence
    assert sweep.done == sweep.runs == 9
    assert desk.service.most == 3
    assert desk.service.running == 0
    assert desk.inflight.count() == 0
    assert sweep.cap == 2


async def test_it_says_the_same_every_time(desk: Desk) -> None:
    """A sentence for a voice: one body, one path."""
    await desk.over()
    assert {request.url for request in desk.service.requests} == {
        "http://192.0.2.1:8880/v1/audio/speech"
    }
    (body,) = {request.body for request in desk.service.requests}
    assert isinstance(body, bytes)
    assert json.loads(body)["voice"] == "af_heart"


async def test_it_makes_room_as_soon_as_others_come(desk: Desk) -> None:
    """Its requests end, what it measured stays, nothing is proposed."""
    desk.ground.come = 40
    sweep = await desk.over(Wish("kokoro", most=3, seconds=60.0, repeats=2, quiet=0.0))
    assert sweep.state == "aborted"
    assert sweep.message == "Stopped: somebody else needs kokoro (1 request)."
    assert sweep.knee is None
    assert not desk.ground.held
    assert desk.service.running == 0
    assert desk.inflight.count() == 0


async def test_it_does_not_begin_while_others_are_there(desk: Desk) -> None:
    """It waits; a cancel ends the wait."""
    desk.ground.busy = True
    sweep = await desk.sweeps.start(SHORT, requested_by="a test")
    assert sweep.state == "waiting"
    assert (await desk.sweeps.cancel(sweep.id)).state == "cancelled"
    assert not desk.service.requests
    assert desk.sweeps.current() is None


async def test_a_level_that_breaks_it_is_not_passed(desk: Desk) -> None:
    """The pass upwards finds it: nothing higher is asked for, nothing as high is proposed."""
    desk.service.breaks_at = 3
    sweep = await desk.over(Wish("kokoro", most=6, seconds=0.1, repeats=2, quiet=0.0))
    assert sweep.state == "done"
    assert desk.service.most == 3
    assert sweep.levels[-1].failed == "kokoro closed the connection."
    assert sweep.knee is not None
    assert sweep.knee.cap <= 2


async def test_a_request_that_it_does_not_take_ends_the_sweep(desk: Desk) -> None:
    """That is no matter of load: say what the service said."""
    desk.service.refuses = 422
    sweep = await desk.over()
    assert sweep.state == "failed"
    assert sweep.message == "kokoro answered HTTP 422: no such voice"
    assert desk.inflight.count() == 0


async def test_a_drain_ends_it(desk: Desk) -> None:
    """Its leases are like anybody's."""
    running = asyncio.create_task(
        desk.over(Wish("kokoro", most=2, seconds=60.0, repeats=1, quiet=0.0))
    )
    await desk.service.asked.wait()
    desk.inflight.end(Unavailable("The model is being replaced by another one."))
    sweep = await running
    assert sweep.state == "failed"
    assert "replaced" in sweep.message


async def test_one_at_a_time(desk: Desk) -> None:
    """Two would measure each other."""
    desk.ground.busy = True
    first = await desk.sweeps.start(SHORT, requested_by="a test")
    with pytest.raises(Conflict, match="one at a time"):
        await desk.sweeps.start(SHORT, requested_by="another")
    await desk.sweeps.cancel(first.id)
    with pytest.raises(Conflict, match="over: cancelled"):
        await desk.sweeps.cancel(first.id)


async def test_what_cannot_be_measured_is_refused_at_once(desk: Desk) -> None:
    """Unknown, down, or more at once than the kind stands."""
    with pytest.raises(NotFound):
        await desk.sweeps.start(Wish("nobody"), requested_by="a test")
    with pytest.raises(InvalidValue, match="seconds"):
        await desk.sweeps.start(Wish("kokoro", seconds=0.0), requested_by="a test")
    desk.ground.gone = True
    with pytest.raises(Unavailable, match="down"):
        await desk.sweeps.start(SHORT, requested_by="a test")
    assert most("asr", None) == 3
    assert most("tts", None) == 8
    with pytest.raises(InvalidValue, match="1 to 3"):
        most("diarize", 4)


async def test_a_shutdown_keeps_what_there_is(desk: Desk) -> None:
    """Cancelled in the middle, and told so after the next start."""
    sweep = await desk.sweeps.start(
        Wish("kokoro", most=2, seconds=60.0, repeats=1, quiet=0.0), requested_by="a test"
    )
    await desk.service.asked.wait()
    await desk.sweeps.close()
    assert (await desk.sweeps.get(sweep.id)).state == "cancelled"
    assert [one.id for one in await desk.sweeps.history()] == [sweep.id]


async def test_only_the_newest_sweeps_are_kept(tmp_path: Path) -> None:
    """And they come back as they were saved."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'sweeps.db'}")
    await database.open()
    ledger, at = SweepLedger(database), datetime(2026, 11, 21, 12, tzinfo=UTC)
    level = Level(1, 12, 3, Interval(4.0, 3.0, 5.0), Interval(0.2), 0.4, "")
    whole = Sweep(
        "sweep-9", "kokoro", "tts", "kokoro", "one sentence", 3, 5.0, 3, "cli", at,
        state="done", finished_at=at, levels=(level,), knee=Knee(1, 1, True, False, "1 at once."),
        notes=("a note",),
    )  # fmt: skip
    for number in range(KEPT + 3):
        await ledger.save(whole.with_(id=f"sweep-{number:04}"))
    await ledger.save(whole)
    kept = await ledger.history(1000)
    assert len(kept) == KEPT
    assert kept[0] == whole
    assert await ledger.get("sweep-0000") is None
    await database.close()
