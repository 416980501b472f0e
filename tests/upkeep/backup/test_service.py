"""Backups of a whole data directory: made, looked at, staged, and put in place at a start."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from server.base.errors import InvalidValue
from server.base.finding import Severity
from server.store.tables import facts
from server.upkeep.backup.model import Report
from server.upkeep.backup.restore import carry_out
from tests.upkeep.backup.made import CONFIG, NOON, PHRASE, House, house


def errors(report: Report) -> list[str]:
    return [one.code for one in report.findings if one.severity is Severity.ERROR]


async def said(one: House) -> str | None:
    async with one.database.read() as connection:
        query = select(facts.c.value).where(facts.c.name == "said")
        return (await connection.execute(query)).scalar_one_or_none()


async def test_everything_comes_back(tmp_path: Path) -> None:
    """Settings, models, key, host keys, patches and the database, after all of them changed; what
    was there is set aside."""
    async with house(tmp_path) as one:
        await one.says("before")
        before = one.files()
        backup = await one.service.create(PHRASE)
        assert stat.S_IMODE(one.service.file(backup.id).stat().st_mode) == 0o600
        await one.says("after")
        one.data.config.write_text("hosts: []\n")
        one.data.overrides.unlink()
        one.data.ssh_key.write_bytes(b"another key")
        (one.data.patches / "guard" / "patch.yaml").write_text("target: other\n")
        (one.data.patches / "new.yaml").write_text("new\n")
        changed = one.files()
        report, staged = await one.service.stage(backup.id, PHRASE)
        assert report.ok
        assert one.files() == changed, "nothing is touched before the next start"
        assert one.service.staged() == staged
    restored = carry_out(one.data, NOON + timedelta(hours=1))
    assert restored is not None
    async with house(tmp_path) as again:
        assert again.files() == before
        assert await said(again) == "before"
        await again.service.start()
        assert again.service.staged() is None
        assert again.service.restored() == restored
    aside = one.data.set_aside / restored.aside
    assert (aside / "config.yaml").read_text() == "hosts: []\n"
    assert (aside / "ssh" / "id_ed25519").read_bytes() == b"another key"
    assert (aside / "patches" / "new.yaml").exists()
    assert carry_out(one.data, NOON) is None


async def test_who_could_read_a_file_can_read_the_new_one(tmp_path: Path) -> None:
    """Its mode stays as its owner set it; a private key is for us alone in any case."""
    async with house(tmp_path) as one:
        backup = await one.service.create(PHRASE)
        one.data.config.chmod(0o644)
        one.data.overrides.chmod(0o666)
        one.data.ssh_key.chmod(0o640)
        await one.service.stage(backup.id, PHRASE)
    carry_out(one.data, NOON)
    modes = [
        stat.S_IMODE(path.stat().st_mode)
        for path in (one.data.config, one.data.overrides, one.data.ssh_key, one.data.known_hosts)
    ]
    assert modes[:3] == [0o644, 0o644, 0o600]
    assert not modes[3] & 0o022


async def test_without_a_passphrase_no_secret_is_in_it(tmp_path: Path) -> None:
    """It says so; the key that is there stays at a restore."""
    async with house(tmp_path) as one:
        backup = await one.service.create()
        key = one.data.ssh_key.read_bytes()
        assert backup.manifest is not None
        assert backup.manifest.seal is None
        assert "no passphrase" in backup.manifest.left_out[0]
        report = await one.service.check(backup.id)
        assert report.ok
        await one.service.stage(backup.id)
    carry_out(one.data, NOON)
    assert one.data.ssh_key.read_bytes() == key


async def test_a_wrong_passphrase_restores_nothing(tmp_path: Path) -> None:
    """And is told as what it is; without one all but the key comes back."""
    async with house(tmp_path) as one:
        backup = await one.service.create(PHRASE)
        assert errors(await one.service.check(backup.id, PHRASE + "!")) == ["secrets"]
        with pytest.raises(InvalidValue, match="does not open"):
            await one.service.stage(backup.id, PHRASE + "!")
        assert one.service.staged() is None
        assert not one.data.restore.exists()
        assert (await one.service.check(backup.id)).ok
        with pytest.raises(InvalidValue, match="10 to 1000"):
            await one.service.create("short")
        assert list(one.data.tmp.iterdir()) == []


async def test_config_is_what_it_was_when_nothing_was_staged(tmp_path: Path) -> None:
    """A start without anything staged touches nothing."""
    async with house(tmp_path) as one:
        assert carry_out(one.data, NOON) is None
        assert one.data.config.read_text() == CONFIG


async def test_a_backup_that_would_take_the_lock_off_says_so(tmp_path: Path) -> None:
    """One from before the lock was put on, or without any configuration."""
    async with house(tmp_path) as one:
        backup = await one.service.create()
        told = {f.code: f for f in (await one.service.check(backup.id)).findings}
        assert (told["login"].severity, "nobody" in told["login"].message) == (Severity.INFO, True)
        one.data.config.write_text(one.data.config.read_text() + "auth: {mode: password}\n")
        backup = await one.service.create()
        assert "login" not in {f.code for f in (await one.service.check(backup.id)).findings}
