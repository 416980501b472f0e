"""`backup` and `restore`: what is sent, where a passphrase comes from, what lands on the disk."""

import base64
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Answer, Api, Run
from tests.upkeep.backup.made import PHRASE, house

ONE: dict[str, Any] = {
    "id": "manual-0mc1x2y3z4k7q2", "kind": "manual", "made_at": "2026-11-21T08:00:00.000Z",
    "size": 2048, "secrets": True, "version": "0.1.0", "problem": "",
    "left_out": ["patches/x is not in it: it is a link, or oddly named."],
}  # fmt: skip
FINE = {
    "id": ONE["id"], "ok": True, "staged": None,
    "findings": [{"code": "archive", "severity": "ok", "message": "All fine.", "advice": ""}],
}  # fmt: skip
WRONG = FINE | {
    "ok": False,
    "findings": [{"code": "config", "severity": "error", "message": "Bad.", "advice": "Mend."}],
}


@pytest.fixture
def phrase(tmp_path: Path) -> str:
    file = tmp_path / "phrase"
    file.write_text(f"{PHRASE}\nsecond line\n")
    return str(file)


def test_a_list_tells_what_waits_and_what_comes(api: Api, run: Run) -> None:
    """Rows on stdout, the rest beside it."""
    staged = {"id": ONE["id"], "made_at": "x", "staged_at": "x", "files": [], "removed": []}
    answer = {"backups": [ONE], "staged": staged, "schedule": {"next_at": "2026-11-22"}}
    api.on("GET", "/api/v1/backups", answer)
    ran = run("backup", "list")
    assert ran.code == 0
    assert "manual-0mc1x2y3z4k7q2" in ran.out
    assert "sealed" in ran.out
    assert "2026-11-22" in ran.err
    assert "waits to be restored" in ran.err
    assert run("--json", "backup", "list").json == answer


def test_a_backup_is_made_with_a_passphrase_that_is_on_no_command_line(
    api: Api, run: Run, phrase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file or the environment; without one, or on demand, the key is left out."""
    api.on("POST", "/api/v1/backups", Answer(ONE, 201))
    ran = run("backup", "create", "--passphrase-file", phrase)
    assert (ran.code, ran.out) == (0, ONE["id"] + "\n")
    assert "oddly named" in ran.err
    run("backup", "create")
    monkeypatch.setenv("SPARK_CONTROL_BACKUP_PASSPHRASE", "from the environment")
    run("backup", "create")
    run("backup", "create", "--no-secrets")
    sent = [body["passphrase"] for body in api.bodies("POST", "/api/v1/backups")]
    assert sent == [PHRASE, None, "from the environment", None]
    assert run("backup", "create", "--passphrase-file", "/nowhere").code == 1


def test_a_download_is_ours_alone_and_replaces_nothing(api: Api, run: Run, tmp_path: Path) -> None:
    """Mode 0600; a file that is there stays."""
    path = f"/api/v1/backups/{ONE['id']}"
    api.on("GET", path, Answer(b"\x1f\x8barchive", 200, "application/gzip"))
    target = tmp_path / "kept.tar.gz"
    assert run("backup", "download", ONE["id"], "-o", str(target)).code == 0
    assert target.read_bytes() == b"\x1f\x8barchive"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    ran = run("backup", "download", ONE["id"], "-o", str(target))
    assert ran.code == 1
    assert "exists" in ran.err


def test_a_file_is_handed_to_the_app_as_it_is(
    api: Api, run: Run, tmp_path: Path, phrase: str
) -> None:
    """With the passphrase in a header; `--check` changes nothing; exit 1 for what is wrong."""
    archive = tmp_path / "b.tar.gz"
    archive.write_bytes(b"\x1f\x8b" + bytes(3_000_000))
    api.on("POST", "/api/v1/backups/restore", FINE, FINE, WRONG)
    ran = run("restore", str(archive), "--passphrase-file", phrase)
    assert ran.code == 0
    assert "next start" in ran.out
    looked = run("restore", str(archive), "--check", "--no-secrets")
    assert "next start" not in looked.out
    wrong = run("restore", str(archive), "--no-secrets")
    assert wrong.code == 1
    assert "Mend." in wrong.out
    first, second, _ = api.asked
    assert len(first.body) == 3_000_002
    assert (first.query, second.query) == ("apply=true", "apply=false")
    assert base64.b64decode(first.headers["X-Backup-Passphrase"]).decode() == PHRASE
    assert "X-Backup-Passphrase" not in second.headers
    assert run("restore", str(tmp_path / "none.tar.gz")).code == 1
    assert run("restore").code == 2


def test_one_that_is_kept_is_named_by_its_id(api: Api, run: Run, phrase: str) -> None:
    """And a restore that waits can be given up."""
    api.on("POST", "/api/v1/backups/restore", FINE)
    api.on("DELETE", "/api/v1/backups/restore", Answer(b"", 204))
    assert run("restore", ONE["id"], "--passphrase-file", phrase).code == 0
    [body] = api.bodies("POST", "/api/v1/backups/restore")
    assert body == {"id": ONE["id"], "passphrase": PHRASE, "apply": True}
    assert run("restore", "--cancel").code == 0


async def test_without_an_app_it_is_put_in_place_at_once(
    api: Api, run: Run, tmp_path: Path, phrase: str
) -> None:
    """Nothing is asked of any app; a broken archive changes nothing."""
    async with house(tmp_path / "one") as one:
        file = one.service.file((await one.service.create(PHRASE)).id)
    home = tmp_path / "two"
    ran = run("restore", str(file), "--data", str(home), "--passphrase-file", phrase)
    assert ran.code == 0, ran.err + ran.out
    assert f"Restored into {home}" in ran.out
    assert (home / "config.yaml").read_bytes() == one.data.config.read_bytes()
    assert (home / "ssh" / "id_ed25519").exists()
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(file.read_bytes()[:-100])
    ran = run("restore", str(broken), "--data", str(tmp_path / "three"), "--no-secrets")
    assert ran.code == 1
    assert "ends too early" in ran.out
    assert not (tmp_path / "three" / "config.yaml").exists()
    assert api.asked == []
