"""The sums in the database, added to row by row in one transaction. Owns its SQL."""

from collections.abc import Mapping

from sqlalchemy import delete, select

from server.gateway.usage.model import FIELDS, Place, Sums
from server.store.database import Database
from server.store.tables import usage


class UsageLedger:
    """One per app, over the one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, rows: Mapping[Place, Sums]) -> None:
        """All of them or none."""
        async with self._database.begin() as connection:
            for place, sums in rows.items():
                row = sums.to_dict()
                mine = usage.update().where(
                    (usage.c.day == place.day)
                    & (usage.c.key_id == place.key_id)
                    & (usage.c.model == place.model)
                    & (usage.c.route == place.route)
                )
                more = {name: usage.c[name] + row[name] for name in FIELDS}
                if (await connection.execute(mine.values(**more))).rowcount == 0:
                    await connection.execute(usage.insert().values(**place._asdict(), **row))

    async def since(self, day: str) -> dict[Place, Sums]:
        """From `day` on."""
        query = select(usage).where(usage.c.day >= day)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return {
            Place(row["day"], row["key_id"], row["model"], row["route"]): Sums(
                **{name: row[name] for name in FIELDS}
            )
            for row in rows
        }

    async def forget(self, before: str) -> None:
        async with self._database.begin() as connection:
            await connection.execute(delete(usage).where(usage.c.day < before))
