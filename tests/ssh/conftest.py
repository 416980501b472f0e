"""A host to talk to, and a pool that talks to it with clock and dice in the test's hand."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from server.base.errors import NotFound
from server.ssh.hostkeys import HostKeys
from server.ssh.identity import ensure_identity
from server.ssh.model import Limits, Shell, Target
from server.ssh.pool import SshPool
from tests.ssh.far_side import FarSide, running

QUICK = Limits(
    connect_timeout=5, keepalive_interval=30, kill_grace=1, linger=0.2, output_cap=64 * 1024
)


class FakeClock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing in the ssh room sleeps")


class Dice(random.Random):
    """Always the longest wait that the jitter allows (nearly)."""

    def random(self) -> float:
        return 0.999


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def key_path(tmp_path: Path) -> Path:
    path = tmp_path / "ours" / "id_ed25519"
    ensure_identity(path)
    return path


@pytest.fixture
def hostkeys(tmp_path: Path) -> HostKeys:
    return HostKeys(tmp_path / "known_hosts")


@pytest.fixture
async def side(tmp_path: Path, key_path: Path) -> AsyncIterator[FarSide]:
    home = tmp_path / "home"
    home.mkdir()
    async with running(FarSide(home, ensure_identity(key_path))) as side:
        yield side


@pytest.fixture
def targets(side: FarSide) -> dict[str, Target]:
    """What `config.yaml` would say; tests may change it."""
    return {"spark-1": Target("spark-1", "127.0.0.1", side.port, "ubuntu")}


MakePool = Callable[..., SshPool]


@pytest.fixture
async def make_pool(
    key_path: Path, hostkeys: HostKeys, clock: FakeClock, targets: dict[str, Target]
) -> AsyncIterator[MakePool]:
    pools: list[SshPool] = []

    def hosts(name: str, user: str | None) -> Target:
        if name not in targets:
            raise NotFound(f"There is no host {name}.")
        found = targets[name]
        return Target(found.name, found.address, found.port, user or found.user)

    def make(limits: Limits = QUICK) -> SshPool:
        pool = SshPool(
            hosts, key_path=key_path, hostkeys=hostkeys, clock=clock, rng=Dice(), limits=limits
        )
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        await pool.close()


@pytest.fixture
def pool(make_pool: MakePool) -> SshPool:
    return make_pool()


@pytest.fixture
def shell(pool: SshPool) -> Shell:
    return pool.shell("spark-1")


@pytest.fixture
def undo() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


OneLoop = Callable[[Callable[[Shell], Awaitable[Any]]], Any]


@pytest.fixture
def one_loop(tmp_path: Path) -> Iterator[OneLoop]:
    """For property tests: one event loop, server and connection for all examples of a test."""
    key_path = tmp_path / "loop" / "id_ed25519"
    side = FarSide(tmp_path, ensure_identity(key_path))
    with asyncio.Runner() as runner:
        runner.run(side.start())
        pool = SshPool(
            lambda name, user: Target(name, "127.0.0.1", side.port, "ubuntu"),
            key_path=key_path,
            hostkeys=HostKeys(tmp_path / "loop" / "known_hosts"),
            clock=FakeClock(),
            rng=Dice(),
            limits=QUICK,
        )
        shell = pool.shell("spark-1")
        yield lambda ask: runner.run(_await(ask(shell)))
        runner.run(pool.close())
        runner.run(side.finish())


async def _await(work: Awaitable[Any]) -> Any:
    return await work
