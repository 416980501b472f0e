"""The sums in the database, added to in one transaction. Owns its SQL."""

from collections.abc import Mapping

from sqlalchemy import Insert, delete, select
from sqlalchemy.dialects import sqlite

from server.gateway.usage.model import FIELDS, Place, Sums
from server.store.database import Database
from server.store.tables import usage


class UsageLedger:
    """One per app, over the one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, rows: Mapping[Place, Sums]) -> None:
        """All of them or none, in one statement: thousands of rows must not hold up a swap."""
        values = [place._asdict() | sums.to_dict() for place, sums in rows.items()]
        async with self._database.begin() as connection:
            await connection.execute(_addition(connection.dialect.name), values)

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


def _addition(dialect: str) -> Insert:
    """Both databases that are supported write it alike; SQLAlchemy has one for each."""
    insert = sqlite.insert
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - slow to import, seldom needed

        insert = postgresql.insert  # type: ignore[assignment]
    statement = insert(usage)
    return statement.on_conflict_do_update(
        index_elements=Place._fields,
        set_={name: usage.c[name] + statement.excluded[name] for name in FIELDS},
    )
