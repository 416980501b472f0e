"""Hosts as cards. Pure. A figure that a host does not report stays None: the template draws a dash.

The memory of a GB10 is unified, so one bar shows all of it: what each process holds through the
GPU, what everything else holds, cache that the kernel gives back on demand, and what is free.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from server.base.health import Verdict
from server.base.units import duration, size
from server.config.model import Host
from server.fleet.model import Container, Disk, Gpu, GpuProcess, HostStatus, Memory, Nic, Sample
from server.fleet.trend import NOTHING, Curves
from server.ssh.model import Refusal
from server.web.pages.curve import SMALL, CurveCard, curve_card
from server.web.pages.moment import Moment, moment

CONTAINERS = 24
NOT_YET = "not looked at yet"
HOLDERS = 3
"""GPU processes that have a segment of their own; what is left shares one."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the memory bar: `start` and `width` in percent of all memory. `kind` is `gpu1`,
    `gpu2`, … for what processes hold through the GPU, largest first, then other, cache, free."""

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
class NicFigures:
    """Bytes per second; None until two samples have come."""

    name: str
    received: float | None
    sent: float | None


@dataclass(frozen=True, slots=True)
class HostCard:
    """The figures of one host. `stale` says that they are old: they are shown greyed, with their
    age. `lean` is the card of the overview; the host's own page shows all."""

    template: ClassVar[str] = "host/card.html"

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
    nics: tuple[NicFigures, ...]
    containers: tuple[Container, ...] | None
    more_containers: int
    running: int
    docker_problem: str
    load: str | None
    uptime: str | None
    key_change: tuple[str, str] | None
    lean: bool = True


@dataclass(frozen=True, slots=True)
class HostCurves:
    """The last hour. Drawn once with the page: a script goes on from there by events."""

    template: ClassVar[str] = "host/curves.html"

    host: str
    cards: tuple[CurveCard, ...]


@dataclass(frozen=True, slots=True)
class HostTile:
    card: HostCard
    curves: HostCurves


@dataclass(frozen=True, slots=True)
class HostList:
    template: ClassVar[str] = "host/list.html"

    hosts: tuple[HostTile, ...]
    public_key: str


def memory_bar(memory: Memory, processes: Sequence[GpuProcess]) -> MemoryBar:
    """The bar adds up to the total by construction. GPU memory that no process list tells of is
    part of `other`, which is then named plainly `used`."""
    held = _held(processes)
    gpu = sum(amount for _, amount in held) if held else None
    swap = None
    if memory.swap_total is not None and memory.swap_free is not None:
        swap = max(0, memory.swap_total - memory.swap_free)
    return MemoryBar(
        memory.total,
        memory.available,
        gpu,
        tuple(_segments(memory, held)),
        swap,
        memory.pressure_some,
    )


def _held(processes: Sequence[GpuProcess]) -> list[tuple[str, int]]:
    """By container, else by program: largest first, the small ones together."""
    sums: Counter[str] = Counter()
    for one in processes:
        if one.used_bytes is not None:
            sums[one.container or one.name.rpartition("/")[2] or "?"] += one.used_bytes
    ordered = sums.most_common()
    rest = ordered[HOLDERS:]
    if len(rest) > 1:
        ordered = [*ordered[:HOLDERS], (f"{len(rest)} others", sum(held for _, held in rest))]
    return ordered


def _segments(memory: Memory, held: Sequence[tuple[str, int]]) -> list[Segment]:
    total, free, cache = memory.total, memory.free, memory.reclaimable
    if not total or free is None or cache is None:
        return []
    free = min(max(free, 0), total)
    cache = min(max(cache, 0), total - free)
    left = used = total - free - cache
    parts = []
    for number, (label, amount) in enumerate(held, 1):
        # The driver tells a moment before or after the kernel: never draw more than is used.
        parts.append((f"gpu{number}", label, min(amount, left)))
        left -= parts[-1][2]
    parts += [
        ("other", "other" if held else "used", left if held else used),
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


def _nic(nic: Nic) -> NicFigures:
    return NicFigures(nic.name, nic.rx_rate, nic.tx_rate)


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
    host: Host,
    status: HostStatus,
    refused: Refusal | None,
    now: datetime,
    stale_seconds: float,
    *,
    lean: bool = True,
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
        nics=tuple(map(_nic, last.nics)) if last else (),
        containers=containers,
        more_containers=left_out,
        running=running,
        docker_problem=last.docker_problem if last else "",
        load=" ".join(f"{one:.2f}" for one in last.load) if last and last.load else None,
        uptime=duration(last.uptime) if last and last.uptime is not None else None,
        key_change=(refused.old, refused.new) if refused else None,
        lean=lean,
    )


def host_curves(name: str, curves: Curves, total: int | None) -> HostCurves:
    """The three of a card. `total` is all memory of the host."""
    return HostCurves(name, tuple(curve_card(one, curves, total) for one in SMALL))


def unseen(name: str) -> HostStatus:
    return HostStatus(name, Verdict.unknown(NOT_YET))


def host_list(
    hosts: Sequence[Host],
    statuses: Mapping[str, HostStatus],
    refused: Mapping[str, Refusal],
    curves: Mapping[str, Curves],
    *,
    now: datetime,
    stale_seconds: float,
    public_key: str,
) -> HostList:
    tiles = []
    for host in hosts:
        status = statuses.get(host.name) or unseen(host.name)
        card = host_card(host, status, refused.get(host.name), now, stale_seconds)
        drawn = host_curves(host.name, curves.get(host.name, NOTHING), card.memory.total)
        tiles.append(HostTile(card, drawn))
    return HostList(tuple(tiles), public_key)
