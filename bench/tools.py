"""The two C programs of the gateway bench: built when their source changed, and run.

Owns the folder where the bench keeps what it builds and installs (`SPARK_CONTROL_BENCH`, else in
the user's cache), so that nothing lands in the source tree. On two cores or more whatever is
measured has the first one to itself; the engine and who asks share the second.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parent / "native"
MEASURED, AROUND = 0, 1


class NotHere(Exception):
    """Something that the bench needs is not on this machine; the message says what to do."""


def built() -> Path:
    """Where the bench keeps what it builds and installs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = Path(os.environ.get("SPARK_CONTROL_BENCH") or cache / "spark-control-bench")
    place.mkdir(parents=True, exist_ok=True)
    return place


def on_core(core: int) -> list[str]:
    """What to put in front of a command so that it keeps to one core."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2 or not shutil.which("taskset"):
        return []
    return ["taskset", "-c", str(cores[core])]


@dataclass(frozen=True, slots=True)
class Tools:
    """`engine` is `engine ADDRESS PORT RATE`, `load` asks; see the heads of their sources."""

    engine: Path
    load: Path

    def asked(self, *words: object, patience: float = 120) -> dict[str, Any]:
        """One run of `load`: what came."""
        argv = [*on_core(AROUND), str(self.load), *map(str, words)]
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=patience,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise RuntimeError(f"load {words[0]} of port {words[2]}: {done.stderr.strip()}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def tools() -> Tools:
    """Compiles what is not compiled yet. Raises `NotHere` without a compiler."""
    text = b"".join(path.read_bytes() for path in sorted(SOURCE.iterdir()))
    place = built() / f"native-{hashlib.sha256(text).hexdigest()[:12]}"
    made = Tools(place / "engine", place / "load")
    if made.load.is_file():
        return made
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise NotHere(
            "there is no C compiler for the bench's engine and load generator: "
            "`make bench` installs one as root, else run `apt-get install gcc libc6-dev`"
        )
    with tempfile.TemporaryDirectory(dir=built()) as fresh:
        for name in ("engine", "load"):
            subprocess.run(
                [compiler, "-O2", "-o", f"{fresh}/{name}", str(SOURCE / f"{name}.c")], check=True
            )
        place.mkdir(exist_ok=True)
        for name in ("engine", "load"):
            Path(fresh, name).replace(place / name)
    return made
