"""What the gateway adds to one chat answer, one request at a time, against the engine itself.

Direct and through the gateway take turns. A sanity check: load with many clients at once is a
measurement of its own.
"""

import http.client
import json
import time
from pathlib import Path

from bench.process import cpu_seconds
from bench.table import Row, median
from tests.e2e.running import ONE, House, running_house

TURN = 25


def measure(place: Path, *, quick: bool) -> list[Row]:
    turns = 1 if quick else 12
    with running_house(
        place, hosts=2, load_seconds=0.2, first_token_delay=0, token_delay=0
    ) as house:
        house.swap(ONE)
        at = house.sim.hosts["spark-1"].address
        direct = http.client.HTTPConnection(at, house.sim.engine_port, timeout=30)
        through = http.client.HTTPConnection("127.0.0.1", house.port, timeout=30)
        for link in (direct, through):
            _asked(link)
        straight: list[float] = []
        relayed: list[float] = []
        cpu = 0.0
        for _ in range(turns):
            straight += [_asked(direct) for _ in range(TURN)]
            before = _cpu(house)
            relayed += [_asked(through) for _ in range(TURN)]
            cpu += _cpu(house) - before
        direct.close()
        through.close()
    count = f"{len(relayed)} requests each"
    return [
        Row("chat answer from the engine itself, p50", median(straight) * 1000, "ms", note=count),
        Row("the same through the gateway, p50", median(relayed) * 1000, "ms"),
        Row("  added", (median(relayed) - median(straight)) * 1000, "ms"),
        Row("  CPU of the control plane per request", cpu / len(relayed) * 1000, "ms"),
    ]


def _cpu(house: House) -> float:
    assert house.process is not None
    return cpu_seconds(house.process.pid)


def _asked(link: http.client.HTTPConnection) -> float:
    body = {"model": ONE, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
    began = time.monotonic()
    link.request(
        "POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"}
    )
    answer = link.getresponse()
    text = answer.read()
    seconds = time.monotonic() - began
    if answer.status != 200:
        raise RuntimeError(f"HTTP {answer.status}: {text[:300]!r}")
    return seconds
