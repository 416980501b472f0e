"""`make release ARGS=1.2.0`: everything a release needs that a machine can do, and nothing more.

Writes the version into its three places, makes release notes of what CHANGELOG.md has under
"Unreleased", refreshes the lock within its bounds and audits it. Owns no publishing: it neither
commits, tags nor uploads, but prints how. Refuses to begin in a tree with changes, so that what it
did can be looked at and taken back.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime

import checks
import startos_package
from toolchain import ROOT, SetupError, environment, find_uv, say

VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
INIT, PROJECT = "server/__init__.py", "pyproject.toml"
STARTOS, CHANGELOG = "startos/versions/current.ts", "CHANGELOG.md"
NOTES = "dist/release-notes.md"
UNRELEASED = "## Unreleased"


class ReleaseError(SetupError):
    """Why there is nothing to release; its text is the cause and what to do."""


def parsed(version: str) -> tuple[int, ...]:
    if not VERSION.fullmatch(version):
        raise ReleaseError(f"{version!r} is no version: use three numbers, like 1.2.0")
    return tuple(map(int, version.split(".")))


def present(texts: Mapping[str, str]) -> str:
    """The version that all places agree on."""
    found = {
        INIT: re.search(r'^__version__ = "([^"]+)"', texts[INIT], re.MULTILINE),
        PROJECT: re.search(r'^version = "([^"]+)"', texts[PROJECT], re.MULTILINE),
        STARTOS: re.search(r"version: '([^:']+):\d+'", texts[STARTOS]),
    }
    said = {place: match[1] if match else "none" for place, match in found.items()}
    if len(set(said.values())) != 1:
        each = ", ".join(f"{place} says {version}" for place, version in said.items())
        raise ReleaseError(f"the places of the version disagree: {each}")
    return said[INIT]


def notes(changelog: str) -> str:
    """What is under "Unreleased", up to the next release."""
    _, found, rest = changelog.partition(f"\n{UNRELEASED}\n")
    text = re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0].strip()
    if not found or not text:
        raise ReleaseError(f"{CHANGELOG} has nothing under {UNRELEASED!r}: there is no news")
    return text


def released(texts: Mapping[str, str], version: str, day: date) -> dict[str, str]:
    """The new text of every file; pure. Raises `ReleaseError`."""
    before = present(texts)
    if parsed(version) <= parsed(before):
        raise ReleaseError(f"{version} is not newer than {before}")
    news = notes(texts[CHANGELOG])
    heading = f"{UNRELEASED}\n\n## {version} - {day.isoformat()}\n"
    return {
        INIT: texts[INIT].replace(f'"{before}"', f'"{version}"', 1),
        PROJECT: re.sub(
            r'^version = "[^"]+"',
            f'version = "{version}"',
            texts[PROJECT],
            count=1,
            flags=re.MULTILINE,
        ),
        STARTOS: _startos(texts[STARTOS], version, news),
        CHANGELOG: texts[CHANGELOG].replace(f"{UNRELEASED}\n", heading, 1),
        NOTES: f"# Spark Control {version}\n\n{news}\n",
    }


def _startos(text: str, version: str, news: str) -> str:
    """The marketplace shows plain text: headings and line ends of the changelog are taken out."""
    lines = re.sub(r"\n  +", " ", news).splitlines()
    plain = "\n".join(line for line in lines if line and not line.startswith("#"))
    text = re.sub(r"version: '[^']+'", f"version: '{version}:0'", text, count=1)
    words = json.dumps(plain.replace("`", "'"), ensure_ascii=False)
    return re.sub(
        r"releaseNotes: \{\s*en_US:.*?\n?\s*\},",
        lambda _: f"releaseNotes: {{\n    en_US: {words},\n  }},",
        text,
        count=1,
        flags=re.DOTALL,
    )


# ---- with files and programs


def main(args: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make release ARGS=VERSION", description=__doc__)
    parser.add_argument("version", help="three numbers, like 1.2.0")
    wanted = parser.parse_args(args).version
    if changed := _git("status", "--porcelain"):
        raise ReleaseError(f"commit or put away first what has changed:\n{changed}")
    texts = {name: (ROOT / name).read_text() for name in (INIT, PROJECT, STARTOS, CHANGELOG)}
    for name, text in released(texts, wanted, datetime.now(UTC).date()).items():
        (ROOT / name).parent.mkdir(exist_ok=True)
        (ROOT / name).write_text(text)
    uv = find_uv()
    if uv is None:
        raise ReleaseError("uv is missing: run `make setup`")
    _run(uv, "lock", "--upgrade")
    startos_package.install()
    _run(str(ROOT / "node_modules" / ".bin" / "prettier"), "--write", STARTOS)
    if checks.audit() == "failed":
        raise ReleaseError("a locked package has a known vulnerability: see above")
    say(f"{wanted}: look at `git diff` and at {NOTES}. Then:")
    for line in (
        "make test && make check",
        f"git commit -am 'Release {wanted}'",
        f"git tag v{wanted}",
    ):
        say(f"  {line}")
    return 0


def _git(*args: str) -> str:
    done = subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _run(*argv: str) -> None:
    done = subprocess.run(argv, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise ReleaseError(f"{' '.join(argv[:3])} failed: see above")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SetupError as error:
        sys.exit(f"release: {error}")
