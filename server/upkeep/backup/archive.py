"""The archive as bytes: a gzipped tar that any tool can open, written and read by us alone.

Owns the reading of an archive that somebody hands in. It goes through it once, never holds more
than a block, and takes nothing but plain files, in the order and of the sizes that the manifest
says: a header of any other kind (link, device, extension) ends it. So a small archive that unpacks
to a terabyte is left at the first byte that should not be there.
"""

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from server.upkeep.backup import seal
from server.upkeep.backup.manifest import (
    MANIFEST,
    MANIFEST_BYTES,
    SEALED,
    SEALED_BYTES,
    SECRETS,
    Damaged,
    Entry,
    Manifest,
    damaged,
    decode,
)

_BLOCK = 512
_PIECE = 1 << 20
_END_BYTES = 64 * 1024
Source = bytes | Path


@dataclass(frozen=True, slots=True)
class Unpacked:
    """`raw` is the manifest's bytes, `blob` what is sealed."""

    manifest: Manifest
    raw: bytes
    blob: bytes | None


# ---- writing


def write(
    file: BinaryIO, manifest: Manifest, sources: Mapping[str, Source], blob: bytes | None
) -> None:
    """`sources` has the content of each of the manifest's files."""
    when = int(manifest.made_at.timestamp())
    with gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=when, compresslevel=6) as out:
        packed = cast("BinaryIO", out)
        _put(packed, MANIFEST, manifest.encode(), when)
        for entry in manifest.entries:
            _put(packed, entry.name, sources[entry.name], when)
        if blob is not None:
            _put(packed, SEALED, blob, when)
        packed.write(bytes(2 * _BLOCK))


def _put(out: BinaryIO, name: str, source: Source, when: int) -> None:
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = 0o600, when
    info.size = len(source) if isinstance(source, bytes) else source.stat().st_size
    # The database may be larger than the oldest form of a tar can say.
    out.write(info.tobuf(tarfile.GNU_FORMAT))
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as content:
        left = info.size
        while left:
            piece = content.read(min(_PIECE, left))
            if not piece:
                raise EOFError(name)
            out.write(piece)
            left -= len(piece)
    out.write(bytes(-info.size % _BLOCK))


def entry_of(name: str, source: Source) -> Entry:
    if isinstance(source, bytes):
        return Entry(name, len(source), hashlib.sha256(source).hexdigest())
    with source.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256")
        return Entry(name, content.tell(), digest.hexdigest())


# ---- reading


def manifest_of(path: Path) -> Manifest:
    """What stands first in the archive. Raises `Damaged`."""
    with _reading(path) as packed:
        return decode(_small(packed, MANIFEST, MANIFEST_BYTES))


def unpack(path: Path, folder: Path) -> Unpacked:
    """Every file of the archive, proven, into the empty `folder`. Raises `Damaged`."""
    with _reading(path) as packed:
        raw = _small(packed, MANIFEST, MANIFEST_BYTES)
        manifest = decode(raw)
        for entry in manifest.entries:
            _take(packed, entry, folder / entry.name)
        sealed_in = manifest.seal is not None
        blob = _small(packed, SEALED, SEALED_BYTES) if sealed_in else None
        rest = packed.read(_END_BYTES + 1)
        if len(rest) > _END_BYTES or rest.strip(b"\0"):
            raise damaged("more follows than its manifest says")
    return Unpacked(manifest, raw, blob)


def unseal(unpacked: Unpacked, passphrase: str, folder: Path) -> tuple[str, ...]:
    """Put the secrets into `folder`; their names. Raises `WrongPassphrase`."""
    told, blob = unpacked.manifest, unpacked.blob
    if told.seal is None or blob is None:
        return ()
    found = seal.opened(blob, passphrase, told.seal, unpacked.raw)
    if not set(found) <= set(SECRETS):
        raise damaged("it holds secrets that no backup of ours has")
    for name, data in found.items():
        with _new(folder / name) as file:
            file.write(data)
    return tuple(found)


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    try:
        with gzip.open(path, "rb") as packed:
            yield cast("BinaryIO", packed)
    except EOFError:
        raise damaged("it ends too early") from None
    except (gzip.BadGzipFile, zlib.error):
        raise damaged("it is no gzipped archive, or a part of it was changed") from None


def _head(packed: BinaryIO, name: str) -> int:
    """The size of the file that comes next, which must be `name`."""
    block = _exactly(packed, _BLOCK)
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, UnicodeError):
        raise damaged(f"{name} is not where its manifest says") from None
    if info.name != name or info.type not in {tarfile.REGTYPE, tarfile.AREGTYPE} or info.size < 0:
        raise damaged(f"{name} is not where its manifest says")
    return info.size


def _small(packed: BinaryIO, name: str, most: int) -> bytes:
    size = _head(packed, name)
    if size > most:
        raise damaged(f"{name} is too large")
    data = _exactly(packed, size)
    _exactly(packed, -size % _BLOCK)
    return data


def _take(packed: BinaryIO, entry: Entry, to: Path) -> None:
    if _head(packed, entry.name) != entry.size:
        raise damaged(f"{entry.name} is not as large as its manifest says")
    digest, left = hashlib.sha256(), entry.size
    with _new(to) as file:
        while left:
            piece = _exactly(packed, min(_PIECE, left))
            digest.update(piece)
            file.write(piece)
            left -= len(piece)
    _exactly(packed, -entry.size % _BLOCK)
    if digest.hexdigest() != entry.sha256:
        raise Damaged(
            f"{entry.name} in this backup is not what was put into it.",
            advice="Take another backup, or get this one again from where it is kept.",
        )


@contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    """A file that was not there, for us alone, on the disk when the block ends."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _exactly(packed: BinaryIO, size: int) -> bytes:
    parts, left = [], size
    while left:
        piece = packed.read(left)
        if not piece:
            raise EOFError
        parts.append(piece)
        left -= len(piece)
    return b"".join(parts)
