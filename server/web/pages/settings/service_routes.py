"""The routes of the services in the settings: add, change, remove."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParam

from server.base.errors import SparkError
from server.config.model import Service
from server.config.store import Stale
from server.web.api.services import find
from server.web.pages.answer import from_htmx, led
from server.web.pages.fields import fields
from server.web.pages.flash import QUIET, Flash, said
from server.web.pages.form import VERSION
from server.web.pages.settings import item
from server.web.pages.settings import section as sections
from server.web.pages.settings import service as pure
from server.web.pages.settings.acted import acted
from server.web.pages.site import Site, draw_frame
from server.web.parts import Parts
from server.web.reply import PartsOf

Said = Annotated[str, Query(alias="said", max_length=20)]
Name = Annotated[str, PathParam(max_length=63)]
HOME = "/settings/services"
NEW = "/ui/settings/services"


class ServicePages:
    """The routes over one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def every(self, parts: PartsOf, said_: Said = "") -> Response:
        frame = draw_frame(
            parts, self._site, "Services", nav="settings", flash=said(said_), refresh=30
        )
        variable = parts.settings.variable("services") or ""
        page = pure.ServicesPage(
            frame, "services", _list(parts), variable, problems=tuple(parts.settings.problems)
        )
        return self._site.pen.page(page)

    async def list(self, parts: PartsOf, build: str = "") -> Response:
        """A page of another build is told to load anew: its scripts and styles are not these."""
        answer = self._site.pen.fragment(_list(parts))
        if build and build != self._site.assets.build:
            answer.headers["hx-refresh"] = "true"
        return answer

    async def new(self, parts: PartsOf) -> Response:
        return self._page(parts, None, _new_form(parts))

    async def one(self, parts: PartsOf, name: Name, said_: Said = "") -> Response:
        service = find(parts, name)
        return self._page(parts, service, _form(parts, service), said(said_))

    async def add(self, request: Request, parts: PartsOf) -> Response:
        given = await fields(request)
        try:
            service = item.meant(Service, "services", given)
            await parts.settings.add_service(service)
        except SparkError as error:
            form = sections.refused(_new_form(parts), given, error)
            return self._refused(request, parts, None, form, error.status)
        return led(request, f"{HOME}?said=added")

    async def change(self, request: Request, parts: PartsOf, name: Name) -> Response:
        old = find(parts, name)
        given = await fields(request)
        try:
            service = item.meant(Service, "services", given, old)
            await parts.settings.replace_service(name, service, given.get(VERSION) or None)
        except Stale as error:
            old = find(parts, name)
            form = sections.stale(_form(parts, old), given)
            return self._refused(request, parts, old, form, error.status)
        except SparkError as error:
            form = sections.refused(_form(parts, old), given, error)
            return self._refused(request, parts, old, form, error.status)
        return led(request, f"{HOME}/{service.name}?said=saved")

    async def remove(self, request: Request, parts: PartsOf, name: Name) -> Response:
        act = partial(parts.settings.remove_service, name)
        return await acted(request, parts, self._site, act, f"{HOME}?said=removed")

    def _refused(
        self,
        request: Request,
        parts: Parts,
        service: Service | None,
        form: sections.SectionForm,
        status: int,
    ) -> Response:
        if from_htmx(request):
            return self._site.pen.fragment(form, status)
        return self._page(parts, service, form, status=status)

    def _page(
        self,
        parts: Parts,
        service: Service | None,
        form: sections.SectionForm,
        flash: Flash = QUIET,
        status: int = 200,
    ) -> Response:
        title = "Add a service" if service is None else service.name
        frame = draw_frame(parts, self._site, title, nav="settings", flash=flash)
        variable = parts.settings.variable("services") or ""
        shown = None if service is None else _entry(parts, service)
        page = pure.ServicePage(
            frame, "services", shown, form, variable, problems=tuple(parts.settings.problems)
        )
        return self._site.pen.page(page, status)


def _list(parts: Parts) -> pure.ServicesList:
    settings = parts.settings.current
    listed = tuple(_entry(parts, service) for service in settings.services)
    return pure.ServicesList(listed, bool(settings.hosts))


def _new_form(parts: Parts) -> sections.SectionForm:
    return item.blank("services", NEW, _offers(parts), "Add")


def _form(parts: Parts, service: Service) -> sections.SectionForm:
    mark = parts.settings.mark("services", service.name)
    action = f"{NEW}/{service.name}"
    return item.existing("services", service, mark, action=action, offers=_offers(parts))


def _offers(parts: Parts) -> item.Offers:
    """Containers are those that the newest sample of each host has seen."""
    seen = [status.last for status in parts.fleet.statuses() if status.last is not None]
    names = {one.name for sample in seen for one in sample.containers or ()}
    return {
        "host": [host.name for host in parts.settings.current.hosts],
        "container": sorted(names),
    }


def _entry(parts: Parts, service: Service) -> pure.ServiceEntry:
    status = next((one for one in parts.fleet.services() if one.name == service.name), None)
    in_flight = sum(passage.model == service.name for passage in parts.activity.under_way())
    return pure.service_entry(service, status, parts.settings.current.services, in_flight)


def add(router: APIRouter, site: Site) -> None:
    pages = ServicePages(site)
    for path, endpoint, method in (
        (HOME, pages.every, "GET"),
        (f"{HOME}/new", pages.new, "GET"),
        (f"{HOME}/{{name}}", pages.one, "GET"),
        (NEW, pages.list, "GET"),
        (NEW, pages.add, "POST"),
        (f"{NEW}/{{name}}", pages.change, "POST"),
        (f"{NEW}/{{name}}/remove", pages.remove, "POST"),
    ):
        router.add_api_route(path, endpoint, methods=[method], response_class=Response)
