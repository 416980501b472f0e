"""Frozen values of the fleet. A missing figure is None, never 0: GB10 answers `[N/A]` to much."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from server.base.clock import iso
from server.base.health import Verdict


def plain(value: Any) -> dict[str, Any]:
    """The fields of a flat dataclass. `dataclasses.asdict` copies deeply and costs twenty times
    as much, which counts at one sample per host per second."""
    return {name: getattr(value, name) for name in value.__slots__}


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

    def to_dict(self) -> dict[str, Any]:
        return plain(self) | {"processes": [plain(process) for process in self.processes]}


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

    def to_dict(self) -> dict[str, Any]:
        return plain(self) | {"labels": dict(self.labels)}


@dataclass(frozen=True, slots=True)
class Sample:
    """One frame of one host. Slow parts (disks, containers, processes) repeat their last one."""

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
    gpu_problem: str = ""
    """Why there are no GPU figures; empty when there are, or when none were due yet."""
    docker_problem: str = ""
    """Why `containers` is None; empty when it is not, or when docker was not asked yet."""

    def to_dict(self) -> dict[str, Any]:
        containers = self.containers
        return {
            "host": self.host,
            "at": iso(self.at),
            "boot_id": self.boot_id,
            "uptime": self.uptime,
            "load": None if self.load is None else list(self.load),
            "cores": self.cores,
            "gpus": [gpu.to_dict() for gpu in self.gpus],
            "memory": plain(self.memory),
            "disks": [plain(disk) for disk in self.disks],
            "nics": [plain(nic) for nic in self.nics],
            "containers": None if containers is None else [c.to_dict() for c in containers],
            "gpu_problem": self.gpu_problem,
            "docker_problem": self.docker_problem,
        }


@dataclass(frozen=True, slots=True)
class HostStatus:
    """What is known of a host: `verdict` is Up while samples come, Unknown(reason) when SSH fails,
    Down only when the host itself says so. `last` is the newest sample ever seen, `seen_at` its
    arrival by our clock."""

    name: str
    verdict: Verdict
    last: Sample | None = None
    seen_at: datetime | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "health": self.verdict.health.value,
            "reason": self.verdict.reason,
            "seen_at": iso(self.seen_at),
            "sample": None if self.last is None else self.last.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """Health of one configured service, with the latency of the last probe in seconds. `since` is
    when a probe first found it in this health, one after another."""

    name: str
    verdict: Verdict
    checked_at: datetime | None = None
    latency: float | None = None
    detail: str = ""
    since: datetime | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "health": self.verdict.health.value,
            "reason": self.verdict.reason,
            "checked_at": iso(self.checked_at),
            "since": iso(self.since),
            "latency": self.latency,
            "detail": self.detail,
        }
