"""A full or read-only disk at every write: clear words, the old state or the new one, no rests."""

import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from server.base.errors import InsufficientStorage, SparkError
from server.config.paths import DataDir
from server.upkeep.backup.restore import carry_out, staged
from tests.disks import disk
from tests.upkeep.backup.made import NOON, PHRASE, house

MIB = 1 << 20


async def test_a_backup_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    """Neither a half archive nor a rest of the copy; the next one works."""
    with disk(8 * MIB) as small:
        async with house(small.path / "home") as one:
            with small.full(), pytest.raises(SparkError) as told:
                await one.service.create(PHRASE)
            assert told.value.status in {503, 507}
            assert list(one.data.tmp.iterdir()) == []
            assert not one.data.backups.exists() or list(one.data.backups.iterdir()) == []
            assert one.service.list() == ()
            await one.service.create(PHRASE)


async def test_there_must_be_room_before_anything_is_unpacked(tmp_path: Path) -> None:
    """A few bytes may become gigabytes: the disk of the data directory is not filled by a look."""
    with disk(8 * MIB) as small:
        async with house(small.path / "home") as one:
            backup = await one.service.create()
            if small.real:
                with pytest.raises(InsufficientStorage, match="room"):
                    await one.service.check(backup.id)
                with pytest.raises(InsufficientStorage, match="room"):
                    await one.service.stage(backup.id)
            assert list(one.data.tmp.iterdir()) == []
            assert staged(one.data) is None


async def test_a_start_on_a_full_or_read_only_disk_goes_on_at_the_next(tmp_path: Path) -> None:
    """It says what is wrong and starts nothing half; then the restore is finished."""
    async with house(tmp_path / "home") as one:
        backup = await one.service.create(PHRASE)
        one.data.config.write_text("hosts: []\n")
        await one.service.stage(backup.id, PHRASE)
    with disk(16 * MIB) as small:
        home = small.path / "home"
        shutil.copytree(tmp_path / "home", home)
        data = DataDir(home, {})
        with small.read_only(), pytest.raises(SparkError):
            carry_out(data, NOON)
        assert data.config.read_text() == "hosts: []\n"
        with small.full(), suppress(SparkError):
            carry_out(data, NOON)
        assert data.config.exists()
        assert data.ssh_key.exists()
        assert data.database.exists()
        carry_out(data, NOON)
        assert "spark-1" in data.config.read_text()
        assert not data.restore.exists()
        [aside] = data.set_aside.iterdir()
        assert (aside / "config.yaml").read_text() == "hosts: []\n"
