"""Stand-ins of the ssh room and of time, implementing its protocols, for the tests of the fleet."""

import asyncio
import os
import signal
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from server.base.errors import NotFound
from server.ssh.model import Refusal, Result, Shell, Stream, Target

EPOCH = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(50):
        await asyncio.sleep(0)


class FakeClock:
    """Time stands still until `advance`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.seconds + seconds, future))
        await future

    async def advance(self, seconds: float, step: float = 0.25) -> None:
        """In steps, so that what sleeps again in between wakes again."""
        end = self.seconds + seconds
        while self.seconds < end:
            self.seconds = min(end, self.seconds + step)
            due = [future for at, future in self._sleepers if at <= self.seconds]
            self._sleepers = [item for item in self._sleepers if item[0] > self.seconds]
            for future in due:
                if not future.done():
                    future.set_result(None)
            await settle()


class Feed:
    """A stream whose lines the test writes; `put` an exception to end it with that error."""

    def __init__(self) -> None:
        self.exit_status: int | None = None
        self.closed = False
        self._items: asyncio.Queue[str | Exception | None] = asyncio.Queue()

    def put(self, *items: str | Exception | None) -> None:
        for item in items:
            self._items.put_nowait(item)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        item = await self._items.get()
        if item is None:
            self.exit_status = 0
            raise StopAsyncIteration
        if isinstance(item, Exception):
            raise item
        return item


class ScriptedShells:
    """Each `stream` opened on a host is a new `Feed`; `refuse` makes opening fail."""

    def __init__(self) -> None:
        self.feeds: dict[str, list[Feed]] = {}
        self.refuse: dict[str, Exception] = {}
        self.argv: dict[str, tuple[str, ...]] = {}

    def shell(self, host: str, user: str | None = None) -> Shell:
        return _ScriptedShell(self, Target(host, "192.0.2.11", 22, user or "ubuntu"))

    def last(self, host: str) -> Feed:
        return self.feeds[host][-1]


class _ScriptedShell:
    def __init__(self, shells: ScriptedShells, target: Target) -> None:
        self._shells = shells
        self.target = target

    async def run(self, argv: Sequence[str], **options: object) -> Result:
        raise NotImplementedError

    async def put(self, path: str, data: bytes | AsyncIterable[bytes], **options: object) -> None:
        raise NotImplementedError

    @asynccontextmanager
    async def stream(self, argv: Sequence[str], **options: object) -> AsyncIterator[Stream]:
        name = self.target.name
        self._shells.argv[name] = tuple(argv)
        if name in self._shells.refuse:
            raise self._shells.refuse[name]
        feed = Feed()
        self._shells.feeds.setdefault(name, []).append(feed)
        try:
            yield feed
        finally:
            feed.closed = True


class LocalShell:
    """Runs argv on this machine as a session of its own, killed as a group on leaving."""

    def __init__(self, target: Target, environ: dict[str, str]) -> None:
        self.target = target
        self._environ = environ

    async def _start(self, argv: Sequence[str], stderr: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *argv,
            env=self._environ,
            start_new_session=True,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )

    async def run(
        self,
        argv: Sequence[str],
        *,
        deadline: float,
        stdin: bytes | None = None,
        check: bool = True,
    ) -> Result:
        process = await self._start(argv, asyncio.subprocess.PIPE)
        async with asyncio.timeout(deadline):
            out, err = await process.communicate(stdin)
        status = process.returncode or 0
        return Result(tuple(argv), status, out.decode(), err.decode(), 0.0)

    async def put(self, path: str, data: bytes | AsyncIterable[bytes], **options: object) -> None:
        raise NotImplementedError

    @asynccontextmanager
    async def stream(
        self,
        argv: Sequence[str],
        *,
        lifetime: float,
        stdin: bytes | None = None,
        stderr: bool = True,
    ) -> AsyncIterator["LocalStream"]:
        process = await self._start(argv, asyncio.subprocess.DEVNULL)
        assert process.stdin is not None
        process.stdin.write(stdin or b"")
        process.stdin.close()
        try:
            yield LocalStream(process)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            process._transport.close()  # type: ignore[attr-defined]


class LocalStream:
    """Lines of a local process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.exit_status: int | None = None

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            self.exit_status = await self.process.wait()
            raise StopAsyncIteration
        return line.decode("utf-8", "replace").removesuffix("\n")


class LocalShells:
    """Every host is this machine."""

    def __init__(self, environ: Callable[[str], dict[str, str]], names: Sequence[str]) -> None:
        self._environ = environ
        self._names = names

    def shell(self, host: str, user: str | None = None) -> Shell:
        if host not in self._names:
            raise NotFound(f"no host is named {host!r}")
        return LocalShell(Target(host, "127.0.0.1", 22, user or "ubuntu"), self._environ(host))


class FakeKeys:
    """Pinned host keys, as the doctor asks for them."""

    def __init__(self, pinned: str | None = None, refusal: Refusal | None = None) -> None:
        self._pinned = pinned
        self._refusal = refusal

    def pinned(self, target: Target) -> str | None:
        return self._pinned

    def refused(self, name: str) -> Refusal | None:
        return self._refusal


def shim(directory: Path, name: str, body: str) -> None:
    """A small executable of that name."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
