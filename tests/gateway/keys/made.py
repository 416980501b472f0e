"""A clock to turn by hand, and keys over a real database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from server.config.gateway import Anonymous
from server.gateway.keys.gate import Gate
from server.gateway.keys.ledger import KeyLedger
from server.gateway.keys.service import Keys
from server.gateway.limits.limiter import Limiter
from server.gateway.usage.ledger import UsageLedger
from server.gateway.usage.service import Usage
from server.gateway.wire import Header
from server.store.database import Database

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class HandClock:
    """Time goes on when the test says so; who sleeps, sleeps until `wake` is set."""

    def __init__(self) -> None:
        self.at = NOON
        self.wake = asyncio.Event()

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        await self.wake.wait()
        self.wake.clear()

    def pass_(self, **time: float) -> None:
        self.at += timedelta(**time)


@dataclass
class House:
    """What the app makes of one data directory."""

    database: Database
    clock: HandClock
    keys: Keys
    usage: Usage
    gate: Gate = field(init=False)
    require: bool = False
    anonymous: Anonymous = field(default_factory=Anonymous)


@asynccontextmanager
async def house(data: Path, clock: HandClock | None = None) -> AsyncIterator[House]:
    """Open and close it again on the same directory: a restart."""
    clock = clock or HandClock()
    database = Database(f"sqlite+aiosqlite:///{data}/spark-control.db")
    keys = Keys(KeyLedger(database), clock)
    aliases = {"qwen": "qwen3-32b"}
    made = House(database, clock, keys, Usage(UsageLedger(database), clock))
    gate = Gate(
        keys,
        Limiter(),
        clock,
        require_key=lambda: made.require,
        canonical=lambda name: aliases.get(name, name),
        anonymous=lambda: made.anonymous,
    )
    made.gate = gate
    await database.open()
    await keys.start()
    await made.usage.start()
    gate.restore(await made.usage.today())
    try:
        yield made
    finally:
        await keys.close()
        await made.usage.close()
        await database.close()


def bearer(text: str) -> list[Header]:
    return [(b"host", b"box"), (b"authorization", b"Bearer " + text.encode())]
