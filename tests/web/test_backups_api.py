"""`/api/v1/backups` over real archives."""

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.config.model import Backups
from server.config.paths import DataDir
from server.ssh.identity import ensure_identity
from server.store.database import Database
from server.upkeep.backup.service import BackupService
from tests.web.made import Web, web

PHRASE = "correct horse battery staple"
GZIP = {"content-type": "application/gzip"}
RESTORE = "/api/v1/backups/restore"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Web]:
    data = DataDir(tmp_path)
    data.prepare()
    ensure_identity(data.ssh_key)
    database = Database(data.database_url)
    await database.open()
    keeping = BackupService(
        data=data, database=database, settings=Backups, environ={}, bus=EventBus(),
        clock=SystemClock(),
    )  # fmt: skip
    async with web(tmp_path, furnish=lambda parts: replace(parts, backups=keeping)) as made:
        yield made
    await database.close()


async def made(api: Web, passphrase: str | None = PHRASE) -> str:
    answer = await api.client.post("/api/v1/backups", json={"passphrase": passphrase})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_backup_is_made_listed_handed_out_and_deleted(api: Web) -> None:
    """Its archive as a file, and nothing that guesses at others."""
    backup_id = await made(api)
    listed = (await api.client.get("/api/v1/backups")).json()
    assert [one["id"] for one in listed["backups"]] == [backup_id]
    assert listed["backups"][0]["secrets"] is True
    assert (listed["staged"], listed["schedule"]["every_hours"]) == (None, 24)
    answer = await api.client.get(f"/api/v1/backups/{backup_id}")
    assert answer.headers["content-type"] == "application/gzip"
    assert f'filename="spark-control-{backup_id}.tar.gz"' in answer.headers["content-disposition"]
    assert answer.content[:2] == b"\x1f\x8b"
    assert PHRASE.encode() not in answer.content
    for wrong in ("manual-none", "..%2f..%2fconfig.yaml", "%2e%2e"):
        assert (await api.client.get(f"/api/v1/backups/{wrong}")).status_code == 404
    assert (await api.client.delete(f"/api/v1/backups/{backup_id}")).status_code == 204
    assert (await api.client.get(f"/api/v1/backups/{backup_id}")).status_code == 404


async def test_a_kept_one_is_looked_into_and_then_staged(api: Web) -> None:
    """Without `apply` nothing is kept; a wrong passphrase is 422; it can be given up."""
    backup_id = await made(api)
    body = {"id": backup_id, "passphrase": PHRASE}
    looked = await api.client.post(RESTORE, json=body)
    assert (looked.status_code, looked.json()["ok"]) == (200, True)
    assert looked.json()["staged"] is None
    wrong = await api.client.post(RESTORE, json=body | {"passphrase": "no" * 8, "apply": True})
    assert wrong.status_code == 422
    assert "passphrase" in wrong.json()["error"]["message"]
    staged = await api.client.post(RESTORE, json=body | {"apply": True})
    assert staged.status_code == 202
    assert "config.yaml" in staged.json()["staged"]["files"]
    assert (await api.client.get("/api/v1/backups")).json()["staged"]["id"] == backup_id
    assert (await api.client.delete(RESTORE)).status_code == 204
    assert (await api.client.delete(RESTORE)).status_code == 409


async def test_an_archive_is_handed_in_as_it_is(api: Web) -> None:
    """More than other bodies may be, with the passphrase beside it; kept, and staged at once."""
    (Path(api.parts.data.path) / "patches").mkdir()  # type: ignore[union-attr]
    noise = bytes(range(256)) * 8192
    (Path(api.parts.data.path) / "patches" / "big").write_bytes(noise)  # type: ignore[union-attr]
    backup_id = await made(api)
    archive = (await api.client.get(f"/api/v1/backups/{backup_id}")).content
    headers = GZIP | {"x-backup-passphrase": base64.b64encode(PHRASE.encode()).decode()}

    async def slowly() -> AsyncIterator[bytes]:
        for at in range(0, len(archive), 4096):
            yield archive[at : at + 4096]

    looked = await api.client.post(RESTORE, content=slowly(), headers=headers)
    assert looked.json()["ok"] is True, looked.text
    assert looked.json()["id"].startswith("uploaded-")
    staged = await api.client.post(
        RESTORE, content=archive, headers=headers, params={"apply": "true"}
    )
    assert staged.status_code == 202, staged.text


@pytest.mark.parametrize("body", [b"", b"nothing", b"\x1f\x8b\x08broken", b"x" * (2 << 20)])
async def test_what_is_no_archive_is_refused_and_not_kept(api: Web, body: bytes) -> None:
    """422, however large it is."""
    answer = await api.client.post(RESTORE, content=body, headers=GZIP)
    assert answer.status_code == 422, answer.text
    assert (await api.client.get("/api/v1/backups")).json()["backups"] == []


@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=x", "text/plain", "application/x-www-form-urlencoded"]
)
async def test_a_form_of_a_foreign_page_is_never_an_archive(api: Web, kind: str) -> None:
    """What a browser sends without asking is not taken."""
    answer = await api.client.post(RESTORE, content=b"x", headers={"content-type": kind})
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "body", [{}, {"id": 5}, {"id": "x", "evil": 1}, {"id": "x" * 100}, [], "x"]
)
async def test_a_wish_that_is_none_is_told(api: Web, body: object) -> None:
    """422 with the field."""
    answer = await api.client.post(RESTORE, json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["param"]


async def test_an_id_that_is_not_there_is_404(api: Web) -> None:
    """Also one that points somewhere else."""
    for name in ("manual-none", "../../etc/passwd", ""):
        answer = await api.client.post(RESTORE, json={"id": name})
        assert answer.status_code == 404


async def test_a_passphrase_that_is_not_base64_is_told(api: Web) -> None:
    """And nothing of it is repeated."""
    archive_id = await made(api)
    archive = (await api.client.get(f"/api/v1/backups/{archive_id}")).content
    answer = await api.client.post(
        RESTORE, content=archive, headers=GZIP | {"x-backup-passphrase": "not base64!"}
    )
    assert answer.status_code == 400
    assert "not base64!" not in answer.text


async def test_where_no_backups_are_kept_it_says_so(tmp_path: Path) -> None:
    """503, not a crash."""
    async with web(tmp_path) as bare:
        assert (await bare.client.get("/api/v1/backups")).status_code == 503
