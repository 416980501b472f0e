"""A real sshd per test, and a pool that talks to it by the real clock."""

import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from server.base.clock import SystemClock
from server.ssh.hostkeys import HostKeys
from server.ssh.identity import ensure_identity
from server.ssh.model import Limits, Shell, Target
from server.ssh.pool import SshPool
from tests.sshd.openssh import Sshd, install_missing

# `stable_after` 0: a lost connection is made again at once, so that no test waits for a backoff.
QUICK = Limits(kill_grace=1, linger=0.3, stable_after=0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.sshd)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> None:
    install_missing(tmp_path_factory.getbasetemp().parent / "apt.lock")


@pytest.fixture
def key_path(tmp_path: Path) -> Path:
    path = tmp_path / "ours" / "id_ed25519"
    ensure_identity(path)
    return path


@pytest.fixture
def hostkeys(tmp_path: Path) -> HostKeys:
    return HostKeys(tmp_path / "known_hosts")


StartSshd = Callable[..., Sshd]


@pytest.fixture
def start_sshd(packages: None, tmp_path: Path, key_path: Path) -> Iterator[StartSshd]:
    started: list[Sshd] = []

    def start(*options: str) -> Sshd:
        directory = tmp_path / f"sshd{len(started)}"
        directory.mkdir()
        daemon = Sshd(directory, ensure_identity(key_path), options)
        started.append(daemon)
        daemon.start()
        return daemon

    yield start
    for daemon in started:
        daemon.stop()


@pytest.fixture
async def pools(key_path: Path, hostkeys: HostKeys) -> AsyncIterator[Callable[..., SshPool]]:
    made: list[SshPool] = []

    def pool(daemon: Sshd, limits: Limits = QUICK) -> SshPool:
        made.append(
            SshPool(
                lambda name, user: Target(name, "127.0.0.1", daemon.port, user or daemon.user),
                key_path=key_path,
                hostkeys=hostkeys,
                clock=SystemClock(),
                rng=random.Random(1),
                limits=limits,
            )
        )
        return made[-1]

    yield pool
    for one in made:
        await one.close()


@pytest.fixture
def sshd(start_sshd: StartSshd) -> Sshd:
    return start_sshd()


@pytest.fixture
def shell(pools: Callable[..., SshPool], sshd: Sshd) -> Shell:
    return pools(sshd).shell("spark-1")


@pytest.fixture
def undo() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack
