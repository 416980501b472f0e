"""Frozen values of backups, and their JSON."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from server.base.clock import iso
from server.base.finding import Finding, Severity
from server.upkeep.backup.manifest import Manifest

Kind = Literal["manual", "scheduled", "uploaded"]
KINDS: tuple[Kind, ...] = ("manual", "scheduled", "uploaded")
SUFFIX = ".tar.gz"


@dataclass(frozen=True, slots=True)
class Backup:
    """One archive that is kept here, since `kept_at`. `changed_at` is the file's. `manifest` None:
    it cannot be read (`problem` says why)."""

    id: str
    kind: Kind
    size: int
    kept_at: datetime
    changed_at: datetime
    manifest: Manifest | None
    problem: str = ""

    @property
    def name(self) -> str:
        """Of its file."""
        return self.id + SUFFIX

    def to_dict(self) -> dict[str, Any]:
        told = self.manifest
        return {
            "id": self.id,
            "kind": self.kind,
            "file": self.name,
            "size": self.size,
            "kept_at": iso(self.kept_at),
            "made_at": None if told is None else iso(told.made_at),
            "version": None if told is None else told.version,
            "schema": None if told is None else told.schema,
            "secrets": told is not None and told.seal is not None,
            "files": [] if told is None else [entry.to_dict() for entry in told.entries],
            "left_out": [] if told is None else list(told.left_out),
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What a look into an archive found."""

    manifest: Manifest | None
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return not any(one.severity is Severity.ERROR for one in self.findings)

    def to_dict(self) -> dict[str, Any]:
        told = self.manifest
        return {
            "ok": self.ok,
            "made_at": None if told is None else iso(told.made_at),
            "version": None if told is None else told.version,
            "findings": [one.to_dict() for one in self.findings],
        }


@dataclass(frozen=True, slots=True)
class Staged:
    """A backup that is carried out at the next start. `files` will be replaced, `removed` were not
    there when it was made."""

    id: str
    made_at: datetime
    staged_at: datetime
    files: tuple[str, ...]
    removed: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "made_at": iso(self.made_at),
            "staged_at": iso(self.staged_at),
            "files": list(self.files),
            "removed": list(self.removed),
        }
