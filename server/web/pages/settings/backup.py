"""Backups in the settings: what is kept, one with what a look into it found, what waits. Pure.

No view holds a passphrase: it comes with a form and goes no further than the service.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from server.base.finding import Finding, Severity
from server.base.units import size
from server.upkeep.backup.model import Backup, Report, Staged
from server.web.pages.moment import Moment, moment
from server.web.pages.settings.section import SectionForm, SettingsPage

KINDS = {"manual": "made by hand", "scheduled": "scheduled", "uploaded": "uploaded"}


@dataclass(frozen=True, slots=True)
class BackupEntry:
    """`made` is when it was made, wherever that was; `kept` since when it lies here."""

    id: str
    file: str
    kind: str
    made: Moment | None
    kept: Moment | None
    size: str
    version: str
    sealed: bool
    files: tuple[str, ...]
    left_out: tuple[str, ...]
    problem: str
    question: str


@dataclass(frozen=True, slots=True)
class StagedCard:
    """What the next start will do."""

    id: str
    made: Moment | None
    files: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """What a look into a backup found; `ready`: it could be restored."""

    template: ClassVar[str] = "settings/backup-findings.html"

    id: str
    ready: bool
    findings: tuple[Finding, ...]
    problem: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class MakeForm:
    """Answered with itself when a passphrase will not do."""

    template: ClassVar[str] = "settings/backup-make.html"

    problem: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class BackupsPage(SettingsPage):
    template: ClassVar[str] = "settings/backups.html"

    backups: tuple[BackupEntry, ...]
    staged: StagedCard | None
    make: MakeForm
    schedule: SectionForm
    next: str
    sealed: bool
    trouble: str


@dataclass(frozen=True, slots=True)
class BackupPage(SettingsPage):
    template: ClassVar[str] = "settings/backup.html"

    backup: BackupEntry
    staged: StagedCard | None
    findings: Findings | None


def backup_entry(backup: Backup, now: datetime) -> BackupEntry:
    told = backup.manifest
    made = moment(told.made_at if told else None, now)
    where = "the one" if backup.kind != "uploaded" else "the copy that lies here"
    return BackupEntry(
        id=backup.id,
        file=backup.name,
        kind=KINDS[backup.kind],
        made=made,
        kept=moment(backup.kept_at, now),
        size=size(backup.size),
        version=told.version if told else "",
        sealed=told is not None and told.seal is not None,
        files=tuple(entry.name for entry in told.entries) if told else (),
        left_out=tuple(told.left_out) if told else (),
        problem=backup.problem,
        question=f"Deletes {where} made {made.ago if made else 'at an unknown time'}, for good.",
    )


def staged_card(staged: Staged | None, now: datetime) -> StagedCard | None:
    if staged is None:
        return None
    return StagedCard(staged.id, moment(staged.made_at, now), staged.files, staged.removed)


def entries(backups: Sequence[Backup], now: datetime) -> tuple[BackupEntry, ...]:
    return tuple(backup_entry(backup, now) for backup in backups)


def findings_of(backup_id: str, report: Report) -> Findings:
    """What is wrong first."""
    order = list(reversed(Severity))
    listed = sorted(report.findings, key=lambda one: (order.index(one.severity), one.code))
    worst_first = sorted(listed, key=lambda one: one.severity is Severity.OK)
    return Findings(backup_id, report.ok, tuple(worst_first))
