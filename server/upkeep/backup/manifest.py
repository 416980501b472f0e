"""What is in a backup: the list that comes first in the archive. Pure.

Theory. An archive is what somebody hands us. Nothing in it is believed before it was compared with
its manifest, and the manifest may name only what we would have put there ourselves: a fixed set of
files, and files of patches under a bounded number of plain names. So there is no way to write `..`,
an absolute path, a link or a device, and no size that was not bounded beforehand. The order of the
files is the manifest's, so that one pass is enough.

The manifest itself is what a seal authenticates: who has the passphrase knows that no hash in it,
and so no file, was changed.

Owns names, bounds, the JSON. Refuses to read or write files.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from server.base.clock import iso, parse_iso
from server.base.errors import InvalidValue
from server.base.redact import one_line
from server.upkeep.backup.seal import Seal

FORMAT = 1
MANIFEST = "manifest.json"
SEALED = "secrets.sealed"
CONFIG = "config.yaml"
MODELS = "models.override.yaml"
KNOWN_HOSTS = "ssh/known_hosts"
DATABASE = "spark-control.db"
PATCHES = "patches/"
KEY, PUBLIC_KEY, PASSWORD = "ssh/id_ed25519", "ssh/id_ed25519.pub", "password"
SECRETS = (KEY, PUBLIC_KEY, PASSWORD)
"""What is in a backup only behind a seal. The password is a hash of the admin's."""

MANIFEST_BYTES = 1 << 20
SEALED_BYTES = 1 << 20
PATCH_FILES = 1000
PATCH_BYTES = 64 << 20
BOUNDS = {CONFIG: 1 << 20, MODELS: 1 << 20, KNOWN_HOSTS: 4 << 20, DATABASE: 8 << 30}
"""Largest size of each file. A database of years is far below."""

_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"
_PATCH = re.compile(rf"patches(/{_SEGMENT}){{1,6}}")
_ID = re.compile(r"[a-z]{1,16}-[0-9a-z]{1,40}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[0-9A-Za-z.+-]{1,40}")
LONGEST_NAME = 99


class Damaged(InvalidValue):
    """What was handed in is no backup of ours, or not whole."""


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    size: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "size": self.size, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class Manifest:
    """`version` is the app's, `schema` the revision of the database (None: none in it). `left_out`
    are sentences. `seal` is how the secrets are sealed, None: there are none in it."""

    id: str
    made_at: datetime
    version: str
    schema: str | None
    entries: tuple[Entry, ...]
    seal: Seal | None = None
    left_out: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.entries)

    @property
    def size(self) -> int:
        """Bytes of all files, unpacked."""
        return sum(entry.size for entry in self.entries)

    def encode(self) -> bytes:
        body = {
            "format": FORMAT,
            "app": "spark-control",
            "id": self.id,
            "made_at": iso(self.made_at),
            "version": self.version,
            "schema": self.schema,
            "files": [entry.to_dict() for entry in self.entries],
            "seal": None if self.seal is None else self.seal.to_dict(),
            "left_out": list(self.left_out),
        }
        return json.dumps(body, indent=1).encode()


def allowed(name: str) -> bool:
    """Whether a file of this name may be in a backup."""
    return len(name) <= LONGEST_NAME and (name in BOUNDS or _PATCH.fullmatch(name) is not None)


def bound(name: str) -> int:
    return BOUNDS.get(name, PATCH_BYTES)


def decode(data: bytes) -> Manifest:
    """Raises `Damaged`: whatever is not exactly as we write it."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        _damaged("its manifest is not JSON")
    if not isinstance(body, dict) or body.get("app") != "spark-control":
        _damaged("it is not one of Spark Control")
    number = body.get("format")
    if type(number) is not int or number < 1:
        _damaged("its manifest has no format")
    if number > FORMAT:
        raise Damaged(
            f"This backup is of a newer kind (format {number}) than this Spark Control reads.",
            advice="Install the newer version first, then restore.",
        )
    try:
        manifest = _manifest(body)
    except (KeyError, TypeError, ValueError):
        _damaged("its manifest is not complete")
    _check(manifest)
    return manifest


def _manifest(body: dict[str, Any]) -> Manifest:
    seal, schema = body["seal"], body["schema"]
    return Manifest(
        id=_text(body["id"], _ID),
        made_at=parse_iso(body["made_at"]),
        version=_text(body["version"], _WORD),
        schema=None if schema is None else _text(schema, _WORD),
        entries=tuple(map(_entry, _list(body["files"], PATCH_FILES + len(BOUNDS)))),
        seal=None if seal is None else Seal.from_dict(seal),
        left_out=tuple(one_line(str(one), 300) for one in _list(body["left_out"], 20)),
    )


def _entry(body: Any) -> Entry:
    size = body["size"]
    if type(size) is not int or size < 0:
        raise ValueError("size")
    if not isinstance(body["name"], str):
        raise TypeError("name")
    return Entry(body["name"], size, _text(body["sha256"], _DIGEST))


def _check(manifest: Manifest) -> None:
    """Names and sizes."""
    names = manifest.names
    folders = {name[:at] for name in names for at in range(len(name)) if name[at] == "/"}
    if len(set(names)) != len(names) or not folders.isdisjoint(names):
        _damaged("a file is in it twice")
    for entry in manifest.entries:
        if not allowed(entry.name):
            _damaged(f"it holds {one_line(repr(entry.name), 120)}, which no backup of ours has")
        if entry.size > bound(entry.name):
            _damaged(f"{entry.name} is larger in it than such a file can be")
    patches = [entry.size for entry in manifest.entries if entry.name.startswith(PATCHES)]
    if len(patches) > PATCH_FILES or sum(patches) > PATCH_BYTES:
        _damaged("it holds more patches than a backup can")
    if (DATABASE in names) != (manifest.schema is not None):
        _damaged("its manifest does not say of which kind its database is")


def _text(value: Any, shape: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not shape.fullmatch(value):
        raise ValueError(value)
    return value


def _list(value: Any, most: int) -> Iterable[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError("list")
    return value


def _damaged(what: str) -> NoReturn:
    raise damaged(what)


def damaged(what: str) -> Damaged:
    return Damaged(
        f"This is not a backup that can be used: {what}.",
        advice="Take another backup, or get this one again from where it is kept.",
    )
