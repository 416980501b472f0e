"""What is kept: the schedule, the rules of retention, what callers hand in, the folder itself."""

import gzip
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from server.base.errors import NotFound
from server.config.model import Backups
from server.upkeep.backup.manifest import Damaged
from tests.upkeep.backup.made import NOON, PHRASE, House, house


async def pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def kinds(one: House) -> list[str]:
    return [backup.kind for backup in one.service.list()]


async def test_the_schedule_is_kept_and_so_are_the_rules(tmp_path: Path) -> None:
    """The first after a while, then one a day, of which the newest days and weeks stay; what was
    made by hand stays in any case."""
    async with house(tmp_path) as one:
        one.settings = Backups(every_hours=24, keep_daily=2, keep_weekly=1)
        await one.service.start()
        by_hand = await one.service.create()
        assert one.service.due_at() == NOON + timedelta(hours=2.4)
        assert await one.service.keep_schedule() is None
        for _ in range(4):
            one.clock.pass_(hours=25)
            made = await one.service.keep_schedule()
            assert made is not None
            assert await one.service.keep_schedule() is None
        assert kinds(one).count("scheduled") == 2
        assert by_hand in one.service.list()
        one.settings = Backups(every_hours=0)
        one.clock.pass_(hours=1000)
        assert await one.service.keep_schedule() is None
        assert one.service.schedule()["next_at"] is None


async def test_a_scheduled_backup_that_fails_is_told_and_tried_again_in_an_hour(
    tmp_path: Path,
) -> None:
    """Not once a minute; the reason is shown until one has worked."""
    async with house(tmp_path) as one:
        await one.service.start()
        one.data.passphrase.write_text(PHRASE)
        one.data.passphrase.chmod(0o644)
        one.clock.pass_(hours=3)
        with one.bus.subscribe(frozenset({"notice"})) as told:
            assert await one.service.keep_schedule() is None
            event = await anext(aiter(told))
        assert "can be read by other users" in event.data["message"]
        one.data.passphrase.chmod(0o600)
        assert await one.service.keep_schedule() is None
        assert "other users" in one.service.schedule()["problem"]
        one.clock.pass_(minutes=61)
        made = await one.service.keep_schedule()
        assert made is not None
        assert made.manifest is not None
        assert made.manifest.seal is not None
        assert one.service.schedule()["problem"] == ""
        assert (await one.service.check(made.id, PHRASE)).ok


async def test_what_is_handed_in_is_kept_and_only_the_last_three(tmp_path: Path) -> None:
    """Whole, and what is no backup not at all."""
    async with house(tmp_path) as one:
        made = await one.service.create(PHRASE)
        data = one.service.file(made.id).read_bytes()
        for bad in (b"", b"nothing", gzip.compress(b"x" * 600), data[:200]):
            with pytest.raises(Damaged):
                await one.service.receive(pieces(bad))
        assert kinds(one) == ["manual"]
        names = []
        for _ in range(5):
            one.clock.pass_(minutes=1)
            names.append((await one.service.receive(pieces(data))).id)
        uploaded = [backup.id for backup in one.service.list() if backup.kind == "uploaded"]
        assert len(uploaded) == 3
        assert names[-1] in uploaded
        assert one.service.file(names[-1]).read_bytes() == data
        assert list(one.data.tmp.iterdir()) == []


async def test_a_caller_that_leaves_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    """No half archive, and the next one can be handed in."""

    async def breaks() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    async with house(tmp_path) as one:
        with pytest.raises(Exception, match=r"."):
            await one.service.receive(breaks())
        assert list(one.data.tmp.iterdir()) == []
        assert not one.data.backups.exists() or list(one.data.backups.iterdir()) == []


async def test_the_folder_is_looked_at_and_nothing_else_in_it_counts(tmp_path: Path) -> None:
    """An archive that was copied there is listed, a broken one with its problem; odd names, links
    and half-written ones are not."""
    async with house(tmp_path) as one:
        made = await one.service.create()
        folder = one.data.backups
        file = one.service.file(made.id)
        (folder / "manual-copied.tar.gz").write_bytes(file.read_bytes())
        (folder / "manual-broken.tar.gz").write_bytes(b"broken")
        (folder / "notes.txt").write_text("mine")
        (folder / "odd name.tar.gz").write_bytes(file.read_bytes())
        (folder / "manual-link.tar.gz").symlink_to("/etc/passwd")
        (folder / ".manual-half.tar.gz.part").write_bytes(b"half")
        found = {backup.id: backup for backup in await one.service.look()}
        assert found.keys() == {made.id, "manual-copied", "manual-broken"}
        assert "not a backup" in found["manual-broken"].problem
        for wrong in ("../config", "notes", "manual-link", ""):
            with pytest.raises(NotFound):
                one.service.file(wrong)
        await one.service.start()
        assert not (folder / ".manual-half.tar.gz.part").exists()
        await one.service.delete("manual-copied")
        assert not (folder / "manual-copied.tar.gz").exists()
        assert (folder / "notes.txt").exists()


async def test_links_and_odd_names_below_patches_are_left_out_and_told(tmp_path: Path) -> None:
    """A link could lead to any file of the machine."""
    async with house(tmp_path) as one:
        (one.data.patches / "secret").symlink_to("/etc/hostname")
        (one.data.patches / "folder").symlink_to("/etc")
        (one.data.patches / "a name").write_text("x")
        made = await one.service.create(PHRASE)
        assert made.manifest is not None
        patches = [name for name in made.manifest.names if name.startswith("patches/")]
        assert patches == ["patches/guard/patch.yaml"]
        assert len(made.manifest.left_out) == 2


async def test_an_empty_directory_can_be_backed_up(tmp_path: Path) -> None:
    """Before anything was set up."""
    async with house(tmp_path, filled=False) as one:
        made = await one.service.create(PHRASE)
        assert made.manifest is not None
        assert made.manifest.names == ("spark-control.db",)
        assert made.manifest.seal is None
        assert (await one.service.check(made.id, PHRASE)).ok
