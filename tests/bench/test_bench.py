"""Every measurement can be made, in a tiny form: rows come, whatever the figures are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import BENCHES, main
from bench.table import Row, drawn
from tests.e2e.running import ROOT

ROWS = {
    "swap": ("whole swap", "`serving` at a client", "ours against it, whole"),
    "startup": ("/livez 200", "/readyz 200", "resident memory"),
    "fleet": ("CPU of the control plane", "a page open"),
    "frames": ("parse one second", "an hour of one host"),
    "pages": ("first load of the overview", "one viewer", "each viewer more"),
    "pixels": ("to pixels",),
    "gateway": ("CPU per request", "added median latency", "streams of", "uploaded through ours"),
    "log": ("log line of one request",),
    "merge": ("merging", "from request to answer", "memory of that process"),
    "echo": ("while the far side is alone", "nothing done", "with cancellation"),
    "streams": ("streams that one core carries", "a frame, windows and all", "memory each"),
    "recordings": ("minutes, a WAV file: our time", "an MP3 file", "above idle"),
}


@pytest.mark.sim
@pytest.mark.timeout(420)  # a dozen benches
def test_every_bench_prints_its_rows(tmp_path: Path) -> None:
    """As `make bench` runs them, one after the other. Bytecode is kept, so that the apps that are
    started here are not compiled each time anew."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick"],
        cwd=ROOT,
        env=kept | {"PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode")},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    for title, row in [(BENCHES[name][0], row) for name in BENCHES for row in ROWS[name]]:
        assert row in done.stdout.partition(title)[2], (title, row)


def test_a_missed_aim_is_shown_and_is_no_failure() -> None:
    table = drawn("Some", [Row("slow", 1.5, "x", 1.2), Row("quick", 1.1, "x", 1.2)])
    slow, quick = table.splitlines()[-2:]
    assert "at most 1.20 x: MISSED" in slow
    assert "at most 1.20 x: met" in quick


def test_a_figure_that_should_be_large_is_judged_the_other_way_round() -> None:
    """And what would be better still is shown beside what must be."""
    table = drawn("Some", [Row("rps", 50, "x", 40, stretch=90, least=True)])
    assert "at least 40.0 x: met; 90.0: not met" in table


def test_what_could_not_be_measured_is_said_and_is_no_figure() -> None:
    table = drawn("Some", [Row("by script", None, "s", 1, "there is no ssh command here")])
    assert "not measured" in table
    assert "met" not in table.replace("not measured", "")


def test_an_unknown_bench_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Without measuring the known ones first."""
    with pytest.raises(SystemExit) as left:
        main(["swap", "nothing"])
    assert left.value.code == 2
    assert "no such bench: nothing" in capsys.readouterr().err
