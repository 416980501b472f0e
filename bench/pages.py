"""The dashboard: bytes of a first load, what a page and an update cost, with and without viewers.

Eight hosts are sampled at 1 Hz, so eight events come each second. CPU is that of the control plane
alone; the viewers (`bench.viewers`) are another process' thread of it. What watching costs anyway
is taken off: it is measured in the same run without a viewer, before and after.
"""

import gzip
import http.client
import time
from pathlib import Path
from urllib.parse import quote

from bench.process import cpu_seconds
from bench.table import Row, median
from bench.viewers import assets, viewers
from tests.e2e.running import House, running_house

HOSTS, VIEWERS = 8, 20
PAGES = ("/", "/models", "/swaps", "/services", "/activity", "/try", "/settings/hosts")
FIRST_LOAD_KB = 150.0
SETTLE_SECONDS = 3.0


def measure(place: Path, *, quick: bool) -> list[Row]:
    seconds, times = (1.0, 2) if quick else (10.0, 40)
    with running_house(place, hosts=HOSTS) as house:
        time.sleep(0 if quick else SETTLE_SECONDS)
        rows = _first_load(house)
        for page in PAGES:
            rows += _page(house, page, times)
        return rows + _viewed(house, seconds)


# ---- a first load


def _first_load(house: House) -> list[Row]:
    body, wire = _got(house, "/")
    page = body.decode()
    parts = {"the page": wire} | {name: _got(house, name)[1] for name in assets(page)}
    largest = max(parts, key=parts.__getitem__)
    return [
        Row(
            "first load of the overview, on the wire",
            sum(parts.values()) / 1000,
            "kB",
            FIRST_LOAD_KB,
            f"{len(parts)} answers, the largest {largest} with {parts[largest] / 1000:.0f} kB",
        )
    ]


def _got(house: House, address: str) -> tuple[bytes, int]:
    """The content, and how many bytes of it and its head came over the wire."""
    link = http.client.HTTPConnection("127.0.0.1", house.port, timeout=30)
    link.request("GET", address, headers={"accept-encoding": "gzip"})
    answer = link.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{address} answers {answer.status}")
    head = sum(len(name) + len(value) + 4 for name, value in answer.getheaders())
    link.close()
    packed = answer.getheader("content-encoding") == "gzip"
    return gzip.decompress(content) if packed else content, len(content) + head


# ---- pages and updates


def _page(house: House, address: str, times: int) -> list[Row]:
    assert house.process is not None
    link = http.client.HTTPConnection("127.0.0.1", house.port, timeout=30)
    took = []
    before = cpu_seconds(house.process.pid)
    for _ in range(times):
        began = time.monotonic()
        link.request("GET", address)
        answer = link.getresponse()
        answer.read()
        took.append(time.monotonic() - began)
        if answer.status != 200:
            raise RuntimeError(f"{quote(address)} answers {answer.status}")
    used = cpu_seconds(house.process.pid) - before
    link.close()
    note = f"CPU {used / times * 1000:.1f} ms, sampling included"
    return [Row(f"{address}: request to whole answer", median(took) * 1000, "ms", note=note)]


def _viewed(house: House, seconds: float) -> list[Row]:
    alone = _share(house, seconds)
    shares, notes, lag = {}, {}, 0.0
    for count in (1, VIEWERS):
        with viewers(house.url, "/", count) as counts:
            time.sleep(1.0)
            counts.forget()
            shares[count] = _share(house, seconds)
            notes[count] = (
                f"{counts.fetches / seconds / count:.1f} fragments and "
                f"{counts.bytes / seconds / count / 1000:.1f} kB a second and viewer"
            )
            lag = median(counts.lags) if counts.lags else 0.0
    alone = (alone + _share(house, seconds)) / 2
    each = (shares[VIEWERS] - shares[1]) / (VIEWERS - 1)
    return [
        Row(f"{HOSTS} hosts, nobody looks: CPU", alone, "% of a core"),
        Row("one viewer", shares[1], "% of a core", note=notes[1]),
        Row(f"{VIEWERS} viewers", shares[VIEWERS], "% of a core", note=notes[VIEWERS]),
        Row("  each viewer more", each, "% of a core"),
        Row("  request to whole fragment", lag * 1000, "ms", note=f"{VIEWERS} viewers"),
    ]


def _share(house: House, seconds: float) -> float:
    assert house.process is not None
    before, began = cpu_seconds(house.process.pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(house.process.pid) - before) / (time.monotonic() - began) * 100
