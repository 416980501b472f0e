"""Frozen values of the fleet. A missing figure is None, never 0: GB10 answers `[N/A]` to much."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from server.base.clock import iso
from server.base.health import Verdict


@dataclass(frozen=True, slots=True)
class GpuProcess:
    pid: int
    name: str
    used_bytes: int | None
    container: str | None = None


@dataclass(frozen=True, slots=True)
class Gpu:
    """Percent, degrees Celsius, watts, megahertz."""

    name: str | None = None
    utilization: float | None = None
    temperature: float | None = None
    power: float | None = None
    clock_sm: float | None = None
    driver: str | None = None
    processes: tuple[GpuProcess, ...] = ()


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes, from /proc/meminfo; unified between CPU and GPU on a GB10. `reclaimable` is cache
    that the kernel gives back on demand. `pressure_*` are the avg10 percentages of PSI."""

    total: int | None = None
    available: int | None = None
    free: int | None = None
    cached: int | None = None
    reclaimable: int | None = None
    swap_total: int | None = None
    swap_free: int | None = None
    pressure_some: float | None = None
    pressure_full: float | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    mount: str
    device: str
    total: int
    used: int
    available: int


@dataclass(frozen=True, slots=True)
class Nic:
    """Counters in bytes since boot, rates in bytes per second (None until two samples)."""

    name: str
    rx_bytes: int
    tx_bytes: int
    rx_rate: float | None = None
    tx_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Container:
    id: str
    name: str
    image: str
    state: str
    status: str
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One frame of one host. Slow parts (disks, containers, processes) repeat their last reading."""

    host: str
    at: datetime
    boot_id: str | None
    uptime: float | None
    load: tuple[float, float, float] | None
    cores: int | None
    gpus: tuple[Gpu, ...]
    memory: Memory
    disks: tuple[Disk, ...]
    nics: tuple[Nic, ...]
    containers: tuple[Container, ...] | None
    """None when docker could not be asked (not installed, not permitted)."""

    def to_dict(self) -> dict[str, Any]:
        body = asdict(self)
        body["at"] = iso(self.at)
        if self.containers is not None:
            body["containers"] = [{**asdict(c), "labels": dict(c.labels)} for c in self.containers]
        return body


@dataclass(frozen=True, slots=True)
class HostStatus:
    """What is known of a host: `verdict` is Up while samples come, Unknown(reason) when SSH fails,
    Down only when the host itself says so. `last` is the newest sample ever seen, `seen_at` its
    arrival by our clock."""

    name: str
    verdict: Verdict
    last: Sample | None = None
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """Health of one configured service, with the latency of the last probe in seconds."""

    name: str
    verdict: Verdict
    checked_at: datetime | None = None
    latency: float | None = None
    detail: str = ""
