"""The one database of an app: opened, migrated, and lent out a transaction at a time.

A transaction that returned is on the disk (WAL, synchronous=FULL), so a record saved before an
effect is there after a power cut. Writers queue in this process, so that they never poll for
SQLite's own lock. Every failure of the disk or the file is a clear `Unavailable` or
`InsufficientStorage`; mistakes of the program stay what they are.
"""

import asyncio
import contextlib
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from server.base.errors import Unavailable
from server.base.files import storage_errors
from server.store import faults
from server.store.migrations import HEAD, REVISIONS
from server.store.tables import metadata

BUSY_SECONDS = 5
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    f"busy_timeout={BUSY_SECONDS}000",
)
_BASE = "base"
_VERSION_TABLE = (  # as Alembic makes it
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
    "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
_READ = {"spark_control_read": True}
_MIGRATION_LOCK = 7_721_009_001  # any number that is ours alone on a shared PostgreSQL server


class Database:
    """`url` is SQLAlchemy's (`sqlite+aiosqlite:///…`, `postgresql+asyncpg://…`). Open it once."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._sqlite = self._url.get_backend_name() == "sqlite"
        name = self._url.database
        self._file = Path(name) if self._sqlite and name and name != ":memory:" else None
        self.name = (
            self._file.name if self._file else f"The database on {self._url.host or 'this host'}"
        )
        self._engine: AsyncEngine | None = None
        self._writer = asyncio.Lock()

    async def open(self) -> None:
        """Connect and bring the schema to `HEAD`. Raises `Unavailable` or `InsufficientStorage`."""
        suspect = self._prepare_file()
        self._engine = self._create()
        try:
            async with self._lent(**_READ) as connection:
                if suspect:
                    await self._look_over(connection)
                version = await connection.run_sync(_version)
            if version != HEAD:
                self._refuse_newer(version)
                async with self.begin() as connection:
                    await self._migrate(connection)
        except BaseException:
            await self.close()
            raise

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes: committed when the block ends, rolled back on any error."""
        async with self._writer, self._lent() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads: sees one state of the database, waits for no writer."""
        if self._sqlite and self._file is None:  # in memory there is one connection for all
            async with self._writer, self._lent() as connection:
                yield connection
            return
        async with self._lent(**_READ) as connection:
            yield connection

    async def copy(self, to: Path) -> bool:
        """One state of the whole database as a file of its own, while it is used. False when it is
        no file of ours (a server has backups of its own)."""
        if self._file is None:
            return False
        if self._engine is None:
            raise Unavailable(f"{self.name} is closed.", retry_after=1)
        with self._faults():
            await asyncio.to_thread(_copy, self._file, to)
        return True

    async def check(self) -> None:
        """Raise the clear error when a save would fail now. Writes nothing."""
        if self._file is not None:
            with storage_errors(self.name):
                free = shutil.disk_usage(self._file.parent).free
            if free < faults.FULL_MARGIN:
                raise faults.full(self.name)
        async with self.begin() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Idempotent. The last connection folds the write-ahead log back into the file."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.dispose()

    # -- inside

    @contextlib.asynccontextmanager
    async def _lent(self, **options: Any) -> AsyncIterator[AsyncConnection]:
        if self._engine is None:
            raise Unavailable(f"{self.name} is closed.", retry_after=1)
        with self._faults():
            engine = self._engine.execution_options(**options) if options else self._engine
            async with engine.begin() as connection:
                yield connection

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            known = faults.fault(error, name=self.name, free=self._free())
            if known is None:
                raise
            raise known from error
        except PoolTimeout as error:
            raise Unavailable(f"{self.name} is too busy.", retry_after=1) from error
        except (
            ConnectionError
        ) as error:  # the driver of a database server, before SQLAlchemy sees it
            raise faults.unreachable(self.name) from error

    def _free(self) -> int | None:
        if self._file is None:
            return None
        try:
            return shutil.disk_usage(self._file.parent).free
        except OSError:
            return None

    def _prepare_file(self) -> bool:
        """Create the file for us alone; True when the last run did not close it (look it over)."""
        if self._file is None:
            return False
        with storage_errors(self.name):
            os.close(os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            log = self._file.with_name(f"{self._file.name}-wal")
            return log.exists() and log.stat().st_size > 0

    def _create(self) -> AsyncEngine:
        if not self._sqlite:
            return create_async_engine(self._url, pool_pre_ping=True, pool_timeout=10)
        engine = create_async_engine(
            self._url, connect_args={"timeout": BUSY_SECONDS, "isolation_level": None}
        )
        event.listen(engine.sync_engine, "connect", _on_connect)
        event.listen(engine.sync_engine, "begin", _on_begin)
        return engine

    async def _look_over(self, connection: AsyncConnection) -> None:
        verdict = (await connection.execute(text("PRAGMA quick_check(1)"))).scalar()
        if verdict != "ok":
            raise faults.corrupt(self.name)

    def _refuse_newer(self, version: str | None) -> None:
        if version is not None and version not in (_BASE, *REVISIONS):
            raise faults.newer(self.name, version)

    async def _migrate(self, connection: AsyncConnection) -> None:
        if not self._sqlite:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
        version = await connection.run_sync(_version)  # another process may have been first
        self._refuse_newer(version)
        if version is None:
            await connection.run_sync(_create_all)
        elif version != HEAD:
            from server.store.migrate import upgrade  # noqa: PLC0415 - costs 0.3 s, seldom needed

            await connection.run_sync(upgrade)


def _version(connection: Connection) -> str | None:
    """The revision of the schema; None for an empty database, `_BASE` before the first one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return _BASE if version is None else str(version)


def _copy(file: Path, to: Path) -> None:
    """In one step, so that no writer makes it begin again; writers do not wait for it."""
    with (
        contextlib.closing(sqlite3.connect(file, timeout=BUSY_SECONDS)) as source,
        contextlib.closing(sqlite3.connect(to)) as copy,
    ):
        try:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.Error as error:
            raise DBAPIError("backup", None, error) from error


def _create_all(connection: Connection) -> None:
    """The newest schema at once for an empty database; a test holds it to the migrations."""
    metadata.create_all(connection, checkfirst=False)
    connection.execute(text(_VERSION_TABLE))
    connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def _on_connect(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    try:
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
    finally:
        cursor.close()


def _on_begin(connection: Connection) -> None:
    """Writers take the lock at once: a transaction that upgrades later could fail half-way."""
    reads = connection.get_execution_options().get("spark_control_read", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
