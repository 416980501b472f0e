"""A data directory with everything in it, its database, and the service of its backups."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from server.base.bus import EventBus
from server.base.clock import iso
from server.config.model import Backups
from server.config.paths import DataDir
from server.ssh.identity import ensure_identity
from server.store.database import Database
from server.store.tables import api_keys, facts, swaps
from server.upkeep.backup.service import BackupService

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
CONFIG = "hosts:\n  - {name: spark-1, address: 192.0.2.11}\n"
MODELS = "models:\n  - {id: tiny, name: Tiny, source: {hf: Acme/Tiny}}\n"
PHRASE = "correct horse battery staple"


class HandClock:
    """Time goes on when the test says so; who sleeps, sleeps for good."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()

    def pass_(self, **time: float) -> None:
        self.at += timedelta(**time)


@dataclass
class House:
    data: DataDir
    database: Database
    clock: HandClock
    bus: EventBus
    environ: dict[str, str] = field(default_factory=dict)
    settings: Backups = field(default_factory=Backups)
    service: BackupService = field(init=False)

    def __post_init__(self) -> None:
        self.service = BackupService(
            data=self.data,
            database=self.database,
            settings=lambda: self.settings,
            environ=self.environ,
            bus=self.bus,
            clock=self.clock,
        )

    def files(self) -> dict[str, bytes]:
        """What a restore may touch, as it is."""
        found = [self.data.config, self.data.overrides, self.data.ssh_key, self.data.known_hosts]
        found += [path for path in sorted(self.data.patches.rglob("*")) if path.is_file()]
        here = self.data.path
        return {str(p.relative_to(here)): p.read_bytes() for p in found if p.exists()}

    async def says(self, text: str) -> None:
        """Something in the database that tells one state from another."""
        async with self.database.begin() as connection:
            await connection.execute(facts.delete().where(facts.c.name == "said"))
            row = {"name": "said", "value": text, "at": iso(self.clock.now())}
            await connection.execute(facts.insert().values(**row))


def fill(data: DataDir) -> None:
    data.prepare()
    data.config.write_text(CONFIG)
    data.overrides.write_text(MODELS)
    ensure_identity(data.ssh_key)
    data.known_hosts.write_text("[192.0.2.11]:22 ssh-ed25519 AAAA\n")
    (data.patches / "guard").mkdir(parents=True)
    (data.patches / "guard" / "patch.yaml").write_text("target: parakeet\n")


@asynccontextmanager
async def house(path: Path, *, filled: bool = True) -> AsyncIterator[House]:
    data = DataDir(path, {})
    data.prepare()
    if filled and not data.config.exists():
        fill(data)
    database = Database(data.database_url)
    await database.open()
    made = House(data, database, HandClock(), EventBus())
    try:
        yield made
    finally:
        await made.service.close()
        await database.close()


def swap_row(swap_id: str, *, finished: bool) -> dict[str, object]:
    return {
        "id": swap_id,
        "created_at": iso(NOON),
        "finished_at": iso(NOON) if finished else None,
        "state": "serving" if finished else "loading",
        "model": "tiny",
        "record": "{}",
    }


def key_row(key_id: str, digest: str, *, revoked: bool = False) -> dict[str, object]:
    return {
        "id": key_id,
        "name": key_id,
        "digest": digest,
        "created_at": iso(NOON),
        "expires_at": None,
        "last_used_at": None,
        "revoked_at": iso(NOON) if revoked else None,
        "record": "{}",
    }


__all__ = ["api_keys", "facts", "swaps"]
