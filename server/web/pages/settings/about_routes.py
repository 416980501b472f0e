"""The routes of the page about the program, and of the links to pages elsewhere."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from server.base.errors import SparkError
from server.config.explain import explain
from server.config.load import ConfigError
from server.config.model import Link
from server.config.schema import field_at
from server.config.store import Stale
from server.web.api.health import probed
from server.web.pages.answer import from_htmx, led
from server.web.pages.fields import fields
from server.web.pages.flash import QUIET, Flash, said
from server.web.pages.form import VERSION, fresh
from server.web.pages.settings import about as pure
from server.web.pages.settings import section as sections
from server.web.pages.settings.fields import Field, FieldGroup, base_of, links_of, marked
from server.web.pages.settings.vitals import vitals
from server.web.pages.site import Site, draw_frame
from server.web.parts import Parts
from server.web.reply import PartsOf

Said = Annotated[str, Query(alias="said", max_length=20)]


class AboutPages:
    """The routes over one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def about(self, parts: PartsOf) -> Response:
        frame = draw_frame(parts, self._site, "About", nav="settings")
        card = await about_card(parts, self._site)
        return self._site.pen.page(pure.AboutPage(frame, "about", card))

    async def card(self, parts: PartsOf) -> Response:
        return self._site.pen.fragment(await about_card(parts, self._site))

    async def links(self, parts: PartsOf, said_: Said = "") -> Response:
        return self._links(parts, links_form(parts), said(said_))

    async def save_links(self, request: Request, parts: PartsOf) -> Response:
        given = await fields(request)
        try:
            await parts.settings.save_links(_meant(given), given.get(VERSION) or None)
        except SparkError as error:
            now = links_form(parts)
            stale = isinstance(error, Stale)
            form = sections.stale(now, given) if stale else sections.refused(now, given, error)
            if from_htmx(request):
                return self._site.pen.fragment(form, error.status)
            return self._links(parts, form, status=error.status)
        return led(request, "/settings/links?said=saved")

    def _links(
        self, parts: Parts, form: sections.SectionForm, flash: Flash = QUIET, status: int = 200
    ) -> Response:
        frame = draw_frame(parts, self._site, "Links", nav="settings", flash=flash)
        about = "Pages elsewhere that the dashboard leads to, such as Open WebUI."
        page = sections.SectionPage(
            frame, "links", "links", "Links", about, "A service may have its own.", form
        )
        return self._site.pen.page(page, status)


async def about_card(parts: Parts, site: Site) -> pure.AboutCard:
    measured = await vitals(parts, site.assets.build)
    verdicts = await asyncio.gather(*(probed(check) for check in parts.checks))
    checks = [
        pure.Check(check.name.replace("_", " "), verdict.health.value, verdict.reason)
        for check, verdict in zip(parts.checks, verdicts, strict=True)
    ]
    return pure.about_card(measured, checks)


def links_form(parts: Parts) -> sections.SectionForm:
    """One field with all of them, a line each."""
    settings = parts.settings
    text = "\n".join(f"{link.name} {link.url}" for link in settings.current.links)
    info = field_at(("links",))
    field = Field(
        "links",
        "links",
        "Links",
        "lines",
        marked(info.description or "" if info else ""),
        "",
        variable=settings.variable("links") or "",
    )
    form = fresh({"links": text}, settings.mark("links"))
    return sections.SectionForm(
        "settings-links",
        "/ui/settings/links",
        "Save",
        (FieldGroup("", (field,)),),
        form,
        base_of({"links": text}),
    )


def _meant(given: dict[str, str]) -> list[Link]:
    found = []
    for index, link in enumerate(links_of(given.get("links", ""))):
        try:
            found.append(Link.model_validate(link))
        except ValidationError as error:
            entry = error.errors(include_url=False)[0]
            told = (
                f"line {index + 1} {explain({**entry, 'loc': ('links', index, *entry['loc'])})[1]}"
            )
            raise ConfigError((told,), ((("links", "links"), told),)) from None
        if _twice(found):
            told = f"line {index + 1} has a name that is there already"
            raise ConfigError((told,), ((("links", "links"), told),))
    return found


def _twice(links: list[Link]) -> bool:
    return len({link.name for link in links}) < len(links)


def add(router: APIRouter, site: Site) -> None:
    pages = AboutPages(site)
    for path, endpoint, method in (
        ("/settings/about", pages.about, "GET"),
        ("/ui/settings/about", pages.card, "GET"),
        ("/settings/links", pages.links, "GET"),
        ("/ui/settings/links", pages.save_links, "POST"),
    ):
        router.add_api_route(path, endpoint, methods=[method], response_class=Response)
