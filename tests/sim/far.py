"""Commands on simulated hosts by plain asyncssh, and engines started as a person would by hand."""

import asyncio
import json
import shlex
import time
from dataclasses import dataclass
from typing import Any

import asyncssh

from tests.sim_cluster import Sim


@dataclass(frozen=True, slots=True)
class Done:
    """A finished remote command."""

    code: int | None
    out: str
    err: str


class Far:
    """One connection per host, opened when needed."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self._links: dict[str, asyncssh.SSHClientConnection] = {}
        self._engines: list[tuple[str, str]] = []

    async def link(self, host: str) -> asyncssh.SSHClientConnection:
        if host in self._links and self._links[host].is_closed():
            await self.drop(host)
        if host not in self._links:
            self._links[host] = await self.sim.connect(host)
        return self._links[host]

    async def run(self, command: str, host: str = "spark-1", stdin: str = "") -> Done:
        link = await self.link(host)
        done = await asyncio.wait_for(link.run(command, input=stdin, errors="replace"), 30)
        return Done(done.exit_status, str(done.stdout), str(done.stderr))

    async def out(self, command: str, host: str = "spark-1") -> str:
        done = await self.run(command, host)
        assert done.code == 0, done
        return done.out

    async def start(
        self, *serve: str, name: str = "engine", host: str = "spark-1", options: str = ""
    ) -> Done:
        """`docker run` of an engine for the model words in `serve`."""
        root = self.sim.dir / "srv" / "models"
        words = shlex.join([*serve, "--port", str(self.sim.engine_port)])
        self._engines.append((host, name))
        return await self.run(
            f"docker run -d --name {name} --network host --gpus all {options} "
            f"-v {shlex.quote(str(root))}:{shlex.quote(str(root))}:ro "
            "-v $HOME/.cache/huggingface:/root/.cache/huggingface "
            f"--entrypoint vllm vllm-node serve {words} --host 0.0.0.0",
            host,
        )

    async def ended(self, name: str = "engine", host: str = "spark-1") -> dict[str, Any]:
        """The container's state once it has exited."""
        await self.out(f"docker wait {name}", host)
        state: dict[str, Any] = json.loads(await self.out(f"docker inspect {name}", host))[0][
            "State"
        ]
        return state

    async def log(self, name: str = "engine", host: str = "spark-1") -> str:
        return await self.out(f"docker logs {name} 2>&1", host)

    async def until(self, line: str, name: str = "engine", host: str = "spark-1") -> str:
        """Follow the log until a line holds `line`; what was read so far."""
        link = await self.link(host)
        seen = ""
        async with link.create_process(f"docker logs -f {name} 2>&1", errors="replace") as follow:
            while True:
                text = await asyncio.wait_for(follow.stdout.readline(), 20)
                seen += text
                if line in text:
                    return seen
                assert text, f"the log ended without {line!r}:\n{seen}"

    async def ready(self, name: str = "engine", host: str = "spark-1") -> str:
        return await self.until("Application startup complete.", name, host)

    async def memory(self, host: str = "spark-1") -> dict[str, int]:
        """/proc/meminfo in bytes."""
        rows = (await self.out("cat /proc/meminfo", host)).splitlines()
        return {row.split(":")[0]: int(row.split()[1]) * 1024 for row in rows}

    async def memory_when(self, wanted: Any, host: str = "spark-1") -> dict[str, int]:
        """/proc/meminfo once `wanted(figures)` holds."""
        deadline = time.monotonic() + 10
        while True:
            seen = await self.memory(host)
            if wanted(seen):
                return seen
            assert time.monotonic() < deadline, seen

    async def empty(self, host: str = "spark-1") -> None:
        """Wait until no memory is claimed: it comes back a moment after the process is gone."""
        claims = self.sim.dir / host / "state" / "memory"
        async with asyncio.timeout(10):
            while any(claims.glob("*.json")):
                await asyncio.to_thread(self.sim.host, host)

    async def close(self) -> None:
        for host, name in self._engines:
            if self.sim.host(host)["link"] == "up":
                await self.run(f"docker rm -f {name}", host)
        for host in {host for host, _ in self._engines}:
            await self.empty(host)
        for host in list(self._links):
            await self.drop(host)

    async def drop(self, host: str) -> None:
        """Lose the connection; the next command opens another."""
        link = self._links.pop(host)
        link.abort()
        await link.wait_closed()
