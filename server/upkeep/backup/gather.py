"""What goes into a backup: the files of the data directory, as they are at one moment.

Owns the reading. The small files are read whole, so that what was hashed is what is written; the
database is copied by SQLite itself, one state of it, while the app goes on. Refuses links: what
they lead to is not ours. A file that changes while it is read is in the backup as before or after.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from server.base.errors import Unavailable
from server.config.paths import DataDir
from server.upkeep.backup.archive import Source
from server.upkeep.backup.manifest import (
    BOUNDS,
    CONFIG,
    KEY,
    KNOWN_HOSTS,
    MODELS,
    PASSWORD,
    PATCH_BYTES,
    PATCH_FILES,
    PATCHES,
    PUBLIC_KEY,
    SECRETS,
    allowed,
)


@dataclass(frozen=True, slots=True)
class Gathered:
    """`left_out` are sentences."""

    sources: Mapping[str, Source]
    secrets: Mapping[str, bytes]
    left_out: tuple[str, ...]


def places(data: DataDir) -> dict[str, Path]:
    """Where each file lies that is not a patch and not the database."""
    ssh_key = data.ssh_key
    return {
        CONFIG: data.config,
        MODELS: data.overrides,
        KNOWN_HOSTS: data.known_hosts,
        KEY: ssh_key,
        PUBLIC_KEY: ssh_key.with_name(f"{ssh_key.name}.pub"),
        PASSWORD: data.password,
    }


def gather(data: DataDir) -> Gathered:
    """All but the database. Raises what `storage_errors` tells."""
    sources: dict[str, Source] = {}
    secrets: dict[str, bytes] = {}
    left_out: list[str] = []
    for name, path in places(data).items():
        content = _read(path, BOUNDS.get(name, 1 << 20))
        if isinstance(content, bytes):
            (secrets if name in SECRETS else sources)[name] = content
        elif content:
            left_out.append(f"{name} is not in it: {content}.")
    sources |= _patches(data.patches, left_out)
    return Gathered(sources, secrets, tuple(left_out[:20]))


def _patches(folder: Path, left_out: list[str]) -> dict[str, Source]:
    found: dict[str, Source] = {}
    size = 0
    for root, folders, files in os.walk(folder):
        folders.sort()
        for each in sorted(files):
            path = Path(root, each)
            name = PATCHES + path.relative_to(folder).as_posix()
            plain = allowed(name) and not path.is_symlink()
            content = _read(path, PATCH_BYTES - size) if plain else "it is a link, or oddly named"
            if isinstance(content, str):
                left_out.append(f"{name} is not in it: {content or 'it went away'}.")
            elif len(found) < PATCH_FILES:
                size += len(content)
                found[name] = content
            else:
                left_out.append(f"{name} is not in it: there are more than {PATCH_FILES} files.")
    return found


def _read(path: Path, most: int) -> bytes | str:
    """The content; else why it cannot be in a backup, nothing when there is no such file.

    The configuration may be a link of its owner's (its target is read), a patch may not."""
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return "it is no plain file"
            content = file.read(most + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise Unavailable(
            f"{path.name} could not be read for the backup: {error.strerror}.",
            advice="Make it readable for the user that runs Spark Control.",
        ) from error
    return content if len(content) <= most else "it is larger than a backup holds"
