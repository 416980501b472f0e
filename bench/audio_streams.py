"""Live streams: how many one core carries, what a frame costs, how much memory each takes.

The real app has one core to itself; who speaks (`bench.audio_crowd`) and a recogniser that answers
at once (`bench.audio_instant`) are processes of their own and share the other. A stream is 16 kHz,
ten frames a second, speech in a quarter of the time. The delay is from the frame that settled
something to its being told: endpointing, cutting a window, the request to the recogniser and back,
weaving and sending. What a real recogniser takes comes on top.
"""

import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.ours import served
from bench.peers import MODEL, Peer, running
from bench.process import cpu_seconds, resident_mib
from bench.table import Row, shown
from bench.tools import AROUND, on_core
from tests.e2e.running import ROOT, free_port

AIM = 1000
MOST_SECONDS = 0.2
WARM, SECONDS = 6.0, 24.0
COUNTS = (1, 250, 500, 750, 1000, 1250, 1500)
FRAMES_A_SECOND = 10


def measure(place: Path, *, quick: bool) -> list[Row]:
    counts, warm, seconds = ((5,), 0.5, 3.0) if quick else (COUNTS, WARM, SECONDS)
    rows: list[Row] = []
    carried = 0
    for count in counts:
        with _app(place / f"streams-{count}") as peer:
            seen = _ran(peer, count, warm, seconds)
        rows += _rows(count, seen, seconds)
        slowest = max(seen["final99"] or 0.0, seen["partial99"] or 0.0)
        if seen["final99"] is None or slowest > MOST_SECONDS or seen["lost"]:
            break
        carried = count
    aim = None if quick else AIM
    note = f"delays of 99 in 100 under {MOST_SECONDS * 1000:.0f} ms, none lost; steps of 250"
    return [Row("streams that one core carries", carried, "", aim, note, least=True), *rows]


def _rows(count: int, seen: dict[str, Any], seconds: float) -> list[Row]:
    frames = count * FRAMES_A_SECOND * seconds
    told = f"{seen['finals']:,} finals, {seen['partials']:,} partials; "
    late = f"{told}the crowd itself up to {seen['late'] * 1000:.0f} ms late"
    kept = f"and {seen['kept'] * 100:.0f} % of the time others had it though there was work"
    each = seen["grown"] * 1024 / count
    return [
        Row(f"{count:,} streams: final, p99", _ms(seen["final99"]), "ms", 200, late),
        Row("  final, median", _ms(seen["final50"]), "ms"),
        Row("  partial, p99", _ms(seen["partial99"]), "ms", 200),
        Row("  share of the core", seen["cpu"] / seconds * 100, "%", None, kept),
        Row("  a frame, windows and all", seen["cpu"] / frames * 1e6, "us"),
        Row("  memory each", each, "KiB", None, f"all: {shown(seen['rss'], 'MiB')}"),
    ]


@contextmanager
def _app(data: Path) -> Iterator[Peer]:
    data.mkdir()
    port = free_port()
    at = {"host": "bench", "port": port, "health_path": "/health"}
    config = {
        "hosts": [{"name": "bench", "address": "127.0.0.1", "port": free_port(), "user": "bench"}],
        "services": [
            {"name": "fake-llm", "kind": "llm", "models": [MODEL], **at},
            {"name": "fake-asr", "kind": "asr", "max_in_flight": 3, **at},
        ],
        "gateway": {"client_in_flight": None, "require_key": True},
        "audio": {"max_streams": 100_000},
        "log": {"level": "info", "format": "json"},
    }
    (data / "config.yaml").write_text(json.dumps(config))
    argv = [sys.executable, "-m", "bench.audio_instant", port]
    with running(argv, data / "instant.log", core=AROUND), served(data, "ours") as peer:
        yield peer


def _ran(peer: Peer, count: int, warm: float, seconds: float) -> dict[str, Any]:
    idle = resident_mib(peer.pid)
    argv = [*on_core(AROUND), sys.executable, "-m", "bench.audio_crowd"]
    crowd = subprocess.Popen(
        [*argv, str(peer.port), str(count), str(warm), str(seconds)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert crowd.stdin is not None
        assert crowd.stdout is not None
        crowd.stdin.write(f"{peer.key}\n")
        crowd.stdin.close()
        patience = 60 + count / 50 + warm + seconds * 4
        _line(crowd, patience)
        began = time.monotonic()
        before, kept = cpu_seconds(peer.pid), _kept_waiting(peer.pid)
        seen: dict[str, Any] = json.loads(_line(crowd, patience))
        took = time.monotonic() - began
        cpu = (cpu_seconds(peer.pid) - before) * seconds / took
        rss = resident_mib(peer.pid)
        kept = (_kept_waiting(peer.pid) - kept) / took
    finally:
        crowd.kill()
        crowd.wait()
    finals, partials = sorted(seen["finals"]), sorted(seen["partials"])
    return {
        "cpu": cpu,
        "kept": kept,
        "rss": rss,
        "grown": max(0.0, rss - idle),
        "finals": len(finals),
        "partials": len(partials),
        "final50": _quantile(finals, 0.5),
        "final99": _quantile(finals, 0.99),
        "partial99": _quantile(partials, 0.99),
        "late": seen["late"],
        "lost": seen["lost"],
    }


def _line(crowd: "subprocess.Popen[str]", patience: float) -> str:
    """What it prints next."""
    assert crowd.stdout is not None
    ready, _, _ = select.select([crowd.stdout], [], [], patience)
    line = crowd.stdout.readline() if ready else ""
    if not line:
        raise RuntimeError(f"the crowd said nothing within {patience:.0f} s, or ended")
    return line


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def _kept_waiting(pid: int) -> float:
    """Seconds in which it could have run and did not: a quiet machine has next to none."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def _quantile(sorted_figures: list[float], share: float) -> float | None:
    """None when there are none: nothing was told."""
    if not sorted_figures:
        return None
    return sorted_figures[min(len(sorted_figures) - 1, int(len(sorted_figures) * share))]
