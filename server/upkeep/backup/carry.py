"""What an older database must not forget: what is true on the hosts now, and who was shut out.

Theory. A database tells of two things. History may be as old as it likes. But what it says of this
moment is acted upon at a start: what is served (it would be looked for, and brought back), a swap
that is under way (it would be gone on with, which may stop an engine), a key or a login that may be
used. So when a database is put back in the place of another one:

    what is served, swaps under way, logins     as they were here; those in the backup are dropped
    keys                                        one that was revoked or rotated here stays so

Where no database was before, what the backup says of this moment is dropped as well: the hosts are
looked at instead, and everybody logs in anew. Owns the statements for that, on two files that
nobody else has open.
"""

import contextlib
import sqlite3
from pathlib import Path

from server.base.errors import Unavailable
from server.base.files import storage_errors

# Table, and which of its rows tell of this moment.
_MOMENT = (
    ("swaps", "finished_at IS NULL"),
    ("facts", "name = 'served'"),
    ("sessions", "1"),
)
_COLUMNS = "SELECT name FROM pragma_table_info(?)"


def carry_over(restored: Path, current: Path | None) -> None:
    """`current`: the database that was here, None when there was none."""
    try:
        with (
            storage_errors(restored.name),
            contextlib.closing(sqlite3.connect(restored, isolation_level=None)) as connection,
        ):
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("BEGIN IMMEDIATE")
            for table, rows in _MOMENT:
                if _columns(connection, table):
                    connection.execute(f"DELETE FROM {table} WHERE {rows}")  # noqa: S608 - ours
            if current is not None:
                _carry(connection, current)
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise Unavailable(
            f"{restored.name} of the backup could not be made ready: {error}.",
            advice="Free space in the data directory, or remove its folder `restore`.",
        ) from error


def _carry(connection: sqlite3.Connection, current: Path) -> None:
    """A database that cannot be read tells nothing: that is a reason to restore one."""
    with contextlib.closing(sqlite3.connect(current, isolation_level=None)) as here:
        for table, rows in _MOMENT:
            _copy(here, connection, table, rows)
        if _columns(connection, "api_keys"):
            connection.executemany(
                "UPDATE api_keys SET digest = ?1, revoked_at = coalesce(?2, revoked_at)"
                " WHERE id = ?3",
                _read(here, "SELECT digest, revoked_at, id FROM api_keys"),
            )


def _copy(here: sqlite3.Connection, to: sqlite3.Connection, table: str, rows: str) -> None:
    """The columns that both know."""
    known = [str(row[0]) for row in _read(here, _COLUMNS, table)]
    names = [name for name in known if name in _columns(to, table)]
    if names:
        listed, marks = ", ".join(names), ", ".join("?" * len(names))
        found = _read(here, f"SELECT {listed} FROM {table} WHERE {rows}")  # noqa: S608
        to.executemany(f"INSERT OR REPLACE INTO {table} ({listed}) VALUES ({marks})", found)  # noqa: S608


def _read(here: sqlite3.Connection, query: str, *values: str) -> list[tuple[object, ...]]:
    """Nothing from a database that is damaged or of another kind."""
    try:
        return here.execute(query, values).fetchall()
    except sqlite3.DatabaseError:
        return []


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """Empty when there is no such table."""
    return [str(name) for (name,) in connection.execute(_COLUMNS, (table,))]
