"""The sessions in the database. Owns its SQL; a disk that is full or read-only is told."""

from collections.abc import Sequence

from sqlalchemy import select

from server.auth.session import Session
from server.store.database import Database
from server.store.tables import sessions


class SessionLedger:
    """One per app, over the one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, session: Session) -> None:
        row = session.to_row()
        async with self._database.begin() as connection:
            mine = sessions.update().where(sessions.c.id == session.id)
            if (await connection.execute(mine.values(**row))).rowcount == 0:
                await connection.execute(sessions.insert().values(**row))

    async def remove(self, ids: Sequence[str]) -> None:
        async with self._database.begin() as connection:
            await connection.execute(sessions.delete().where(sessions.c.id.in_(ids)))

    async def every(self) -> list[Session]:
        async with self._database.read() as connection:
            rows = (await connection.execute(select(sessions))).mappings().all()
        return [Session.from_row(dict(row)) for row in rows]
