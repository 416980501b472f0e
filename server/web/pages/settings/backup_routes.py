"""The routes of the backups in the settings: make, keep, hand in, look into, restore, delete."""

from functools import partial
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParam

from server.base.errors import NotFound, SparkError
from server.web.pages.answer import from_htmx, led, refused_page
from server.web.pages.fields import fields
from server.web.pages.flash import QUIET, Flash, refusal, said
from server.web.pages.settings import backup as pure
from server.web.pages.settings.acted import acted
from server.web.pages.settings.section_routes import opened
from server.web.pages.settings.upload import file_of
from server.web.pages.site import Site, draw_frame
from server.web.parts import Parts
from server.web.reply import PartsOf

Id = Annotated[str, PathParam(max_length=64)]
Said = Annotated[str, Query(alias="said", max_length=20)]
HOME = "/settings/backup"
FORMS = "/ui/settings/backup"
FILE = "archive"


class BackupPages:
    """The routes over one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def every(self, parts: PartsOf, said_: Said = "") -> Response:
        return await self._list(parts, pure.MakeForm(), said(said_))

    async def one(self, parts: PartsOf, backup_id: Id, said_: Said = "") -> Response:
        return self._one(parts, backup_id, None, said(said_))

    async def make(self, request: Request, parts: PartsOf) -> Response:
        given = await fields(request)
        passphrase = given.get("passphrase") or None
        try:
            made = await parts.keeping.create(passphrase)
        except SparkError as error:
            form = pure.MakeForm(error.message, error.advice or "")
            if from_htmx(request):
                return self._site.pen.fragment(form, error.status)
            return await self._list(parts, form, status=error.status)
        return led(request, f"{HOME}/{made.id}?said=added")

    async def upload(self, request: Request, parts: PartsOf) -> Response:
        """Kept first, then looked into on its own page: nothing is replaced."""
        try:
            kept = await parts.keeping.receive(file_of(request, FILE))
        except SparkError as error:
            return refused_page(parts, self._site, refusal(error), error.status)
        return led(request, f"{HOME}/{quote(kept.id, safe='')}?said=added")

    async def restore(self, request: Request, parts: PartsOf, backup_id: Id) -> Response:
        """A look into it, or with `act=stage` the restore by the next start."""
        given = await fields(request)
        passphrase = given.get("passphrase") or None
        status = 200
        try:
            if given.get("act") == "stage":
                await parts.keeping.stage(backup_id, passphrase)
                return led(request, HOME)
            found = pure.findings_of(backup_id, await parts.keeping.check(backup_id, passphrase))
        except NotFound:
            raise
        except SparkError as error:
            found = pure.Findings(backup_id, False, (), error.message, error.advice or "")
            status = error.status
        if from_htmx(request):
            return self._site.pen.fragment(found, status)
        return self._one(parts, backup_id, found, status=status)

    async def unstage(self, request: Request, parts: PartsOf) -> Response:
        return await acted(request, parts, self._site, parts.keeping.unstage, HOME)

    async def delete(self, request: Request, parts: PartsOf, backup_id: Id) -> Response:
        act = partial(parts.keeping.delete, backup_id)
        return await acted(request, parts, self._site, act, f"{HOME}?said=removed")

    async def _list(
        self, parts: Parts, make: pure.MakeForm, flash: Flash = QUIET, status: int = 200
    ) -> Response:
        keeping, now = parts.keeping, parts.clock.now()
        backups = pure.entries(await keeping.look(), now)
        schedule = keeping.schedule()
        page = pure.BackupsPage(
            draw_frame(parts, self._site, "Backup", nav="settings", flash=flash),
            "backup",
            backups,
            pure.staged_card(keeping.staged(), now),
            make,
            opened(parts, "backup"),
            str(schedule.get("next_at") or ""),
            bool(schedule.get("sealed")),
            str(schedule.get("problem") or ""),
        )
        return self._site.pen.page(page, status)

    def _one(
        self,
        parts: Parts,
        backup_id: str,
        findings: pure.Findings | None,
        flash: Flash = QUIET,
        status: int = 200,
    ) -> Response:
        now = parts.clock.now()
        entry = pure.backup_entry(parts.keeping.get(backup_id), now)
        frame = draw_frame(parts, self._site, entry.file, nav="settings", flash=flash)
        staged = pure.staged_card(parts.keeping.staged(), now)
        return self._site.pen.page(
            pure.BackupPage(frame, "backup", entry, staged, findings), status
        )


def add(router: APIRouter, site: Site) -> None:
    """Before the sections: `backup` is one of them, whose form stands on this page."""
    pages = BackupPages(site)
    for path, endpoint, method in (
        (HOME, pages.every, "GET"),
        (f"{HOME}/{{backup_id}}", pages.one, "GET"),
        (f"{FORMS}/make", pages.make, "POST"),
        (f"{FORMS}/upload", pages.upload, "POST"),
        (f"{FORMS}/unstage", pages.unstage, "POST"),
        (f"{FORMS}/{{backup_id}}/restore", pages.restore, "POST"),
        (f"{FORMS}/{{backup_id}}/delete", pages.delete, "POST"),
    ):
        router.add_api_route(path, endpoint, methods=[method], response_class=Response)
