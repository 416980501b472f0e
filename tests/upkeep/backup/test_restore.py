"""Putting a backup in place: whatever happens in between, and what an old database may not say."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from server.base.errors import Conflict, InvalidValue
from server.base.finding import Severity
from server.config.paths import DATABASE_URL, DataDir
from server.store.database import Database
from server.store.tables import api_keys, facts, swaps
from server.upkeep.backup.offline import restore_into
from server.upkeep.backup.restore import carry_out, staged
from tests.upkeep.backup.made import NOON, PHRASE, House, house, key_row, swap_row

STEPS = (
    (os, "link"), (Path, "replace"), (Path, "rename"), (Path, "unlink"),
    (shutil, "move"), (shutil, "rmtree"), (shutil, "copyfile"),
)  # fmt: skip


class PowerCut(BaseException):
    """Nothing of ours goes on after it."""


def cut_at(monkeypatch: pytest.MonkeyPatch, step: int) -> list[int]:
    """The power fails before the change `step` of the file system."""
    done = [0]

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            done[0] += 1
            if done[0] == step:
                raise PowerCut
            return real(*args, **kwargs)

        return call

    for owner, name in STEPS:
        monkeypatch.setattr(owner, name, failing(getattr(owner, name)))
    return done


def said(path: Path) -> str:
    """What a database says, read from a copy with its log, as the next start would."""
    copy = path.parent / "look.db"
    for side in ("", "-wal"):
        if path.with_name(path.name + side).exists():
            shutil.copyfile(path.with_name(path.name + side), copy.with_name(copy.name + side))
    with closing(sqlite3.connect(copy)) as connection:
        (value,) = connection.execute("SELECT value FROM facts WHERE name = 'said'").fetchone()
    for side in ("", "-wal", "-shm"):
        copy.with_name(copy.name + side).unlink(missing_ok=True)
    return str(value)


@pytest.fixture
async def prepared(tmp_path: Path) -> Path:
    """A directory with a staged backup, and everything in it changed since. Its database was not
    closed: its last words are in the log."""
    home = tmp_path / "home"
    async with house(home) as one:
        await one.says("before")
        backup = await one.service.create(PHRASE)
        await one.says("after")
        one.data.config.write_text("hosts: []\n")
        one.data.ssh_key.write_bytes(b"another key")
        (one.data.patches / "guard" / "patch.yaml").write_text("target: other\n")
        await one.service.stage(backup.id, PHRASE)
        shutil.copytree(home, tmp_path / "torn")
    assert (tmp_path / "torn" / "spark-control.db-wal").stat().st_size
    return tmp_path / "torn"


def test_a_power_cut_at_any_step_ends_in_the_new_state(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it every file is the old one or the new one; the next start finishes the rest, and
    what was there is aside, whole."""
    step = 0
    while True:
        step += 1
        home = tmp_path / f"try-{step}"
        shutil.copytree(prepared, home)
        data = DataDir(home, {})
        with monkeypatch.context() as patch:
            done = cut_at(patch, step)
            try:
                carry_out(data, NOON)
            except PowerCut:
                finished = False
            else:
                finished = True
        if not finished:
            assert data.config.read_text().startswith("hosts:")
            assert data.ssh_key.read_bytes()
            assert data.database.exists()
            carry_out(data, NOON)
        assert "spark-1" in data.config.read_text()
        assert b"another key" not in data.ssh_key.read_bytes()
        assert said(data.database) == "before"
        assert (data.patches / "guard" / "patch.yaml").read_text() == "target: parakeet\n"
        assert not data.restore.exists()
        [aside] = data.set_aside.iterdir()
        assert (aside / "config.yaml").read_text() == "hosts: []\n"
        assert (aside / "ssh" / "id_ed25519").read_bytes() == b"another key"
        assert (aside / "patches" / "guard" / "patch.yaml").read_text() == "target: other\n"
        assert said(aside / "spark-control.db") == "after"
        assert staged(data) is None
        if finished:
            break
    assert step > 10
    assert done[0] < step


async def rows(one: House, query: Any) -> list[tuple[Any, ...]]:
    async with one.database.read() as connection:
        return [tuple(row) for row in (await connection.execute(query)).all()]


async def put(one: House, table: Any, row: dict[str, Any]) -> None:
    async with one.database.begin() as connection:
        await connection.execute(table.insert().values(**row))


