"""One container: a real process with its own session, its log file, its exit code.

Owns the life of the process and what docker would say of it. Refuses to outlive its main process:
when that ends, everything started inside is killed, as the kernel does for a PID namespace.
"""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from server.sim import procs
from server.sim.layout import HostDir
from server.sim.reaper import Reaper, spawn

NEVER = "0001-01-01T00:00:00Z"
NVIDIA_ENTRYPOINT = "/opt/nvidia/nvidia_entrypoint.sh"


def timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What `docker run` asked for. `mounts` are (host path, path inside, read only)."""

    name: str
    image: str
    image_id: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    env: Mapping[str, str]
    labels: Mapping[str, str]
    mounts: tuple[tuple[str, str, bool], ...]
    workdir: str
    auto_remove: bool
    restart: str
    stop_timeout: int
    host_config: Mapping[str, Any]

    @property
    def argv(self) -> tuple[str, ...]:
        whole = (*self.entrypoint, *self.command)
        return whole[1:] if whole[:1] == (NVIDIA_ENTRYPOINT,) else whole


class NotExecutableError(Exception):
    """The program is not there. The message is runc's."""

    def __init__(self, program: str) -> None:
        super().__init__(f'exec: "{program}": executable file not found in $PATH')


@dataclass(slots=True)
class Container:
    """`pid` is 0 when it does not run. `ended` is set while it does not run."""

    id: str
    host: HostDir
    recipe: Recipe
    created: str = field(default_factory=timestamp)
    status: str = "created"
    pid: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    started: str = NEVER
    finished: str = NEVER
    restarts: int = 0
    stopping: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def root(self) -> Path:
        return self.host.containers / self.id

    @property
    def rootfs(self) -> Path:
        return self.root / "rootfs"

    @property
    def log(self) -> Path:
        return self.root / "log.json"

    @property
    def running(self) -> bool:
        return self.status == "running"

    def prepare(self) -> None:
        for part in ("root", "tmp", self.recipe.workdir.lstrip("/")):
            (self.rootfs / part).mkdir(parents=True, exist_ok=True)
        self.log.touch()

    def environment(self) -> dict[str, str]:
        """What processes inside are given; SIM_* maps their paths back to this machine."""
        return {
            "PATH": f"{self.host.container_bin}:/usr/bin:/bin",
            "HOME": str(self.rootfs / "root"),
            **{k: v for k, v in self.recipe.env.items() if k not in ("PATH", "HOME")},
            "HOSTNAME": self.host.name,
            "SIM_HOME": "/root",
            "SIM_DIR": str(self.host.root.parent),
            "SIM_HOST": str(self.host.root),
            "SIM_CONTAINER": self.id,
            "SIM_ROOTFS": str(self.rootfs),
            "SIM_MOUNTS": json.dumps(
                [[inside, source] for source, inside, _ in self.recipe.mounts]
            ),
        }

    def resolve(self, argv: tuple[str, ...]) -> list[str]:
        """The program inside -> the file that runs. Raises NotExecutableError."""
        program = argv[0] if argv else ""
        name = Path(program).name
        if "/" in program and not (self.host.container_bin / name).exists():
            found = program if os.access(program, os.X_OK) else None
        else:
            found = shutil.which(name, path=f"{self.host.container_bin}:/usr/bin:/bin")
        if not program or found is None:
            raise NotExecutableError(program)
        main = f"/proc/{self.pid}/fd/"
        return [found, *(word.replace("/proc/1/fd/", main) for word in argv[1:])]

    def start(self, reaper: Reaper, ended: Callable[["Container"], None]) -> None:
        """Run the main process. Its output goes to the log, its end to `ended`."""
        argv = self.resolve(self.recipe.argv)
        pipes = [os.pipe(), os.pipe()]
        try:
            self.pid = spawn(
                argv,
                env=self.environment(),
                cwd=self.rootfs / self.recipe.workdir.lstrip("/"),
                files=(None, pipes[0][1], pipes[1][1]),
            )
        finally:
            for _, writing in pipes:
                os.close(writing)
        readers = [
            LogReader(self, reading, stream)
            for (reading, _), stream in zip(pipes, ("stdout", "stderr"), strict=True)
        ]
        self.status, self.started, self.finished = "running", timestamp(), NEVER
        self.exit_code, self.oom_killed, self.stopping = 0, False, False
        self.ended = asyncio.Event()
        main = self.pid
        reaper.watch(main, lambda code: self._ended(main, code, readers, ended))

    def _ended(
        self,
        main: int,
        code: int,
        readers: list["LogReader"],
        ended: Callable[["Container"], None],
    ) -> None:
        procs.kill(procs.carrying("SIM_CONTAINER", self.id))
        for reader in readers:
            reader.finish()
        mark = self.host.state / f"oom-{main}"
        self.oom_killed = mark.exists()
        mark.unlink(missing_ok=True)
        self.exit_code = 128 - code if code < 0 else code
        self.status, self.pid, self.finished = "exited", 0, timestamp()
        self.ended.set()
        ended(self)

    async def stop(self, seconds: float) -> None:
        """TERM (which a PID 1 without a handler never gets), a wait, then KILL."""
        self.stopping = True
        if not self.running:
            return
        if procs.catches(self.pid, signal.SIGTERM):
            procs.kill([self.pid], signal.SIGTERM)
        try:
            async with asyncio.timeout(seconds):
                await self.ended.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        if not self.running:
            return
        if number == signal.SIGKILL:
            self.stopping = True
            procs.kill([self.pid])
            await self.ended.wait()
        elif procs.catches(self.pid, number):
            procs.kill([self.pid], number)

    def write_log(self, text: str, stream: str) -> None:
        line = json.dumps({"log": text, "stream": stream, "time": timestamp()})
        with self.log.open("a") as file:
            file.write(line + "\n")


class LogReader:
    """Copies one pipe of a container to its log, line by line."""

    def __init__(self, container: Container, descriptor: int, stream: str) -> None:
        self._container = container
        self._descriptor = descriptor
        self._stream = stream
        self._rest = b""
        self._loop = asyncio.get_running_loop()
        os.set_blocking(descriptor, False)
        self._loop.add_reader(descriptor, self._read)

    def _read(self) -> bool:
        """Take what is there. False at the end."""
        try:
            data = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return False
        if not data:
            self._close()
            return False
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._container.write_log(line.decode(errors="replace") + "\n", self._stream)
        return True

    def _close(self) -> None:
        if self._descriptor < 0:
            return
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        if self._rest and self._container.root.exists():
            self._container.write_log(self._rest.decode(errors="replace"), self._stream)
            self._rest = b""

    def finish(self) -> None:
        """The main process is gone: take the last words and close."""
        while self._descriptor >= 0 and self._read():
            pass
        self._close()
