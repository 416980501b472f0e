"""`make check`: lint, format, types, floors, known vulnerabilities, docs. All run; any may fail.

Owns the list of checks and the one judgement in it: an audit that could not reach the registry
is said loudly but is not a failure, while a vulnerability found is.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import startos_package
from startos_package import Outcome
from toolchain import ROOT, VENV, environment, find_uv, loud

_OFFLINE = re.compile(
    r"ConnectionError|ConnectTimeout|ReadTimeout|timed out|Max retries|NameResolution"
    r"|Temporary failure|ServiceError|ProxyError|Connection (?:refused|reset)|unreachable"
)


def run(*argv: str) -> Outcome:
    """A tool of the locked environment, with its output shown as it comes."""
    program = [str(VENV / "bin" / argv[0]), *argv[1:]]
    done = subprocess.run(
        program, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, check=False
    )
    return "ok" if done.returncode == 0 else "failed"


def docs() -> Outcome:
    if not (ROOT / "tests" / "docs").is_dir():
        return "ok"
    return run("python", "-m", "pytest", "-q", "-n", "0", "tests/docs")


def audit() -> Outcome:
    """Every locked package against the advisories of the Python package index."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, report = Path(folder, "requirements.txt"), Path(folder, "report.json")
        uv = find_uv()
        if uv is None:
            sys.stderr.write("uv is missing: run `make setup`\n")
            return "failed"
        export = [uv, "export", "--locked", "--quiet", "--all-groups", "--all-extras"]
        export += ["--no-emit-project", "--format", "requirements-txt", "-o", str(wanted)]
        subprocess.run(export, cwd=ROOT, env=environment(), check=True, stdout=subprocess.DEVNULL)
        argv = [str(VENV / "bin" / "pip-audit"), "--requirement", str(wanted), "--disable-pip"]
        argv += ["--progress-spinner", "off", "--format", "json", "--output", str(report)]
        done = subprocess.run(
            argv, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
        )
        text = report.read_text() if report.is_file() else ""
    return judge_audit(done.returncode, text, done.stderr)


def judge_audit(code: int, report: str, errors: str) -> Outcome:
    """A report decides by itself; without one, only a lost network is forgiven."""
    if report:
        found = [p for p in json.loads(report)["dependencies"] if p.get("vulns")]
        for package in found:
            names = ", ".join(vuln["id"] for vuln in package["vulns"])
            sys.stdout.write(f"{package['name']} {package['version']}: {names}\n")
        return "failed" if found else "ok"
    if code != 0 and _OFFLINE.search(errors):
        loud("The package registry could not be reached: the locked packages were NOT audited.")
        return "could not run"
    sys.stderr.write(errors)
    return "failed"


CHECKS: dict[str, Callable[[], Outcome]] = {
    "ruff check": lambda: run("ruff", "check"),
    "ruff format": lambda: run("ruff", "format", "--check"),
    "mypy": lambda: run("mypy"),
    "floors": lambda: run("lint-imports"),
    "pip-audit": audit,
    "docs": docs,
    "startos": startos_package.check,
}


def main(args: list[str]) -> int:
    wanted = args or list(CHECKS)
    if unknown := [name for name in wanted if name not in CHECKS]:
        sys.stderr.write(f"no such check: {', '.join(unknown)}; known: {', '.join(CHECKS)}\n")
        return 2
    outcomes: dict[str, tuple[Outcome, float]] = {}
    for name in wanted:
        sys.stdout.write(f"── {name}\n")
        sys.stdout.flush()
        began = time.monotonic()
        outcomes[name] = (CHECKS[name](), time.monotonic() - began)
    sys.stdout.write("\n")
    for name, (outcome, seconds) in outcomes.items():
        sys.stdout.write(f"{name:<14}{outcome:<16}{seconds:6.1f} s\n")
    return 1 if any(outcome == "failed" for outcome, _ in outcomes.values()) else 0
