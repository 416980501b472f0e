"""The answers of the remote programs, read into values. Pure; unknown stays unknown.

Refuses to take an unreadable answer for "nothing there": that raises.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from server.base.errors import Unavailable
from server.launch import docker
from server.launch.model import Engine
from server.launch.remote.common import sections

_LISTENER = re.compile(r'\("([^"]*)",pid=(\d+)')


class GpuHold(NamedTuple):
    """A process on the GPU: what it holds in bytes (None: not told) and its cgroup line."""

    pid: int
    used: int | None
    cgroup: str


class HostMemory(NamedTuple):
    """`available` in bytes; `holds` are the processes on the GPU. None: could not be told."""

    available: int | None
    holds: tuple[GpuHold, ...] | None

    @property
    def gpu_pids(self) -> tuple[int, ...] | None:
        return None if self.holds is None else tuple(hold.pid for hold in self.holds)

    def held_outside(self, others: Collection[str]) -> tuple[GpuHold, ...]:
        """Processes that belong to none of the containers `others` (ids)."""
        return tuple(
            hold
            for hold in self.holds or ()
            if not any(ident and ident in hold.cgroup for ident in others)
        )


@dataclass(frozen=True, slots=True)
class MemoryWait:
    """How a wait for memory ended: `enough` when all was back, else what was still missing."""

    enough: bool
    available: int | None
    left: tuple[int, ...]


def engines(output: str, host: str, *, docker_required: bool = True) -> tuple[Engine, ...]:
    """Every engine of ours in an answer of `remote.look.OBSERVE`. What a start is still at work on
    is not an engine yet: it has no final identity, and starting it again adopts it."""
    parts = whole(output, host)
    if docker_required and "dockererror" in parts:
        raise Unavailable(
            f"docker on {host} did not say what runs there: {parts['dockererror'][:300]}",
            advice="Check that docker runs there and that the SSH user is in the docker group.",
        )
    serving = tuple(parts.get("serving", "").split())
    starting = frozenset(parts.get("starting", "").split())
    found = [
        (item, docker.engine(item, host, serving=serving))
        for item in docker.containers(parts.get("inspect", ""))
        if docker.is_ours(item)
    ]
    settled = [
        engine
        for item, engine in found
        if engine.running or engine.container not in starting or _ended(item)
    ]
    return (*settled, *bare_engines(parts.get("bare", ""), host))


def whole(output: str, host: str) -> Mapping[str, str]:
    """The sections of an answer that came to its end."""
    parts = sections(output)
    if "end" not in parts:
        raise Unavailable(f"the answer of {host} was cut short", retry_after=1.0)
    return parts


def bare_engines(text: str, host: str) -> tuple[Engine, ...]:
    return tuple(found for line in text.splitlines() if (found := _bare(line, host)) is not None)


def _bare(line: str, host: str) -> Engine | None:
    try:
        body: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    found = body.get("meta")
    meta = found if isinstance(found, dict) else {}
    return Engine(
        launcher="bare",
        host=host,
        container=str(body["container"]),
        ident=str(body["pid"]),
        started=str(body["ticks"]),
        tag=str(meta.get("tag", "")),
        model=str(meta.get("model", "")),
        fingerprint=str(meta.get("fingerprint", "")),
        running=body["running"] is True,
        exit_code=body["exit"] if isinstance(body["exit"], int) else None,
    )


def _ended(container: Mapping[str, Any]) -> bool:
    return container["State"].get("Status") in {"exited", "dead"}


def memory(output: str, host: str) -> HostMemory:
    parts = whole(output, host)
    if "gpu" not in parts:
        return HostMemory(_bytes(parts.get("available", "")), None)
    owners = dict(line.partition(" ")[::2] for line in parts.get("owners", "").splitlines())
    rows = ([cell.strip() for cell in line.split(",")] for line in parts["gpu"].splitlines())
    holds = tuple(
        GpuHold(int(row[0]), _mib(row[-1]), owners.get(row[0], ""))
        for row in rows
        if row[0].isdigit()
    )
    return HostMemory(_bytes(parts.get("available", "")), holds)


def _mib(text: str) -> int | None:
    return int(text) * 1024**2 if text.isdigit() else None


def memory_wait(output: str, host: str) -> MemoryWait:
    parts = whole(output, host)
    left = tuple(int(word) for word in parts.get("left", "").split() if word.isdigit())
    return MemoryWait(parts.get("enough") == "true", _bytes(parts.get("available", "")), left)


def _bytes(kib: str) -> int | None:
    return int(kib) * 1024 if kib.strip().isdigit() else None


def port_owner(output: str, port: int) -> str | None:
    """Who listens on `port` in an answer of `ss -ltnpH`; None when nobody does."""
    for line in output.splitlines():
        columns = line.split()
        if len(columns) < 4 or columns[3].rpartition(":")[2] != str(port):
            continue
        owner = _LISTENER.search(line)
        return f"{owner[1]} (pid {owner[2]})" if owner else "a process of another user"
    return None
