"""Backups in the settings: made, handed in, looked into before anything is replaced, deleted."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.config.model import Backups
from server.config.paths import DataDir
from server.store.database import Database
from server.upkeep.backup.service import BackupService
from server.web.pages.notice import NoticeBoard
from server.web.pages.routes import make_site, routes
from tests.web.forms import form_of, words_of
from tests.web.made import Web, web

ROOT = Path(__file__).resolve().parents[2]
PASSPHRASE = "a sentence that is long"
HTMX = {"HX-Request": "true"}


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Web]:
    data, clock, bus = DataDir(tmp_path), SystemClock(), EventBus()
    data.prepare()
    data.ssh_key.write_text("no key at all")
    database = Database(data.database_url)
    await database.open()
    keeping = BackupService(
        data=data, database=database, settings=Backups, environ={}, bus=bus, clock=clock
    )
    site = make_site(
        ROOT / "templates",
        tmp_path / "dist",
        notices=NoticeBoard(bus, clock),
        public_key="k",
        refusal=lambda _: None,
    )
    await keeping.start()
    furnish = lambda parts: replace(parts, backups=keeping)  # noqa: E731
    async with web(tmp_path, furnish=furnish, pages=[routes(site)]) as made:
        yield made
    await keeping.close()
    await database.close()


async def test_a_backup_is_made_listed_and_deleted(pages: Web) -> None:
    """A passphrase that is too short is told; the passphrase is on no page."""
    page = await pages.client.get("/settings/backup")
    assert "No backup yet" in words_of(page.text)
    make = "/ui/settings/backup/make"
    short = await pages.client.post(make, data={"passphrase": "short"})
    assert short.status_code == 422
    assert "short" not in form_of(short.text, make).values()
    made = await pages.client.post(make, data={"passphrase": PASSPHRASE})
    assert made.status_code == 303, words_of(made.text)
    page = await pages.client.get(made.headers["location"])
    told = words_of(page.text)
    assert "sealed by a passphrase" in told
    assert "config.yaml" in told
    assert PASSPHRASE not in page.text
    backup = pages.parts.keeping.list()[0]
    assert backup.id in (await pages.client.get("/settings/backup")).text
    gone = await pages.client.post(f"/ui/settings/backup/{backup.id}/delete")
    assert gone.headers["location"] == "/settings/backup?said=removed"
    assert pages.parts.keeping.list() == ()


async def test_an_uploaded_backup_is_looked_into_before_anything_is_replaced(
    pages: Web, tmp_path: Path
) -> None:
    """Handed in as a browser does; the findings stand there; a restore waits for the start and may
    be given up."""
    made = await pages.parts.keeping.create(PASSPHRASE)
    archive = pages.parts.keeping.file(made.id).read_bytes()
    await pages.parts.keeping.delete(made.id)
    before = (tmp_path / "config.yaml").read_bytes()
    upload = "/ui/settings/backup/upload"
    kept = await pages.client.post(upload, files={"archive": ("b.tar.gz", archive)})
    assert kept.status_code == 303, words_of(kept.text)
    backup = pages.parts.keeping.list()[0]
    assert pages.parts.keeping.file(backup.id).read_bytes() == archive
    restore = f"/ui/settings/backup/{backup.id}/restore"
    wrong = {"passphrase": "another sentence", "act": "check"}
    looked = await pages.client.post(restore, data=wrong, headers=HTMX)
    assert "It cannot be restored" in words_of(looked.text) or looked.status_code == 422
    right = await pages.client.post(restore, data={"passphrase": PASSPHRASE, "act": "check"})
    assert right.status_code == 200
    assert "restored" in words_of(right.text)
    assert PASSPHRASE not in right.text
    assert pages.parts.keeping.staged() is None
    assert (tmp_path / "config.yaml").read_bytes() == before


async def test_a_restore_waits_for_the_next_start(pages: Web) -> None:
    """And is given up by a press."""
    made = await pages.parts.keeping.create()
    restore = f"/ui/settings/backup/{made.id}/restore"
    staged = await pages.client.post(restore, data={"act": "stage"})
    assert staged.headers["location"] == "/settings/backup"
    page = await pages.client.get("/settings/backup")
    assert "The next start restores the backup" in words_of(page.text)
    await pages.client.post("/ui/settings/backup/unstage")
    assert pages.parts.keeping.staged() is None


async def test_what_is_no_backup_is_refused(pages: Web) -> None:
    """A form without a file, and a file that is something else."""
    upload = "/ui/settings/backup/upload"
    for files, told in (
        ({"other": ("x", b"y")}, ""),
        ({"archive": ("x.tar.gz", b"no archive")}, ""),
    ):
        refused = await pages.client.post(upload, files=files)
        assert refused.status_code == 422, words_of(refused.text)
        assert told in words_of(refused.text)
    assert pages.parts.keeping.list() == ()
    assert (await pages.client.get("/settings/backup/manual-x")).status_code == 404
