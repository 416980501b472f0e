"""The whole simulated cluster: composition, the beat, and a clean end.

Owns start and stop. Refuses to run twice on one directory, and refuses to leave a process behind:
what it started descends from it or carries its mark, and is killed at the end or at the next start.
"""

import asyncio
import json
import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from server.sim import addresses, data, kit, procs, reference
from server.sim.addresses import Block
from server.sim.control import Control
from server.sim.host import Place, SimHost
from server.sim.layout import REFERENCE, HostDir, write
from server.sim.reaper import Reaper
from server.sim.scenario import Scenario
from server.sim.services import OFFERED, Kind

BEAT_SECONDS = 0.25
END_SECONDS = 5.0


class AlreadyRunningError(RuntimeError):
    """Another simulator holds the directory."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What the first line of output says."""

    config: Path
    control: str

    def line(self) -> str:
        return json.dumps({"config": str(self.config), "control": self.control})


class Cluster:
    """One simulator on one directory."""

    def __init__(
        self,
        root: Path,
        count: int,
        told: Scenario,
        rng: random.Random,
        *,
        reference: bool = False,
    ) -> None:
        if not 1 <= count <= addresses.MAX_HOSTS:
            raise ValueError(f"--hosts must be 1 to {addresses.MAX_HOSTS}, not {count}")
        self.root = root.resolve()
        self.hosts: dict[str, SimHost] = {}
        self._count = count
        self._told = told
        self._rng = rng
        self._reference = reference
        self._block: Block | None = None
        self._reaper = Reaper()
        self._control = Control(self.hosts)
        self._beating: asyncio.Task[None] | None = None
        self._holding = False

    async def open(self) -> Ready:
        self.root.mkdir(parents=True, exist_ok=True)
        self._hold_directory()
        before = self._before()
        self._block = addresses.take_block(self._rng, before)
        self._reaper.open()
        pairs = self._block.addresses(self._count)
        every = [address for address, _ in pairs]
        places = addresses.places(
            self._block, self._count, addresses.free_port(every, addresses.SSH_PORT + 1, self._rng)
        )
        port = addresses.free_port(every, 8000, self._rng)
        services = self._services(every)
        self._write_data(places, port, services)
        (self.root / REFERENCE).unlink(missing_ok=True)
        if self._reference:
            await reference.start(self.root, self._reaper)
        await self._open_hosts(places, services)
        await self._control.open()
        self._beating = asyncio.create_task(self._beat())
        return Ready(self.root / "config.yaml", self._control.url)

    def _services(self, every: list[str]) -> tuple[Kind, ...]:
        audio = every[min(1, len(every) - 1) :][:1]
        return tuple(
            Kind(s.name, s.kind, addresses.free_port(audio, s.port, self._rng), s.container)
            for s in (*OFFERED, *((reference.DIARIZER,) if self._reference else ()))
        )

    def _before(self) -> str | None:
        try:
            hosts = json.loads((self.root / "sim.json").read_text())["hosts"]
        except FileNotFoundError:
            return None
        return str(next(iter(hosts.values()))["address"])

    def _write_data(self, places: list[Place], port: int, services: tuple[Kind, ...]) -> None:
        data.write_cluster(self.root, places, port)
        data.write_shared(self.root)
        launcher = data.launcher_directory(self.root) / "launch-cluster.sh"
        write(launcher, kit.python_shim(None, kit.LAUNCHER), 0o755)
        path = self.root / "config.yaml"
        known = path.read_text() if path.exists() else ""
        if not all(f"{p.address}, port: {p.port}" in known for p in places):
            write(path, data.config(self.root, places, port, services), 0o600)
        catalog = self.root / "models.override.yaml"
        if not catalog.exists():
            write(catalog, data.overrides(self.root), 0o600)

    async def _open_hosts(self, places: list[Place], services: tuple[Kind, ...]) -> None:
        key = data.key_pair(self.root)
        for number, place in enumerate(places):
            directory = HostDir(self.root / place.name)
            shutil.rmtree(directory.state, ignore_errors=True)
            host = SimHost(directory, place, key, self._reaper)
            self.hosts[place.name] = host
            await host.open(self._told)
            data.write_home(self.root, directory, number)
        data.known_hosts(self.root, self.hosts.values())
        places_of_services = list(self.hosts.values())
        places_of_services[min(1, len(places_of_services) - 1)].start_services(services)

    async def _beat(self) -> None:
        beat = 0
        while True:
            beat += 1
            for host in self.hosts.values():
                host.tick(beat)
            await asyncio.sleep(BEAT_SECONDS)

    async def close(self) -> None:
        """Every process of every host ends; nothing but files stays."""
        if self._beating is not None:
            self._beating.cancel()
        await self._control.close()
        for host in self.hosts.values():
            await host.close()
        await self._kill_all()
        self._reaper.close()
        if self._block is not None:
            self._block.release()
        if self._holding:
            self._pid_file.unlink(missing_ok=True)

    async def _kill_all(self) -> None:
        for host in self.hosts.values():
            for container in host.docker.containers.values():
                container.stopping = True
        deadline = asyncio.get_running_loop().time() + END_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            left = procs.descendants(os.getpid())
            if not left:
                return
            procs.kill(left)
            await asyncio.sleep(0.02)

    @property
    def _pid_file(self) -> Path:
        return self.root / "sim.pid"

    def _hold_directory(self) -> None:
        """Refuse a directory in use; clean up after a simulator that was killed."""
        if self._pid_file.exists():
            pid, ticks = (int(word) for word in self._pid_file.read_text().split())
            if procs.ticks(pid) == ticks and pid != os.getpid():
                raise AlreadyRunningError(
                    f"a simulator (process {pid}) runs in {self.root} already"
                )
            procs.sweep(self.root)
        write(self._pid_file, f"{os.getpid()} {procs.ticks(os.getpid())}\n")
        self._holding = True
