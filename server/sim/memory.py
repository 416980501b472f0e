"""The unified memory of a simulated host: who took how much, and what /proc/meminfo says of it.

Owns the claims (`state/memory/<pid>.json`, written by the process that takes the memory) and the
arithmetic from claims to figures. Refuses to forget a claim before its process is gone.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.sim import procs
from server.sim.layout import HostDir, write
from server.sim.scenario import GIB, Scenario

SYSTEM_BYTES = int(4.2 * GIB)
RESERVE_BYTES = GIB // 4
CRITICAL_BYTES = 2 * GIB


@dataclass(frozen=True, slots=True)
class Claim:
    """Memory held by one engine process. `busy` is true while it loads or answers."""

    pid: int
    ticks: int
    bytes: int
    name: str
    busy: bool

    @property
    def alive(self) -> bool:
        return procs.ticks(self.pid) == self.ticks


@dataclass(frozen=True, slots=True)
class Figures:
    """Bytes, as the kernel would count them."""

    total: int
    free: int
    available: int
    cached: int

    @property
    def starving(self) -> bool:
        return self.available < CRITICAL_BYTES


def take(host: HostDir, amount: int, *, busy: bool, name: str = "VLLM::EngineCore") -> None:
    """Claim `amount` bytes for the calling process, instead of what it held before."""
    pid = os.getpid()
    body = {
        "pid": pid,
        "ticks": procs.ticks(pid) or 0,
        "bytes": amount,
        "name": name,
        "busy": busy,
    }
    write(host.claims / f"{pid}.json", json.dumps(body))


def claims(host: HostDir) -> list[Claim]:
    found = []
    for path in sorted(host.claims.glob("*.json")):
        try:
            body: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            continue
        found.append(Claim(**body))
    return found


def figures(scenario: Scenario, held: Iterable[Claim]) -> Figures:
    """Page cache gives way to claims, down to a reserve; then nothing is available."""
    total = scenario.memory_total_bytes
    left = max(0, total - SYSTEM_BYTES - sum(claim.bytes for claim in held))
    cached = min(scenario.page_cache_bytes, max(0, left - RESERVE_BYTES))
    free = left - cached
    return Figures(total, free, free + int(cached * 0.95), cached)


def now(host: HostDir) -> Figures:
    return figures(host.scenario, claims(host))


def meminfo(seen: Figures) -> str:
    rows = {
        "MemTotal": seen.total,
        "MemFree": seen.free,
        "MemAvailable": seen.available,
        "Buffers": 96 << 20,
        "Cached": seen.cached,
        "SwapCached": 0,
        "Active": seen.cached // 2,
        "Inactive": seen.cached // 2,
        "SwapTotal": 16 * GIB,
        "SwapFree": 16 * GIB,
        "Dirty": 1 << 20,
        "Shmem": 64 << 20,
        "KReclaimable": 512 << 20,
        "Slab": 900 << 20,
        "SReclaimable": 512 << 20,
        "SUnreclaim": 388 << 20,
    }
    return "".join(f"{name + ':':<16}{value // 1024:>8} kB\n" for name, value in rows.items())


def pressure(seen: Figures) -> str:
    some, full = ("38.52", "21.07") if seen.starving else ("0.00", "0.00")
    return (
        f"some avg10={some} avg60={some} avg300=0.00 total=184467\n"
        f"full avg10={full} avg60={full} avg300=0.00 total=91238\n"
    )


def clear(host: HostDir) -> None:
    """Forget everything, as a reboot does."""
    for path in host.claims.iterdir():
        path.unlink(missing_ok=True)


def forget(host: HostDir, claim: Claim) -> None:
    Path(host.claims / f"{claim.pid}.json").unlink(missing_ok=True)
