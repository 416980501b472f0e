"""What docker says of itself: images, version, info, statistics.

Owns the images of a host. Refuses to start or stop anything.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping

from server.sim import memory, procs
from server.sim.docker import images, show
from server.sim.docker.call import Answer, Call
from server.sim.docker.container import Container
from server.sim.docker.images import Images
from server.sim.docker.template import fill
from server.sim.docker.words import Command, DockerError
from server.sim.layout import HostDir

VERSION = "28.5.1"


def processes(container: Container) -> Iterator[tuple[int, int, str]]:
    """(pid, parent, command line) of everything inside."""
    for pid in procs.carrying("SIM_CONTAINER", container.id):
        found = procs.stat(pid)
        if found is not None:
            yield pid, int(found[1]), " ".join(procs.argv(pid))


class About:
    """Answers for one daemon, whose containers it only reads."""

    def __init__(
        self,
        host: HostDir,
        names: Images,
        containers: Mapping[str, Container],
        find: Callable[[str], Container],
    ) -> None:
        self._host = host
        self._names = names
        self._containers = containers
        self._find = find

    async def fetch(self, name: str) -> None:
        await asyncio.sleep(self._host.scenario.download_seconds)
        if images.full(name) not in self._names.names:
            self._names.names.append(images.full(name))

    async def pull(self, command: Command, _: Call) -> Answer:
        name = command.words[0]
        if not self._names.pullable(name):
            raise DockerError(
                f"Error response from daemon: pull access denied for {name.partition(':')[0]}, "
                "repository does not exist or may require 'docker login'\n"
            )
        await self.fetch(name)
        full = images.full(name)
        tag = full.rpartition(":")[2]
        return Answer(
            out=f"{tag}: Pulling from {name.partition(':')[0]}\n"
            f"Digest: {images.ident(full + '-digest')}\n"
            f"Status: Downloaded newer image for {full}\n{full}\n"
        )

    async def images(self, command: Command, _: Call) -> Answer:
        rows = []
        for name in self._names.names:
            repository, tag = name.rsplit(":", 1)
            whole = images.ident(name)
            rows.append(
                {
                    "Repository": repository,
                    "Tag": tag,
                    "ID": whole if "no-trunc" in command.flags else whole[7:19],
                    "CreatedAt": "2026-09-20 10:11:12 +0000 UTC",
                    "CreatedSince": "2 months ago",
                    "Size": "18.7GB",
                    "Digest": "<none>",
                    "Containers": "N/A",
                }
            )
        if "quiet" in command.flags:
            return Answer(out="".join(f"{line['ID']}\n" for line in rows))
        names = ("Repository", "Tag", "ID", "CreatedSince", "Size")
        heads = ("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE")
        return Answer(out=show.table(rows, command.value("format"), names, heads))

    async def image_inspect(self, command: Command, _: Call) -> Answer:
        known = [(name, self._names.find(name)) for name in command.words]
        found = [self._names.describe(image) for _, image in known if image]
        absent = [name for name, image in known if not image]
        err = "".join(
            f"Error response from daemon: No such image: {images.full(n)}\n" for n in absent
        )
        out = show.dump(found, command.value("format")) if found else "[]\n"
        return Answer(out=out, err=err, code=1 if absent else 0)

    async def rmi(self, command: Command, _: Call) -> Answer:
        out = err = ""
        for name in command.words:
            image = self._names.find(name)
            if image is None:
                err += f"Error response from daemon: No such image: {images.full(name)}\n"
            else:
                self._names.names.remove(image)
                out += f"Untagged: {image}\nDeleted: {images.ident(image)}\n"
        return Answer(out=out, err=err, code=1 if err else 0)

    async def version(self, command: Command, call: Call) -> Answer:
        side = {"Version": VERSION, "ApiVersion": "1.51", "Os": "linux", "Arch": "arm64"}
        body = {"Client": side, "Server": {**side, "Platform": {"Name": "simulated"}}}
        template = command.value("format")
        if template:
            return Answer(out=fill("{{json .}}" if template == "json" else template, body) + "\n")
        if "--version" in call.argv or "-v" in call.argv:
            return Answer(out=f"Docker version {VERSION}, build simulated\n")
        return Answer(out=f"Client:\n Version: {VERSION}\nServer: simulated\n Version: {VERSION}\n")

    async def info(self, command: Command, _: Call) -> Answer:
        running = sum(c.running for c in self._containers.values())
        body = {
            "ID": "simulated",
            "Name": f"{self._host.name} (simulated)",
            "Containers": len(self._containers),
            "ContainersRunning": running,
            "ContainersStopped": len(self._containers) - running,
            "Images": len(self._names.names),
            "Driver": "overlay2",
            "ServerVersion": VERSION,
            "OperatingSystem": "NVIDIA DGX OS (simulated)",
            "OSType": "linux",
            "Architecture": "aarch64",
            "NCPU": 20,
            "MemTotal": self._host.scenario.memory_total_bytes,
            "DockerRootDir": "/var/lib/docker",
            "Runtimes": {"nvidia": {"path": "nvidia-container-runtime"}, "runc": {"path": "runc"}},
            "DefaultRuntime": "runc",
        }
        template = command.value("format")
        if template:
            return Answer(out=fill("{{json .}}" if template == "json" else template, body) + "\n")
        return Answer(out="".join(f" {key}: {value}\n" for key, value in body.items()))

    async def stats(self, command: Command, _: Call) -> Answer:
        chosen = [self._find(name) for name in command.words] or list(self._containers.values())
        held = {claim.pid: claim.bytes for claim in memory.claims(self._host)}
        rows = []
        for container in chosen:
            mine = [pid for pid, _, _ in processes(container)] if container.running else []
            used = sum(held.get(pid, 0) for pid in mine)
            total = self._host.scenario.memory_total_bytes
            rows.append(
                {
                    "ID": container.id[:12],
                    "Name": container.recipe.name,
                    "CPUPerc": "12.34%" if used else "0.00%",
                    "MemUsage": f"{used / 2**30:.2f}GiB / {total / 2**30:.1f}GiB",
                    "MemPerc": f"{100 * used / total:.2f}%",
                    "PIDs": str(len(mine)),
                }
            )
        names = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "PIDs")
        heads = ("CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "PIDS")
        return Answer(out=show.table(rows, command.value("format"), names, heads))
