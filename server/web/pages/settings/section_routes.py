"""The routes of the sections with a form of their own: engine, gateway, audio and the like."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParam

from server.base.errors import NotFound, SparkError
from server.config.store import Stale
from server.web.pages.answer import from_htmx, led
from server.web.pages.fields import fields
from server.web.pages.flash import QUIET, Flash, said
from server.web.pages.form import VERSION
from server.web.pages.settings import section as pure
from server.web.pages.settings.sections import PAGES
from server.web.pages.site import Site, draw_frame
from server.web.parts import Parts
from server.web.reply import PartsOf

Name = Annotated[str, PathParam(max_length=40)]


class SectionPages:
    """The routes over one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def page(
        self,
        parts: PartsOf,
        section: Name,
        said_: Annotated[str, Query(alias="said", max_length=20)] = "",
    ) -> Response:
        _known(section)
        return self._drawn(parts, section, opened(parts, section), said(said_))

    async def save(self, request: Request, parts: PartsOf, section: Name) -> Response:
        _known(section)
        given = await fields(request)
        try:
            wanted = pure.changes(section, given)
            await parts.settings.save_section(section, wanted, given.get(VERSION) or None)
        except SparkError as error:
            stale = isinstance(error, Stale)
            now = opened(parts, section)
            form = pure.stale(now, given) if stale else pure.refused(now, given, error)
            if from_htmx(request):
                return self._site.pen.fragment(form, error.status)
            return self._drawn(parts, section, form, status=error.status)
        return led(request, f"/settings/{section}?said=saved")

    def _drawn(
        self,
        parts: Parts,
        section: str,
        form: pure.SectionForm,
        flash: Flash = QUIET,
        status: int = 200,
    ) -> Response:
        frame = draw_frame(parts, self._site, PAGES[section].title, nav="settings", flash=flash)
        page = pure.section_page(frame, section, form, parts.settings.problems)
        return self._site.pen.page(page, status)


def opened(parts: Parts, section: str) -> pure.SectionForm:
    settings = parts.settings
    values: dict[str, Any] = getattr(settings.current, section).model_dump(mode="json")
    return pure.opened(
        section,
        values,
        settings.mark(section),
        origins=settings.origins(section),
        offers=_offers(parts),
    )


def _offers(parts: Parts) -> dict[str, tuple[str, ...]]:
    models = tuple(parts.catalog.snapshot().models)
    return {
        "default_host": tuple(host.name for host in parts.settings.current.hosts),
        "default_model": models,
        "bridge": models,
    }


def _known(section: str) -> None:
    if section not in PAGES:
        raise NotFound(f"There is no page /settings/{section} here.")


def add(router: APIRouter, site: Site) -> None:
    """Last of the settings: `/settings/{section}` takes what is left."""
    pages = SectionPages(site)
    for path, endpoint, method in (
        ("/settings/{section}", pages.page, "GET"),
        ("/ui/settings/{section}", pages.save, "POST"),
    ):
        router.add_api_route(path, endpoint, methods=[method], response_class=Response)
