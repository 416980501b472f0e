"""`make demo` as a stranger sees it: an answer, and nothing left behind on any way out."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.test_live import free_port

pytestmark = [pytest.mark.sim, pytest.mark.timeout(180)]
ROOT = Path(__file__).resolve().parents[2]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the demo with its temporary directory in ours; whatever happens, it is ended."""
    started: list[subprocess.Popen[str]] = []

    def call(*options: str) -> "subprocess.Popen[str]":
        argv = ["--port", str(free_port()), "--load-seconds", "0.3", *options]
        process = subprocess.Popen(
            [sys.executable, "scripts/demo.py", *argv],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield call
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


def left_behind(folder: Path) -> list[str]:
    """Files in the demo's directory, and processes that know of it."""
    mark = os.fsencode(folder)
    found = [path.name for path in folder.iterdir()]
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if b"spark-control-demo-" in words and mark in words:
            found.append(entry.name)
    return found


def test_once_prints_the_answer_and_leaves_nothing(start: Start, tmp_path: Path) -> None:
    """Exit 0 after the answer."""
    demo = start("--once")
    out, _ = demo.communicate(timeout=120)
    assert demo.returncode == 0, out
    assert " is serving (" in out
    assert out.partition("/v1/chat/completions")[2].strip()
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("moment", ["Starting Spark Control", "loading", "The dashboard is at"])
def test_ctrl_c_at_any_moment_leaves_nothing(start: Start, tmp_path: Path, moment: str) -> None:
    """While the app starts, in the middle of a swap, and as the wanted end."""
    demo = start("--load-seconds", "0.3" if "dashboard" in moment else "60")
    assert demo.stdout is not None
    seen = next((line for line in demo.stdout if moment in line), None)
    assert seen is not None, demo.wait(60)
    demo.send_signal(signal.SIGINT)
    out, _ = demo.communicate(timeout=60)
    assert demo.returncode == (0 if "dashboard" in moment else 130), out
    assert left_behind(tmp_path) == []


def test_a_failure_is_told_with_its_cause(start: Start, tmp_path: Path) -> None:
    """Exit 1; the cause is what the engine's log told."""
    demo = start("--once", "--fail", "load")
    out, _ = demo.communicate(timeout=120)
    assert demo.returncode == 1, out
    assert "cause:" in out
    assert "The demo failed" in out
    assert left_behind(tmp_path) == []