async def test_an_old_database_does_not_say_what_is_true_now(tmp_path: Path) -> None:
    """What is served and a swap under way are those of today; a key that was revoked or rotated
    since stays so; history is that of the backup."""
    async with house(tmp_path) as one:
        await put(one, swaps, swap_row("swap-old-done", finished=True))
        await put(one, swaps, swap_row("swap-old-open", finished=False))
        await put(one, facts, {"name": "served", "value": "old", "at": "x"})
        await put(one, api_keys, key_row("k-kept", "a"))
        await put(one, api_keys, key_row("k-revoked", "b"))
        await put(one, api_keys, key_row("k-rotated", "c"))
        backup = await one.service.create()
        async with one.database.begin() as connection:
            await connection.execute(swaps.delete())
            await connection.execute(facts.update().values(value="today"))
            await connection.execute(
                api_keys.update().where(api_keys.c.id == "k-revoked").values(revoked_at="now")
            )
            await connection.execute(
                api_keys.update().where(api_keys.c.id == "k-rotated").values(digest="new")
            )
        await put(one, swaps, swap_row("swap-today", finished=False))
        await put(one, api_keys, key_row("k-new", "d"))
        await one.service.stage(backup.id)
    carry_out(one.data, NOON)
    async with house(tmp_path) as again:
        ids = [row[0] for row in await rows(again, swaps.select().order_by(swaps.c.id))]
        assert ids == ["swap-old-done", "swap-today"]
        served = facts.select().where(facts.c.name == "served")
        assert [row[1] for row in await rows(again, served)] == ["today"]
        keys = {row[0]: row for row in await rows(again, api_keys.select())}
        assert keys.keys() == {"k-kept", "k-revoked", "k-rotated"}
        assert keys["k-revoked"].count("now") == 1
        assert "new" in keys["k-rotated"]


async def test_into_an_empty_directory_without_an_app(tmp_path: Path) -> None:
    """All of it is there at once; what the backup said of its moment is not, the hosts are looked
    at instead. A directory that is in use is refused."""
    async with house(tmp_path / "one") as one:
        await put(one, swaps, swap_row("swap-open", finished=False))
        await put(one, facts, {"name": "served", "value": "old", "at": "x"})
        before = one.files()
        backup = await one.service.create(PHRASE)
        file = one.service.file(backup.id)
        empty = tmp_path / "two"
        report = restore_into(file, empty, PHRASE, {}, only_check=True)
        assert report.ok
        assert not (empty / "config.yaml").exists()
        with DataDir(one.data.path).claim(), pytest.raises(Conflict, match="running"):
            restore_into(file, one.data.path, PHRASE, {})
        assert restore_into(file, empty, PHRASE, {}).ok
    async with house(empty, filled=False) as again:
        assert again.files() == before
        assert await rows(again, swaps.select()) == []
        assert await rows(again, facts.select()) == []
        assert again.data.ssh_key.stat().st_mode & 0o777 == 0o600


async def test_what_root_restores_belongs_to_the_owner_of_the_directory(tmp_path: Path) -> None:
    """Else the app could not read it. Without root there is nobody to give it to."""
    async with house(tmp_path / "one") as one:
        file = one.service.file((await one.service.create(PHRASE)).id)
    home = tmp_path / "two"
    home.mkdir()
    owner = 1234 if os.geteuid() == 0 else os.geteuid()
    os.chown(home, owner, -1)
    assert restore_into(file, home, PHRASE, {}).ok
    assert {path.stat().st_uid for path in home.rglob("*")} == {owner}


async def test_a_broken_archive_changes_nothing(tmp_path: Path) -> None:
    """Offline too: the report says what is wrong."""
    bad = tmp_path / "bad.tar.gz"
    bad.write_bytes(b"nothing")
    report = restore_into(bad, tmp_path / "home", None, {})
    assert [one.code for one in report.findings] == ["archive"]
    assert not report.ok
    assert not (tmp_path / "home" / "restore").exists()
    assert not (tmp_path / "home" / "set-aside").exists()


