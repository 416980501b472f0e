"""What watching hosts costs the control plane: CPU per host, memory, with and without a viewer.

The hosts are simulated on the same machine and cost far more than what is measured, so the samples
that really came are counted: CPU is given per host at one sample a second.
"""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.process import cpu_seconds, resident_mib
from bench.table import Row
from tests.e2e.running import House, running_house

SETTLE_SECONDS = 4.0
QUARTER = 25.0


def measure(place: Path, *, quick: bool) -> list[Row]:
    sizes, seconds = ((2,), 1.0) if quick else ((8, 64), 20.0)
    rows: list[Row] = []
    for hosts in sizes:
        with running_house(place / str(hosts), hosts=hosts) as house:
            time.sleep(0 if quick else SETTLE_SECONDS)
            rows += _watched(house, seconds, f"{hosts} hosts", QUARTER if hosts == 64 else None)
            if hosts == max(sizes):
                with _viewer(house):
                    title = f"{hosts} hosts, a page open"
                    rows += _watched(house, seconds / 2, title, None)
    return rows


def _watched(house: House, seconds: float, title: str, aim: float | None) -> list[Row]:
    assert house.process is not None
    pid, hosts = house.process.pid, len(house.sim.hosts)
    before, began = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    used, passed = cpu_seconds(pid) - before, time.monotonic() - began
    memory = resident_mib(pid)
    came = _samples(house, passed) / hosts / passed
    share = used / passed * 100
    return [
        Row(
            f"{title}: CPU of the control plane",
            share,
            "% of a core",
            aim,
            f"{came:.2f} samples a second and host came",
        ),
        Row("  CPU per host and sample", share * 10 / hosts / max(came, 0.01), "ms"),
        Row("  resident memory", memory, "MiB"),
    ]


def _samples(house: House, seconds: float) -> int:
    return sum(
        len(house.get(f"/hosts/{name}/samples", minutes=seconds / 60)["samples"])
        for name in house.sim.hosts
    )


@contextmanager
def _viewer(house: House) -> Iterator[None]:
    """One reader of the event stream, as an open dashboard is."""
    link = http.client.HTTPConnection("127.0.0.1", house.port, timeout=60)
    link.request("GET", "/api/v1/events")
    answer = link.getresponse()
    leave = threading.Event()

    def read() -> None:
        while not leave.is_set() and answer.readline():
            pass

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield
    finally:
        leave.set()
        reader.join(5)
        link.close()
