"""Hosts as cards. Pure. A figure that a host does not report stays None: the template draws a dash.

The memory of a GB10 is unified, so one bar shows all of it: what processes hold through the GPU,
what everything else holds, cache that the kernel gives back on demand, and what is free.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from server.base.health import Verdict
from server.base.units import duration, size
from server.config.model import Host
from server.fleet.model import Container, Disk, Gpu, GpuProcess, HostStatus, Memory, Sample
from server.ssh.model import Refusal
from server.web.pages.moment import Moment, moment

CONTAINERS = 24


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the memory bar: `start` and `width` in percent of all memory."""

    kind: str
    label: str
    amount: int
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class MemoryBar:
    """`segments` is empty when the host does not tell enough to draw an honest bar."""

    total: int | None
    available: int | None
    gpu: int | None
    segments: tuple[Segment, ...]
    swap_used: int | None
    pressure: float | None

    @property
    def words(self) -> str:
        """The bar as a sentence, for those who cannot see it."""
        if not self.segments:
            return "Memory is not known."
        parts = ", ".join(f"{one.label} {size(one.amount)}" for one in self.segments)
        return f"Memory of {size(self.total)}: {parts}."


@dataclass(frozen=True, slots=True)
class DiskBar:
    mount: str
    total: int
    used: int
    available: int
    percent: float | None
    tight: bool


@dataclass(frozen=True, slots=True)
class GpuFigures:
    name: str | None
    utilization: float | None
    temperature: float | None
    power: float | None
    clock: float | None


@dataclass(frozen=True, slots=True)
class HostCard:
    """`stale` says that the figures are old: they are shown greyed, with their age."""

    name: str
    address: str
    labels: tuple[str, ...]
    health: str
    reason: str
    seen: Moment | None
    stale: bool
    gpus: tuple[GpuFigures, ...]
    gpu_problem: str
    memory: MemoryBar
    processes: tuple[GpuProcess, ...]
    disks: tuple[DiskBar, ...]
    containers: tuple[Container, ...] | None
    more_containers: int
    running: int
    docker_problem: str
    load: str | None
    uptime: str | None
    key_change: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class HostList:
    template: ClassVar[str] = "host/list.html"

    hosts: tuple[HostCard, ...]
    public_key: str


def memory_bar(memory: Memory, processes: Sequence[GpuProcess]) -> MemoryBar:
    """The bar adds up to the total by construction. GPU memory that no process list tells of is
    part of `other`, which is then named plainly `used`."""
    told = [one.used_bytes for one in processes if one.used_bytes is not None]
    gpu = sum(told) if told else None
    swap = None
    if memory.swap_total is not None and memory.swap_free is not None:
        swap = max(0, memory.swap_total - memory.swap_free)
    return MemoryBar(
        memory.total,
        memory.available,
        gpu,
        tuple(_segments(memory, gpu)),
        swap,
        memory.pressure_some,
    )


def _segments(memory: Memory, gpu: int | None) -> list[Segment]:
    total, free, cache = memory.total, memory.free, memory.reclaimable
    if not total or free is None or cache is None:
        return []
    free = min(max(free, 0), total)
    cache = min(max(cache, 0), total - free)
    used = total - free - cache
    # The driver's figure and the kernel's are read a moment apart: never draw more than is used.
    held = min(gpu or 0, used)
    parts = [("gpu", "GPU processes", held)] if gpu is not None else []
    parts += [
        ("other", "other" if gpu is not None else "used", used - held),
        ("cache", "cache", cache),
        ("free", "free", free),
    ]
    segments, start = [], 0.0
    for kind, label, amount in parts:
        width = 100 * amount / total
        segments.append(Segment(kind, label, amount, round(start, 3), round(width, 3)))
        start += width
    return segments


def disk_bar(disk: Disk) -> DiskBar:
    whole = disk.used + disk.available
    percent = 100 * disk.used / whole if whole > 0 else None
    return DiskBar(
        disk.mount,
        disk.total,
        disk.used,
        disk.available,
        percent,
        percent is not None and percent >= 90,
    )


def _gpu(gpu: Gpu) -> GpuFigures:
    return GpuFigures(gpu.name, gpu.utilization, gpu.temperature, gpu.power, gpu.clock_sm)


def _containers(sample: Sample) -> tuple[tuple[Container, ...] | None, int, int]:
    """Running ones first; how many were left out; how many run."""
    if sample.containers is None:
        return None, 0, 0
    running = sum(one.state == "running" for one in sample.containers)
    ordered = sorted(sample.containers, key=lambda one: (one.state != "running", one.name))
    return tuple(ordered[:CONTAINERS]), max(0, len(ordered) - CONTAINERS), running


def host_card(
    host: Host, status: HostStatus, refused: Refusal | None, now: datetime, stale_seconds: float
) -> HostCard:
    last = status.last
    age = None if status.seen_at is None else (now - status.seen_at).total_seconds()
    gpus = last.gpus if last else ()
    processes = tuple(process for gpu in gpus for process in gpu.processes)
    containers, left_out, running = _containers(last) if last else (None, 0, 0)
    return HostCard(
        name=host.name,
        address=host.address if host.port == 22 else f"{host.address} port {host.port}",
        labels=host.labels,
        health=status.verdict.health.value,
        reason=status.verdict.reason,
        seen=moment(status.seen_at, now),
        stale=last is not None and (age is None or age > stale_seconds),
        gpus=tuple(map(_gpu, gpus)) or (GpuFigures(None, None, None, None, None),),
        gpu_problem=last.gpu_problem if last else "",
        memory=memory_bar(last.memory if last else Memory(), processes),
        processes=tuple(sorted(processes, key=lambda one: -(one.used_bytes or 0))),
        disks=tuple(map(disk_bar, last.disks)) if last else (),
        containers=containers,
        more_containers=left_out,
        running=running,
        docker_problem=last.docker_problem if last else "",
        load=" ".join(f"{one:.2f}" for one in last.load) if last and last.load else None,
        uptime=duration(last.uptime) if last and last.uptime is not None else None,
        key_change=(refused.old, refused.new) if refused else None,
    )


def host_list(
    hosts: Sequence[Host],
    statuses: Mapping[str, HostStatus],
    refused: Mapping[str, Refusal],
    *,
    now: datetime,
    stale_seconds: float,
    public_key: str,
) -> HostList:
    unseen = Verdict.unknown("not looked at yet")
    return HostList(
        tuple(
            host_card(
                host,
                statuses.get(host.name) or HostStatus(host.name, unseen),
                refused.get(host.name),
                now,
                stale_seconds,
            )
            for host in hosts
        ),
        public_key,
    )
