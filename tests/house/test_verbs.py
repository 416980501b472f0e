"""The house: every verb is listed, old Pythons get a sentence, an audit is judged fairly."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.test_assets import ROOT, load


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The scripts import each other from their own folder."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return ROOT / "scripts"


def test_make_help_lists_every_verb_with_a_line() -> None:
    """A target without a `##` comment would be a verb nobody finds."""
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    done = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    shown = re.findall(r"^  make (\S+) +\S", done.stdout, re.MULTILINE)
    assert sorted(shown) == sorted(phony[1].split())


def test_every_verb_of_the_makefile_is_known(scripts: Path) -> None:
    """What the Makefile calls exists, and the other way round."""
    verbs = load("verbs").VERBS
    called = re.findall(r"\$\(RUN\) (\S+)", (ROOT / "Makefile").read_text())
    assert sorted(called) == sorted(verbs)


def test_an_old_python_gets_one_sentence(tmp_path: Path) -> None:
    """Said before anything newer is imported; no traceback."""
    text = (ROOT / "scripts" / "bootstrap.py").read_text()
    pretend = tmp_path / "bootstrap.py"
    pretend.write_text(text.replace("import sys", "import sys\nsys.version_info = (3, 8, 2)", 1))
    done = subprocess.run(
        [sys.executable, str(pretend), "demo"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    assert "needs Python 3.11 or newer" in done.stderr
    assert "is 3.8.2" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_an_unknown_verb_is_wrong_usage() -> None:
    """Exit 2 with the verbs there are."""
    done = subprocess.run(
        [sys.executable, "scripts/bootstrap.py", "fly"],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "demo" in done.stderr


def _report(*vulns: str) -> str:
    package = {"name": "p", "version": "1", "vulns": [{"id": v} for v in vulns]}
    return json.dumps({"dependencies": [package], "fixes": []})


@pytest.mark.parametrize(
    ("code", "report", "errors", "outcome"),
    [
        (0, _report(), "", "ok"),
        (1, _report("CVE-1"), "", "failed"),
        (1, "", "requests.exceptions.ConnectionError: no route", "could not run"),
        (1, "", "usage: pip-audit", "failed"),
        (0, "", "", "failed"),
    ],
)
def test_an_audit_is_judged_by_its_report(
    scripts: Path, code: int, report: str, errors: str, outcome: str
) -> None:
    """Only a registry out of reach is forgiven, and loudly."""
    assert load("checks").judge_audit(code, report, errors) == outcome


def test_a_stamp_is_believed_only_when_it_is_whole(
    scripts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a stamp means that the work is done again, not that it fails."""
    toolchain = load("toolchain")
    monkeypatch.setattr(toolchain, "STAMPS", tmp_path)
    toolchain.write_stamp("x", {"inputs": "1"})
    assert toolchain.read_stamp("x") == {"inputs": "1"}
    (tmp_path / "x").write_text('{"inp')
    assert toolchain.read_stamp("x") == {}
    assert toolchain.read_stamp("never") == {}


def test_the_demo_says_at_once_that_its_port_is_taken(scripts: Path) -> None:
    """Before anything is started, naming the way out; exit 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, str(scripts / "demo.py"), "--once", "--port", str(port)],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Starting" not in done.stdout


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """What people are told to type is what CI proves."""
    assert "make test" in (ROOT / "README.md").read_text()
    assert "make test" in (ROOT / ".ci" / "run").read_text()
