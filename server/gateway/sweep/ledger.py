"""The sweeps that are over, in the database: the newest ones. Owns its SQL."""

import json

from sqlalchemy import delete, select

from server.base.clock import iso
from server.gateway.sweep.model import Sweep
from server.store.database import Database
from server.store.tables import facts

KEPT = 100
_PREFIX = "sweep:"


class SweepLedger:
    """One per app, over the one database. Ids sort by time, and so do the names of the facts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, sweep: Sweep) -> None:
        """Keep it, and forget all but the newest."""
        name = _PREFIX + sweep.id
        mine = facts.c.name.startswith(_PREFIX, autoescape=True)
        kept = select(facts.c.name).where(mine).order_by(facts.c.name.desc()).limit(KEPT)
        async with self._database.begin() as connection:
            await connection.execute(delete(facts).where(facts.c.name == name))
            row = {"name": name, "value": json.dumps(sweep.to_dict()), "at": iso(sweep.created_at)}
            await connection.execute(facts.insert().values(**row))
            names = (await connection.execute(kept)).scalars().all()
            await connection.execute(delete(facts).where(mine & facts.c.name.not_in(names)))

    async def get(self, sweep_id: str) -> Sweep | None:
        async with self._database.begin() as connection:
            query = select(facts.c.value).where(facts.c.name == _PREFIX + sweep_id)
            value = (await connection.execute(query)).scalar_one_or_none()
        return Sweep.from_dict(json.loads(value)) if value else None

    async def history(self, limit: int) -> list[Sweep]:
        """Newest first."""
        mine = facts.c.name.startswith(_PREFIX, autoescape=True)
        query = select(facts.c.value).where(mine).order_by(facts.c.name.desc()).limit(limit)
        async with self._database.begin() as connection:
            values = (await connection.execute(query)).scalars().all()
        return [Sweep.from_dict(json.loads(value)) for value in values]
