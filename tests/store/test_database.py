"""A transaction that returned is on the disk; a database that cannot be used says why."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from server.base.errors import InsufficientStorage, SparkError, Unavailable
from server.store.database import Database
from server.store.faults import sqlite_fault
from server.store.migrations import HEAD
from server.store.tables import facts
from tests.disks import disk

NAME = "spark-control.db"


def url(directory: Path) -> str:
    return f"sqlite+aiosqlite:///{directory / NAME}"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(url(tmp_path))
    await database.open()
    yield database
    await database.close()


async def put(database: Database, name: str, value: str = "1") -> None:
    async with database.begin() as connection:
        await connection.execute(insert(facts).values(name=name, value=value, at="now"))


async def names(database: Database) -> list[str]:
    async with database.read() as connection:
        return list((await connection.execute(select(facts.c.name).order_by("name"))).scalars())


async def test_what_was_written_is_there_after_a_new_start(tmp_path: Path) -> None:
    """Open, write, close, open, read; the file is ours alone and the log is folded back."""
    for name in ("one", "two"):
        database = Database(url(tmp_path))
        await database.open()
        await put(database, name)
        await database.close()
        await database.close()
        assert os.listdir(tmp_path) == [NAME]  # noqa: PTH208
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    database = Database(url(tmp_path))
    await database.open()
    assert await names(database) == ["one", "two"]
    await database.close()


async def test_every_connection_keeps_the_promises_of_durability(database: Database) -> None:
    """WAL, full sync, foreign keys, a wait instead of an error."""
    for lend in (database.read, database.begin):
        async with lend() as connection:
            found = [
                (await connection.execute(text(f"PRAGMA {name}"))).scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ]
        assert found == ["wal", 2, 1, 5000]


async def test_an_error_in_the_block_undoes_all_of_it(database: Database) -> None:
    """Half a transaction never shows."""

    async def fail() -> None:
        async with database.begin() as connection:
            await connection.execute(insert(facts).values(name="half", value="", at=""))
            raise RuntimeError("later")

    with pytest.raises(RuntimeError, match="later"):
        await fail()
    assert await names(database) == []
    await put(database, "whole")
    assert await names(database) == ["whole"]


async def test_a_mistake_of_the_program_stays_what_it_is(database: Database) -> None:
    """A broken constraint is a bug to be seen, no 503."""
    await put(database, "one")
    with pytest.raises(IntegrityError):
        await put(database, "one")


async def test_writers_take_turns_and_readers_do_not_wait(database: Database) -> None:
    """Fifty writers at once all arrive; a reader inside a writer's time sees the state before."""
    await asyncio.gather(*(put(database, f"n{n:02d}") for n in range(50)))
    async with database.begin() as connection:
        await connection.execute(insert(facts).values(name="z", value="", at=""))
        assert len(await names(database)) == 50
    assert len(await names(database)) == 51


async def test_a_cancelled_writer_leaves_nothing_and_blocks_nobody(database: Database) -> None:
    """Cancellation is a rollback; the next writer goes on at once."""
    inside = asyncio.Event()

    async def write() -> None:
        async with database.begin() as connection:
            await connection.execute(insert(facts).values(name="gone", value="", at=""))
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(put(database, "kept"), 5)
    assert await names(database) == ["kept"]


WRITER = """
import asyncio, sys
from sqlalchemy import insert
from server.store.database import Database
from server.store.tables import facts

async def main():
    database = Database(sys.argv[1])
    await database.open()
    n = 0
    while True:
        async with database.begin() as connection:
            row = {"name": f"n{n:06d}", "value": "x" * 2000, "at": ""}
            await connection.execute(insert(facts), row)
        print(n, flush=True)
        n += 1

asyncio.run(main())
"""


