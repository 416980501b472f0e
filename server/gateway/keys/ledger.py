"""The keys in the database. Owns its SQL; a disk that is full or read-only is told."""

import json
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select

from server.base.clock import iso
from server.gateway.keys.model import Key
from server.store.database import Database
from server.store.tables import api_keys


class KeyLedger:
    """One per app, over the one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, key: Key) -> None:
        row = key.to_row() | {"record": json.dumps(key.draft.rules())}
        async with self._database.begin() as connection:
            mine = api_keys.update().where(api_keys.c.id == key.id)
            if (await connection.execute(mine.values(**row))).rowcount == 0:
                await connection.execute(api_keys.insert().values(**row))

    async def used(self, moments: Mapping[str, datetime]) -> None:
        """When each key was last used, in one transaction."""
        async with self._database.begin() as connection:
            for key_id, at in moments.items():
                mine = api_keys.update().where(api_keys.c.id == key_id)
                await connection.execute(mine.values(last_used_at=iso(at)))

    async def every(self) -> list[Key]:
        """Oldest first."""
        async with self._database.read() as connection:
            query = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)
            rows = (await connection.execute(query)).mappings().all()
        return [Key.from_row(dict(row), json.loads(row["record"])) for row in rows]