async def test_a_database_elsewhere_is_left_alone(tmp_path: Path) -> None:
    """It is said, and the rest is restored."""
    async with house(tmp_path / "one") as one:
        backup = await one.service.create()
        file = one.service.file(backup.id)
    environ = {DATABASE_URL: f"sqlite+aiosqlite:///{tmp_path}/other.db"}
    report = restore_into(file, tmp_path / "two", None, environ)
    assert report.ok
    assert any(DATABASE_URL in one.message for one in report.findings)
    assert not (tmp_path / "two" / "spark-control.db").exists()
    assert (tmp_path / "two" / "config.yaml").exists()


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (
            "CREATE TRIGGER t AFTER INSERT ON facts BEGIN DELETE FROM api_keys; END",
            "runs by itself",
        ),
        ("CREATE VIEW v AS SELECT 1", "runs by itself"),
        ("CREATE VIRTUAL TABLE v USING fts5(x)", "runs by itself"),
        ("UPDATE alembic_version SET version_num = '9999'", "newer Spark Control"),
        ("DELETE FROM alembic_version", "newer Spark Control"),
        ("UPDATE alembic_version SET version_num = '0001'", "its manifest says"),
        ("DROP TABLE alembic_version", "cannot be read"),
    ],
)
async def test_a_database_that_is_not_ours_is_refused(
    tmp_path: Path, statement: str, problem: str
) -> None:
    """Code in it, a revision that nobody knows, another one than its manifest says."""
    async with house(tmp_path) as one:
        async with one.database.begin() as connection:
            await connection.exec_driver_sql(statement)
        backup = await one.service.create()
        report = await one.service.check(backup.id)
        [wrong] = [one for one in report.findings if one.severity is Severity.ERROR]
        assert (wrong.code, problem in wrong.message) == ("database", True), wrong
        with pytest.raises(InvalidValue):
            await one.service.stage(backup.id)
        assert one.service.staged() is None


async def test_settings_that_would_not_start_are_refused(tmp_path: Path) -> None:
    """By the reader of a start, with the line; models that cannot be read as well."""
    async with house(tmp_path) as one:
        one.data.config.write_text("hosts:\n  - {name: spark-1}\n")
        one.data.overrides.write_text("models: [\n")
        backup = await one.service.create()
        report = await one.service.check(backup.id)
        wrong = {one.code: one for one in report.findings if one.severity is Severity.ERROR}
        assert wrong.keys() == {"config", "models"}
        assert "address" in wrong["config"].message


async def test_only_the_last_three_are_kept_aside(tmp_path: Path) -> None:
    """Each restore sets something aside; the disk is not filled by it."""
    async with house(tmp_path) as one:
        backup = await one.service.create()
        for _ in range(5):
            one.clock.pass_(hours=1)
            await one.service.stage(backup.id)
            await one.database.close()
            assert carry_out(one.data, one.clock.now()) is not None
            await one.database.open()
        assert len(list(one.data.set_aside.iterdir())) == 3


async def test_a_restore_can_be_given_up(tmp_path: Path) -> None:
    """Until the next start; what a crash left of a staging is nothing."""
    async with house(tmp_path) as one:
        backup = await one.service.create()
        await one.service.stage(backup.id)
        await one.service.unstage()
        assert not one.data.restore.exists()
        with pytest.raises(Conflict):
            await one.service.unstage()
        one.data.restore.mkdir()
        (one.data.restore / "config.yaml").write_text("hosts: [\n")
    assert carry_out(one.data, NOON) is None
    assert not one.data.restore.exists()
    assert "spark-1" in one.data.config.read_text()


async def test_a_password_that_is_there_stays(tmp_path: Path) -> None:
    """An old one is not brought back over it; into an empty directory it is."""
    async with house(tmp_path / "one") as one:
        one.data.password.write_bytes(b"old")
        one.data.password.chmod(0o600)
        backup = await one.service.create(PHRASE)
        file = one.service.file(backup.id)
        one.data.password.write_bytes(b"new")
        await one.service.stage(backup.id, PHRASE)
    carry_out(one.data, NOON)
    assert one.data.password.read_bytes() == b"new"
    restore_into(file, tmp_path / "two", PHRASE, {})
    assert (tmp_path / "two" / "password").read_bytes() == b"old"


async def test_the_copy_of_the_database_is_one_state_while_it_is_written(tmp_path: Path) -> None:
    """And opens like any other."""
    async with house(tmp_path / "one") as one:
        await one.says("now")
        assert await one.database.copy(tmp_path / "copy.db")
        await one.says("later")
    copy = Database(f"sqlite+aiosqlite:///{tmp_path}/copy.db")
    await copy.open()
    async with copy.read() as connection:
        found = (await connection.execute(facts.select())).all()
    await copy.close()
    assert [row.value for row in found] == ["now"]
