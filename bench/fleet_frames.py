"""What one frame of one host costs us after it left the SSH connection: parse, keep, draw.

CPU time per frame, and the memory of an hour of kept samples.
"""

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.table import Row
from server.fleet.history import History
from server.fleet.model import Sample
from server.fleet.parse import FrameParser

ROUNDS = 5000
AT = datetime(2026, 1, 1, tzinfo=UTC)
CONTAINER = (
    '{"ID":"%064x","Names":"service-%d","Image":"vllm-node","State":"running",'
    '"Status":"Up 3 hours","Labels":"spark-control.engine=1,spark-control.tag=swap-0abc"}\t@E'
)


def lines_of_a_spark(uptime: float) -> list[str]:
    """GPU line, listing of ten containers, frame: more than an average second brings."""
    memory = [f"Field{number}:  {number * 1000} kB" for number in range(46)]
    memory += [f"Mem{name}: 127535708 kB" for name in ("Total", "Free", "Available")]
    memory += [f"{name}: 1000000 kB" for name in ("Cached", "Shmem", "SReclaimable", "SwapTotal")]
    nics = [f"  en{number}: {' '.join(['1234567'] * 16)}" for number in range(6)]
    load = ["0.52 0.58 0.59 3/812 12345", "some avg10=1.25 x", "full avg10=0.75 x"]
    containers = ["@K\t" + CONTAINER % (number, number) for number in range(10)]
    return [
        "@G\t0, NVIDIA GB10, 87, 61, 42.13, 2411, 580.95.05\t@E",
        *containers,
        "@k\t0\t10\t@E",
        "\t".join(["@F", f"{uptime} 1.0", *load, *memory, *nics, "@E"]),
    ]


def parsed(parser: FrameParser, uptime: float) -> Sample:
    samples = [parser.feed(line, uptime, AT) for line in lines_of_a_spark(uptime)]
    last = samples[-1]
    assert last is not None
    return replace(last, at=AT + timedelta(seconds=uptime))


def microseconds(work: Callable[[int], object], rounds: int) -> float:
    began = time.process_time()
    for number in range(rounds):
        work(number)
    return (time.process_time() - began) / rounds * 1e6


def measure(place: Path, *, quick: bool) -> list[Row]:
    del place
    parser, history = FrameParser("spark-1"), History(3600, 4000)
    sample = parsed(parser, 0)
    gpu, *listing, frame = lines_of_a_spark(1)

    def second(number: int) -> None:
        parser.feed(gpu, number, AT)
        parser.feed(frame, number, AT)

    def containers(number: int) -> None:
        for line in listing:
            parser.feed(line, number, AT)

    works: dict[str, Callable[[int], object]] = {
        "parse one second (GPU line, frame)": second,
        "parse a listing of ten containers": containers,
        "draw it for the bus": lambda _: sample.to_dict(),
        "keep it": lambda _: history.add(sample),
    }
    rounds = 100 if quick else ROUNDS
    rows = [Row(what, microseconds(work, rounds), "us") for what, work in works.items()]
    return [*rows, Row("memory of an hour of one host", _an_hour(sample), "MB")]


def _an_hour(sample: Sample) -> float:
    tracemalloc.start()
    try:
        history = History(3600, 4000)
        for number in range(3600):
            history.add(replace(sample, at=AT + timedelta(seconds=number)))
        return tracemalloc.get_traced_memory()[0] / 1e6
    finally:
        tracemalloc.stop()
