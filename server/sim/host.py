"""One simulated host as the simulator runs it: SSH, docker, link, memory.

Owns what can be done to it: down, cut, restore, reboot, a new host key, another scenario. Refuses
half measures: a reboot ends every process and gives a new boot id.
"""

import asyncio
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from server.sim import kit, memory, procs
from server.sim.docker import images
from server.sim.docker.container import Recipe
from server.sim.docker.daemon import Daemon
from server.sim.docker.door import DockerSocket
from server.sim.gate import Gate
from server.sim.layout import HostDir, write, write_json
from server.sim.reaper import Reaper
from server.sim.scenario import Scenario, ScenarioError
from server.sim.services import Kind
from server.sim.sshd import Sshd

REBOOT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a host is reached."""

    name: str
    address: str
    cluster_address: str
    port: int


def machine_uptime() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])


class SimHost:
    """`tick` must be called a few times a second."""

    def __init__(
        self, directory: HostDir, place: Place, key: asyncssh.SSHKey, reaper: Reaper
    ) -> None:
        self.directory = directory
        self.place = place
        self._sshd = Sshd(directory, key, reaper)
        self.gate = Gate(place.address, place.port, self._sshd.serve)
        self.docker = Daemon(directory, reaper)
        self._door = DockerSocket(self.docker, directory.state)
        self._told = Scenario()
        self._told_at = 0
        self._gone: dict[int, float] = {}
        self._shown: tuple[object, ...] = ()
        self._booted = ""

    @property
    def name(self) -> str:
        return self.place.name

    async def open(self, told: Scenario) -> None:
        kit.install(self.directory, self.place.address, self.place.cluster_address)
        self._boot()
        self.tell(told)
        self._door.open()
        await self.gate.open()

    def start_services(self, services: tuple[Kind, ...]) -> None:
        """Each as a container that comes back after a reboot."""
        for service in services:
            image = f"{images.SERVICE_PREFIX}{service.container}:latest"
            self.docker.images.names.append(image)
            made = Recipe(
                name=service.container,
                image=image,
                image_id=images.ident(image),
                entrypoint=images.entrypoint(image),
                command=(service.name, service.kind, str(service.port)),
                env={},
                labels={"simulated": "1"},
                mounts=(),
                workdir="/",
                auto_remove=False,
                restart="unless-stopped",
                stop_timeout=10,
                host_config={"NetworkMode": "host", "RestartPolicy": {"Name": "unless-stopped"}},
            )
            self.docker.launch(self.docker.add(made))

    async def close(self) -> None:
        self.docker.close()
        self._door.close()
        await self.gate.close()

    def tell(self, told: Scenario) -> None:
        """Play another scenario from now on."""
        write_json(self.directory.scenario_file, told.to_dict())
        self._take(told)
        self.tick(0)

    def _take(self, told: Scenario) -> None:
        self._told = told
        self._told_at = self.directory.scenario_file.stat().st_mtime_ns
        kit.apply(self.directory, told)

    @property
    def told(self) -> Scenario:
        return self._told

    def change(self, changes: Mapping[str, Any]) -> Scenario:
        """Raises ScenarioError."""
        self.tell(self._told.changed(changes))
        return self._told

    def host_key(self) -> str:
        return self._sshd.key.export_public_key().decode().strip()

    def _boot(self) -> None:
        self._booted = str(uuid.uuid4())
        kit.boot(self.directory, self._booted, machine_uptime())

    def processes(self) -> list[int]:
        return procs.carrying("SIM_HOST", str(self.directory.root))

    def tick(self, beat: int) -> None:
        """Notice edits of the scenario, dead claimants, and redraw memory and GPU."""
        try:
            if self.directory.scenario_file.stat().st_mtime_ns != self._told_at:
                self._take(self.directory.scenario)
        except (FileNotFoundError, ScenarioError):
            pass  # half-written by hand: the last good one stays
        held = self._claims()
        seen = memory.figures(self._told, held)
        quick = beat // 4 if held else beat // 240
        shown = (seen, tuple(held), quick)
        if shown != self._shown:
            self._shown = shown
            kit.show_memory(self.directory, seen)
            kit.show_gpu(self.directory, held, quick)

    def _claims(self) -> list[memory.Claim]:
        """Claims that still hold: a dead process keeps its memory for a moment."""
        held = memory.claims(self.directory)
        now = time.monotonic()
        kept = []
        for claim in held:
            if claim.alive:
                self._gone.pop(claim.pid, None)
                kept.append(claim)
            elif now - self._gone.setdefault(claim.pid, now) < self._told.release_delay:
                kept.append(claim)
            else:
                memory.forget(self.directory, claim)
                self._gone.pop(claim.pid, None)
        return kept

    async def set_link(self, link: str) -> None:
        """The file tells the engines and services, which listen by themselves."""
        write(self.directory.link, f"{link}\n")
        await self.gate.set_link(link)

    async def new_host_key(self) -> None:
        self._sshd.new_key()
        self.gate.drop()

    async def reboot(self) -> None:
        """Everything ends; the host is back a second later as if it were new."""
        await self.set_link("down")
        for container in self.docker.containers.values():
            container.stopping = True
        while left := self.processes():
            procs.kill(left)
            await asyncio.sleep(0.02)
        memory.clear(self.directory)
        self._boot()
        self.tick(0)
        await asyncio.sleep(REBOOT_SECONDS)
        self.docker.reboot()
        await self.set_link("up")

    def to_dict(self) -> dict[str, Any]:
        seen = memory.figures(self._told, memory.claims(self.directory))
        return {
            "name": self.name,
            "address": self.place.address,
            "cluster_address": self.place.cluster_address,
            "port": self.place.port,
            "link": self.gate.link,
            "boot_id": self._booted,
            "connections": self.gate.connections,
            "host_key": self.host_key(),
            "processes": self.processes(),
            "memory": {"total": seen.total, "free": seen.free, "available": seen.available},
            "containers": [
                {
                    "id": c.id,
                    "name": c.recipe.name,
                    "status": c.status,
                    "exit_code": c.exit_code,
                    "labels": dict(c.recipe.labels),
                }
                for c in self.docker.containers.values()
            ],
            "scenario": self._told.to_dict(),
            "simulated": True,
        }