async def test_what_a_killed_process_had_saved_is_there(tmp_path: Path) -> None:
    """kill -9 between any two instructions loses no transaction that returned."""
    process = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", WRITER, url(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    last = -1
    for line in process.stdout:
        last = int(line)
        if last >= 40:
            break
    process.kill()
    rest = process.stdout.read().split()
    process.stdout.close()
    process.wait()
    last = int(rest[-1]) if rest else last
    assert (tmp_path / f"{NAME}-wal").stat().st_size > 0
    database = Database(url(tmp_path))
    await database.open()
    found = await names(database)
    await database.close()
    assert found[: last + 1] == [f"n{n:06d}" for n in range(last + 1)]
    assert len(found) <= last + 2


async def test_a_damaged_file_is_told_with_the_way_out(tmp_path: Path) -> None:
    """The message names the file; the advice says how to go on; the file is not touched."""
    path = tmp_path / NAME
    path.write_bytes(b"this is no database" * 500)
    with pytest.raises(Unavailable, match=r"spark-control\.db is damaged") as caught:
        await Database(url(tmp_path)).open()
    assert "backup" in (caught.value.advice or "")
    assert str(tmp_path) not in caught.value.message
    assert path.read_bytes() == b"this is no database" * 500


async def test_damage_inside_is_found_after_a_crash(tmp_path: Path) -> None:
    """A database that was not closed is looked over before it is used."""
    database = Database(url(tmp_path))
    await database.open()
    for number in range(60):
        await put(database, f"n{number}", "x" * 3000)
    await database.close()
    path = tmp_path / NAME
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2 : len(damaged) // 2 + 20_000] = os.urandom(20_000)
    path.write_bytes(damaged)
    (tmp_path / f"{NAME}-wal").write_bytes(b"left by a crash")
    with pytest.raises(Unavailable, match="damaged"):
        await Database(url(tmp_path)).open()


async def test_a_database_of_a_newer_program_is_refused_unharmed(
    tmp_path: Path, database: Database
) -> None:
    """A downgrade ends in a clear error, never in a guess."""
    async with database.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.close()
    with pytest.raises(Unavailable, match=r"newer Spark Control \(schema 9999\)"):
        await Database(url(tmp_path)).open()


async def test_a_full_disk_is_told_loses_nothing_and_heals() -> None:
    """What was saved stays readable while the disk is full, and writing goes on after."""
    with disk(2 << 20) as small:
        database = Database(url(small.path))
        await database.open()
        await put(database, "before")
        with small.full():
            with pytest.raises(SparkError) as caught:
                await put(database, "during", "x" * 500_000)
            assert NAME in caught.value.message
            if small.real:
                assert isinstance(caught.value, InsufficientStorage)
                with pytest.raises(InsufficientStorage):
                    await database.check()
            assert await names(database) == ["before"]
        await put(database, "after")
        await database.check()
        await database.close()
        database = Database(url(small.path))
        await database.open()
        assert await names(database) == ["after", "before"]
        await database.close()


async def test_a_disk_too_full_for_a_first_database_is_told() -> None:
    """A first start on a full disk: one clear error, and a start that works when there is room."""
    with disk() as small:
        with small.full():
            with pytest.raises(SparkError) as caught:
                await Database(url(small.path)).open()
            assert NAME in caught.value.message
            assert not small.real or isinstance(caught.value, InsufficientStorage)
        database = Database(url(small.path))
        await database.open()
        await database.check()
        await database.close()


async def test_a_read_only_disk_is_told() -> None:
    """503 with what to do, no traceback."""
    with disk() as small:
        database = Database(url(small.path))
        await database.open()
        await database.close()
        with small.read_only(), pytest.raises(Unavailable) as caught:
            await Database(url(small.path)).open()
        assert NAME in caught.value.message
        assert caught.value.advice


