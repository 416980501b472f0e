"""A `Shells` that runs real local processes, each host with its own home: no SSH, same contract."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from server.base.errors import DeadlineExceeded, RemoteCommandFailed
from server.ssh.model import Result, Target


class LocalStream:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.exit_status: int | None = None

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            self.exit_status = await self._process.wait()
            raise StopAsyncIteration
        return line.decode(errors="replace").rstrip("\n")


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class LocalShell:
    def __init__(self, name: str, home: Path, path: str) -> None:
        self.target = Target(name, "127.0.0.1", 22, "nobody")
        self.home = home
        self._path = path
        self.calls = 0

    async def _spawn(self, argv: Sequence[str], merged: bool) -> asyncio.subprocess.Process:
        self.calls += 1
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT if merged else asyncio.subprocess.PIPE,
            start_new_session=True,
            cwd=self.home,
            env={"HOME": str(self.home), "PATH": self._path},
        )

    async def run(
        self,
        argv: Sequence[str],
        *,
        deadline: float,
        stdin: bytes | None = None,
        check: bool = True,
    ) -> Result:
        began = time.monotonic()
        process = await self._spawn(argv, merged=False)
        try:
            async with asyncio.timeout(deadline):
                out, err = await process.communicate()
        except TimeoutError as late:
            raise DeadlineExceeded("too late") from late
        finally:
            if process.returncode is None:
                _kill(process)
                await process.wait()
        code = process.returncode or 0
        if check and code:
            raise RemoteCommandFailed(err.decode(), exit_status=code, stderr=err.decode())
        spent = time.monotonic() - began
        return Result(tuple(argv), code, out.decode(errors="replace"), err.decode(), spent)

    @asynccontextmanager
    async def stream(
        self,
        argv: Sequence[str],
        *,
        lifetime: float,
        stdin: bytes | None = None,
        stderr: bool = True,
    ) -> AsyncIterator[LocalStream]:
        process = await self._spawn(argv, merged=stderr)
        try:
            yield LocalStream(process)
        finally:
            if process.returncode is None:
                _kill(process)
                await process.wait()

    async def put(self, path: str, data: object, *, mode: int = 0o600, deadline: float) -> None:
        raise NotImplementedError


class LocalShells:
    """`tools` come first on PATH on every host."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tools = root / "tools"
        self.tools.mkdir()
        self._shells: dict[str, LocalShell] = {}

    def shell(self, host: str, user: str | None = None) -> LocalShell:
        if host not in self._shells:
            home = self.root / host
            home.mkdir()
            self._shells[host] = LocalShell(host, home, f"{self.tools}:/usr/bin:/bin")
        return self._shells[host]

    def tool(self, name: str, text: str) -> None:
        path = self.tools / name
        path.write_text(text)
        path.chmod(0o755)
