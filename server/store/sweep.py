"""Removes what a crash left: everything in the temporary directory, half-written small files.

To be run once, at start, before anything else of this process writes there. Refuses to follow
links: only what lies in the directory itself goes.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from server.base.errors import SparkError
from server.base.files import remove_leftovers


@dataclass(frozen=True, slots=True)
class Swept:
    """How many entries were removed, and a sentence for each that could not be."""

    removed: int
    problems: tuple[str, ...]


def sweep(tmp: Path, files: Iterable[Path] = ()) -> Swept:
    """Empty `tmp` (kept itself) and remove the leftovers beside each of `files`. Never raises."""
    removed = 0
    problems: list[str] = []
    for entry in _entries(tmp, problems):
        try:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
            removed += 1
        except OSError as error:
            problems.append(f"{entry.name} could not be removed: {error.strerror}")
    for file in files:
        try:
            removed += remove_leftovers(file)
        except (SparkError, OSError) as error:
            problems.append(f"leftovers of {file.name} could not be removed: {error}")
    return Swept(removed, tuple(problems))


def _entries(tmp: Path, problems: list[str]) -> list[Path]:
    if tmp.is_symlink():
        problems.append(f"{tmp.name} is a link and is not swept")
        return []
    try:
        return sorted(tmp.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(f"{tmp.name} could not be read: {error.strerror}")
        return []