async def test_a_lock_held_by_another_program_is_told(tmp_path: Path, database: Database) -> None:
    """Not a hang, not a crash: locked, try again."""
    async with database.begin() as connection:
        await connection.execute(text("SELECT 1"))
    other = sqlite3.connect(tmp_path / NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        async with database.read() as connection:  # this pooled connection will not wait long
            await connection.execute(text("PRAGMA busy_timeout=50"))
        with pytest.raises(Unavailable, match="locked") as caught:
            await put(database, "x")
        assert caught.value.retry_after
    finally:
        other.execute("ROLLBACK")
        other.close()
    await put(database, "x")


async def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    """A wrong path in the URL."""
    with pytest.raises(Unavailable, match=r"spark-control\.db"):
        await Database(url(tmp_path / "nowhere")).open()


async def test_a_closed_database_says_so(tmp_path: Path) -> None:
    """Before open and after close."""
    database = Database(url(tmp_path))
    with pytest.raises(Unavailable, match="closed"):
        await put(database, "x")


async def test_a_database_in_memory_works_for_tests() -> None:
    """One connection for all, readers take turns with writers."""
    database = Database("sqlite+aiosqlite://")
    await database.open()
    await asyncio.gather(*(put(database, f"n{n}") for n in range(5)), names(database))
    assert len(await names(database)) == 5
    await database.check()
    await database.close()


async def test_two_programs_may_start_on_the_same_new_file(tmp_path: Path) -> None:
    """Whoever is second finds the schema made."""
    both = [Database(url(tmp_path)) for _ in range(2)]
    await asyncio.gather(*(database.open() for database in both))
    await put(both[0], "x")
    assert await names(both[1]) == ["x"]
    async with both[1].read() as connection:
        versions = (await connection.execute(text("SELECT version_num FROM alembic_version"))).all()
    assert [tuple(row) for row in versions] == [(HEAD,)]
    for database in both:
        await database.close()


@pytest.mark.parametrize(
    ("code", "free", "kind", "word"),
    [
        ("SQLITE_FULL", None, InsufficientStorage, "full"),
        ("SQLITE_IOERR_WRITE", 0, InsufficientStorage, "full"),
        ("SQLITE_IOERR_FSYNC", 1 << 30, Unavailable, "I/O error"),
        ("SQLITE_READONLY_DBMOVED", None, Unavailable, "read-only"),
        ("SQLITE_BUSY_SNAPSHOT", None, Unavailable, "locked"),
        ("SQLITE_LOCKED", None, Unavailable, "locked"),
        ("SQLITE_CORRUPT_INDEX", None, Unavailable, "damaged"),
        ("SQLITE_NOTADB", None, Unavailable, "damaged"),
        ("SQLITE_CANTOPEN", None, Unavailable, "opened"),
        ("SQLITE_PERM", None, Unavailable, "permission"),
    ],
)
def test_each_way_to_fail_has_its_words(
    code: str, free: int | None, kind: type[SparkError], word: str
) -> None:
    """By SQLite's extended result code."""
    error = sqlite_fault(code, name=NAME, free=free)
    assert type(error) is kind
    assert NAME in error.message
    assert word in error.message
    assert error.advice


def test_other_codes_are_nobodys_fault_but_ours() -> None:
    """They surface as what they are."""
    assert sqlite_fault("SQLITE_CONSTRAINT_UNIQUE", name=NAME) is None
    assert sqlite_fault("SQLITE_ERROR", name=NAME) is None


def test_a_start_with_an_up_to_date_database_loads_no_migrations(tmp_path: Path) -> None:
    """Alembic costs a third of a second: neither a first nor a later start pays it."""
    code = (
        "import asyncio, sys\n"
        "from server.store.database import Database\n"
        "async def main():\n"
        "    database = Database(sys.argv[1])\n"
        "    await database.open()\n"
        "    await database.close()\n"
        "asyncio.run(main())\n"
        "print('alembic' in sys.modules)\n"
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code, url(tmp_path)], check=True, capture_output=True, text=True
        )
        assert done.stdout == "False\n"
