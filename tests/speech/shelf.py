"""Sounds that were made once are kept, by what they were made of.

Owns a folder that git ignores (`build/speech`), shared by the processes of a test run: whoever
comes first makes a sound, the others wait for it. A file is there whole or not at all.
"""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]


class Shelf:
    """`folder` is made when it is first needed."""

    def __init__(self, folder: Path = ROOT / "build" / "speech") -> None:
        self._folder = folder

    def kept(self, made_of: object, suffix: str, make: Callable[[], bytes]) -> Path:
        """The file of what `make` gives. `made_of` is everything that could change it: it is
        written down as JSON, and its hash is the name."""
        told = json.dumps(made_of, sort_keys=True, ensure_ascii=True).encode()
        path = self._folder / f"{hashlib.blake2b(told, digest_size=16).hexdigest()}{suffix}"
        if path.exists():
            return path
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.exists():
                part = path.with_suffix(f".{os.getpid()}.part")
                try:
                    part.write_bytes(make())
                    part.replace(path)
                finally:
                    part.unlink(missing_ok=True)
        return path
