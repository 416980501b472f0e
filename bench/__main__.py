"""`python -m bench`: runs the measurements one after the other and prints a table for each.

Ends with 1 when a measurement could not be made, never because an aim was missed.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from bench import (
    audio_echo,
    audio_long,
    audio_merge,
    audio_streams,
    fleet,
    fleet_frames,
    gateway,
    log_line,
    pages,
    pixels,
    startup,
    swap,
)
from bench.table import Row, drawn


class Measure(Protocol):
    def __call__(self, place: Path, *, quick: bool) -> list[Row]: ...


BENCHES: dict[str, tuple[str, Measure]] = {
    "swap": ("A swap, ours and by script", swap.measure),
    "startup": ("Start-up", startup.measure),
    "fleet": ("Watching hosts at 1 Hz", fleet.measure),
    "frames": ("One frame of one host", fleet_frames.measure),
    "pages": ("The dashboard", pages.measure),
    "pixels": ("From a sample to pixels", pixels.measure),
    "gateway": ("The gateway beside nginx and LiteLLM", gateway.measure),
    "log": ("Log lines", log_line.measure),
    "merge": ("Label-merge of ten hours", audio_merge.measure),
    "recordings": ("Long recordings", audio_long.measure),
    "streams": ("Live streams", audio_streams.measure),
    "echo": ("Echo of a loudspeaker", audio_echo.measure),
}


def main(argv: list[str] | None = None) -> int:
    asked = _arguments(argv)
    names = asked.names or list(BENCHES)
    machine = _machine()
    print(machine, flush=True)
    found: dict[str, list[Row]] = {}
    broken = [name for name in names if not _ran(name, found, quick=asked.quick)]
    if asked.json:
        rows = {name: [asdict(row) for row in rows] for name, rows in found.items()}
        asked.json.write_text(json.dumps({"machine": machine, "benches": rows}, indent=1))
    if broken:
        print(f"\nnot measured: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}")
    parser.add_argument("--quick", action="store_true", help="tiny: only whether it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the figures for programs")
    asked = parser.parse_args(argv)
    unknown = sorted(set(asked.names) - BENCHES.keys())
    if unknown:
        parser.error(f"no such bench: {', '.join(unknown)}")
    return asked


def _ran(name: str, found: dict[str, list[Row]], *, quick: bool) -> bool:
    title, measure = BENCHES[name]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="spark-control-bench-") as place:
        try:
            rows = found[name] = measure(Path(place), quick=quick)
        except Exception as error:  # the other benches can still be run, and the exit code tells
            print(f"\n{title}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            return False
    took = f"({time.monotonic() - began:.0f} s{', quick' if quick else ''})"
    print(f"\n{drawn(f'{title} {took}', rows)}", flush=True)
    return True


def _machine() -> str:
    """The figures mean little without the machine, and nothing when it was busy."""
    with Path("/proc/cpuinfo").open() as lines:
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    load = Path("/proc/loadavg").read_text().split()[0]
    kind = f"{len(names)} x {names[0]}" if names else "unknown processor"
    return f"{kind}, Python {sys.version.split()[0]}, load average {load} at the begin"


if __name__ == "__main__":
    sys.exit(main())
