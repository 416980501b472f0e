"""From `exec` of `spark-control serve` to the first 200 of `/livez` and `/readyz`; memory at rest.

Bytecode goes to a directory of its own: the first start of all finds none (as after an installation
that compiles nothing ahead), the later ones find it. The tree is left as it was.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.process import cpu_seconds, resident_mib
from bench.table import Row, median, spread
from tests.e2e.running import ROOT, free_port
from tests.sim_cluster import running_sim

LOOK_SECONDS = 0.005
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Start:
    """One start: seconds to the first 200, and CPU seconds until then."""

    live: float
    ready: float
    cpu: float


def measure(place: Path, *, quick: bool) -> list[Row]:
    times, rest = (1, 0.5) if quick else (5, 10.0)
    with running_sim(place, hosts=2) as sim:
        environment = dict(os.environ) if quick else _environment(place / "bytecode")
        first: Start | None = None
        if not quick:
            with _served(sim.dir, environment) as (first, _):
                pass
        starts = []
        memory = 0.0
        for number in range(times):
            with _served(sim.dir, environment) as (start, pid):
                starts.append(start)
                if number == times - 1:
                    time.sleep(rest)
                    memory = resident_mib(pid)
    live = [start.live for start in starts]
    ready = [start.ready for start in starts]
    return [
        Row("exec to /livez 200", median(live), "s", note=spread(live, "s")),
        Row("exec to /readyz 200", median(ready), "s", note=spread(ready, "s")),
        Row("CPU until then", median([start.cpu for start in starts]), "s"),
        Row(
            "the first start of all, no bytecode yet: /readyz",
            first.ready if first else None,
            "s",
            note="" if first else "left out when quick",
        ),
        Row(f"resident memory {rest:g} s later, 2 hosts sampled", memory, "MiB"),
    ]


def _environment(bytecode: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(bytecode)}


@contextmanager
def _served(data: Path, environment: dict[str, str]) -> Iterator[tuple[Start, int]]:
    port = free_port()
    argv = [sys.executable, "-m", "server.cli.main", "serve", "--data", str(data)]
    with (data / "bench-serve.log").open("ab") as log:
        began = time.monotonic()
        process = subprocess.Popen(
            [*argv, "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        live = _answered(process, port, "/livez") - began
        ready = _answered(process, port, "/readyz") - began
        yield Start(live, ready, cpu_seconds(process.pid)), process.pid
    finally:
        process.terminate()
        process.wait(15)


def _answered(process: subprocess.Popen[bytes], port: int, path: str) -> float:
    """The moment of the first 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the app ended with {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as link:
                link.sendall(request.encode())
                if b" 200 " in link.recv(64):
                    return time.monotonic()
        except ConnectionError:
            pass
        time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"no 200 of {path} within {PATIENCE:.0f} s")
