"""The routes of who may use the dashboard: mode, password, sessions."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParam

from server.auth.session import Session
from server.base.errors import InvalidValue, SparkError
from server.web.lock import SESSION
from server.web.pages.answer import led
from server.web.pages.fields import fields
from server.web.pages.flash import QUIET, Flash, said
from server.web.pages.form import FormView, fresh, refused
from server.web.pages.settings import access as pure
from server.web.pages.settings.acted import acted
from server.web.pages.site import Site, draw_frame
from server.web.parts import Parts
from server.web.reply import PartsOf

HOME = "/settings/access"
FORM = "/ui/settings/access"
Said = Annotated[str, Query(alias="said", max_length=20)]
Id = Annotated[str, PathParam(max_length=40)]


class AccessPages:
    """The routes over one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def page(self, request: Request, parts: PartsOf, said_: Said = "") -> Response:
        return self._drawn(request, parts, fresh({}), said(said_))

    async def mode(self, request: Request, parts: PartsOf) -> Response:
        async def act() -> None:
            wanted = (await fields(request)).get("mode", "")
            if wanted == "password":
                parts.locking.need_password()
            await parts.settings.save_section("auth", {"mode": wanted})

        return await acted(request, parts, self._site, act, f"{HOME}?said=saved")

    async def password(self, request: Request, parts: PartsOf) -> Response:
        """Who changes it proves to know the old one; every other session ends."""
        given = await fields(request)
        here: Session | None = request.scope.get(SESSION)
        try:
            await _change(request, parts, given)
        except SparkError as error:
            known = ("current", "password", "again")
            return self._drawn(request, parts, refused({}, error, known), QUIET, error.status)
        await parts.locking.end_others(here.id if here else None)
        return led(request, f"{HOME}?said=saved")

    async def end(self, request: Request, parts: PartsOf, session_id: Id) -> Response:
        act = partial(parts.locking.end, session_id)
        return await acted(request, parts, self._site, act, HOME)

    def _drawn(
        self, request: Request, parts: Parts, form: FormView, flash: Flash, status: int = 200
    ) -> Response:
        auth = parts.locking
        here = request.scope.get(SESSION)
        page = pure.AccessPage(
            frame=draw_frame(parts, self._site, "Access", nav="settings", flash=flash),
            tab="access",
            problems=tuple(parts.settings.problems),
            locked=parts.settings.current.auth.mode == "password",
            fixed=parts.settings.variable("auth") or "",
            possible=auth.password.is_set(),
            password=form,
            sessions=pure.session_rows(auth.every(), here, parts.clock.now()),
        )
        return self._site.pen.page(page, status)


async def _change(request: Request, parts: Parts, given: dict[str, str]) -> None:
    auth = parts.locking
    if given.get("password", "") != given.get("again", ""):
        raise InvalidValue("again: this is not the same password", param="again")
    client = request.client
    if auth.password.is_set():
        await auth.prove(given.get("current", ""), address=client.host if client else "")
    await auth.password.change(given.get("password", ""))


def add(router: APIRouter, site: Site) -> None:
    pages = AccessPages(site)
    for path, endpoint, method in (
        (HOME, pages.page, "GET"),
        (f"{FORM}/mode", pages.mode, "POST"),
        (f"{FORM}/password", pages.password, "POST"),
        (f"{FORM}/sessions/{{session_id}}/end", pages.end, "POST"),
    ):
        router.add_api_route(path, endpoint, methods=[method], response_class=Response)
