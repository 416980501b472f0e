"""The whole test suite, and a second look at what failed in it.

Three workers share two cores with clusters, browsers and servers, so a machine that is busy for a
moment can fail what is right. What failed is run once more, each test with nothing beside it. What
fails again fails the run; what passes then is named, loudly, so that nobody takes it for sound.
Owns that order. Refuses a second look at more than a handful: then something is broken.
"""

from __future__ import annotations

import json
import subprocess

from toolchain import ROOT, environment, loud

MOST = 25
TESTS_FAILED = 1
_SEEN = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"


def whole_suite(python: str) -> int:
    """Exit status of the suite: 0 when every test passed, here or alone."""
    pytest = [python, "-m", "pytest"]
    # A file at a time to each worker: clusters and browsers are started once for each file. Three
    # workers on two cores, because the long tests wait more than they work.
    _SEEN.unlink(missing_ok=True)
    first = _run([*pytest, "-n", "3", "--dist", "loadfile"])
    failed = _failed()
    if first != TESTS_FAILED or not failed or len(failed) > MOST:
        return first
    loud(f"{len(failed)} failed among others. Once more, each alone:")
    second = _run([*pytest, "-n", "0", "--last-failed", "--last-failed-no-failures", "none"])
    still = _failed() if second == TESTS_FAILED else []
    passed = [name for name in failed if name not in still]
    if second in (0, TESTS_FAILED) and passed:
        loud("Failed among others and passed alone: look at these, they depend on time.")
        print("".join(f"  {name}\n" for name in passed), flush=True)
    return second


def _run(argv: list[str]) -> int:
    return subprocess.run(argv, cwd=ROOT, env=environment(), check=False).returncode


def _failed() -> list[str]:
    """By pytest's own record of the last run."""
    try:
        return sorted(json.loads(_SEEN.read_text()))
    except (OSError, ValueError):
        return []
