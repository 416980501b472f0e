"""The routes of services: all, one, what it is told, its log, its sweep. Thin."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi import Path as PathParam

from server.base.errors import Conflict, InvalidValue, SparkError
from server.config.model import Service
from server.fleet.acts import Verb
from server.fleet.model import HostStatus
from server.gateway.activity import Filter
from server.gateway.sweep.model import Wish
from server.web.api.services import find
from server.web.api.sweeps import adopt
from server.web.pages.answer import Act, answered, from_htmx, refused_page
from server.web.pages.fields import fields
from server.web.pages.flash import QUIET, Flash
from server.web.pages.log import LogView
from server.web.pages.service import DOING, Load, cap_words, links_out, service_row
from server.web.pages.services.detail import (
    ServiceDetail,
    ServicePage,
    ServicesPage,
    requests_of,
    service_detail,
    service_log,
)
from server.web.pages.site import Site, draw_frame, draw_services
from server.web.pages.sweep import SweepCard, sweep_card
from server.web.parts import Parts
from server.web.reply import PartsOf, RequesterOf

Name = Annotated[str, PathParam(max_length=63)]
Id = Annotated[str, PathParam(max_length=128)]
LINES = 300
MEASURED = 200
"""Requests that the times are told of; their rows are made for every look at the page."""


class ServicePages:
    """The routes over one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    # ---- looking

    async def every(self, parts: PartsOf) -> Response:
        frame = draw_frame(parts, self._site, "Services", nav="services", refresh=10)
        return self._site.pen.page(ServicesPage(frame, await draw_services(parts, self._site)))

    async def one(self, parts: PartsOf, name: Name) -> Response:
        return await self._page(parts, name)

    async def detail(self, parts: PartsOf, name: Name, build: str = "") -> Response:
        drawn = _detail(parts, find(parts, name))
        return self._site.built(self._site.pen.fragment(drawn), build)

    async def sweep_card(self, parts: PartsOf, name: Name, build: str = "") -> Response:
        return self._site.built(self._site.pen.fragment(await _card(parts, name)), build)

    # ---- telling

    async def tell(
        self, request: Request, parts: PartsOf, who: RequesterOf, name: Name, verb: Verb
    ) -> Response:
        async def act() -> Flash:
            parts.acting.begin(find(parts, name), verb, requested_by=who)
            return Flash("info", f"{DOING[verb].capitalize()} {name}.")

        return await answered(request, parts, self._site, act, home=_place(name))

    async def log(self, request: Request, parts: PartsOf, name: Name) -> Response:
        """A person asks: the host is asked for the last lines, once for all who ask at once."""
        status, lines, trouble = 200, None, ""
        service = find(parts, name)
        try:
            if service.container is None:
                raise Conflict(f"The service {name} has no container in config.yaml.")
            lines = await parts.logs.tail(service.host, service.container, LINES, service.ssh_user)
        except SparkError as error:
            status, trouble = error.status, " ".join(filter(None, (error.message, error.advice)))
        drawn = service_log(service, lines, trouble)
        if from_htmx(request):
            return self._site.pen.fragment(drawn, status)
        return await self._page(parts, name, log=drawn, status=status)

    # ---- sweeps

    async def sweep(
        self, request: Request, parts: PartsOf, who: RequesterOf, name: Name
    ) -> Response:
        async def act() -> Flash:
            given = await fields(request)
            find(parts, name)
            wish = Wish(
                name,
                _whole(given.get("max", ""), "max"),
                float(_whole(given.get("seconds", ""), "seconds") or 5),
            )
            await parts.sweeping.start(wish, requested_by=who)
            return Flash("info", f"Asked for a sweep of {name}.")

        return await self._answered(request, parts, name, act)

    async def cancel(self, request: Request, parts: PartsOf, sweep_id: Id) -> Response:
        async def act() -> Flash:
            sweep = await parts.sweeping.cancel(sweep_id)
            return Flash("info", f"Cancelled the sweep of {sweep.target}.")

        return await self._answered(request, parts, await _service_of(request), act)

    async def use(self, request: Request, parts: PartsOf, sweep_id: Id) -> Response:
        async def act() -> Flash:
            service = await adopt(parts, sweep_id)
            return Flash("info", f"{service.name} gets at most {service.cap} at once from now on.")

        return await self._answered(request, parts, await _service_of(request), act)

    async def _answered(self, request: Request, parts: Parts, name: str, act: Act) -> Response:
        async def redraw(flash: Flash, status: int) -> Response:
            return await self._page(parts, name, flash=flash, status=status)

        return await answered(
            request, parts, self._site, act, home=_place(name), anchor="sweep", redraw=redraw
        )

    # ---- the page

    async def _page(
        self,
        parts: Parts,
        name: str,
        *,
        flash: Flash = QUIET,
        log: LogView | None = None,
        status: int = 200,
    ) -> Response:
        try:
            service = find(parts, name)
        except SparkError as error:
            wrong = Flash("error", error.message, error.advice or "", back="/services")
            return refused_page(parts, self._site, wrong, error.status)
        # A log that was read would be gone with the next load.
        refresh = 0 if log is not None else 10
        page = ServicePage(
            frame=draw_frame(
                parts, self._site, service.name, nav="services", flash=flash, refresh=refresh
            ),
            detail=_detail(parts, service),
            log=log or service_log(service),
            sweep=await _card(parts, name),
            links=links_out(service.links),
        )
        return self._site.pen.page(page, status)


def _detail(parts: Parts, service: Service) -> ServiceDetail:
    now = parts.clock.now()
    statuses = {one.name: one for one in parts.fleet.services()}
    act = parts.acts.now(service.name) if parts.acts else None
    load = Load(parts.admission(), {service.name: act} if act else {})
    hosts: dict[str, HostStatus] = {one.name: one for one in parts.fleet.statuses()}
    wanted = Filter(model=service.name)
    return service_detail(
        service,
        service_row(service, statuses.get(service.name), now, load),
        hosts.get(service.host),
        under_way=requests_of(service.name, parts.activity.in_flight(wanted)),
        ended=requests_of(service.name, parts.activity.rows(MEASURED, wanted)),
        act=act,
        now=now,
    )


async def _card(parts: Parts, name: str) -> SweepCard:
    service = find(parts, name)
    sweeps = () if parts.sweeps is None else await parts.sweeps.history(100)
    last = next((one for one in sweeps if one.target == name), None)
    words = cap_words(service)
    now = parts.clock.now()
    return sweep_card(name, service.kind, last, now, cap=service.cap, words=words)


async def _service_of(request: Request) -> str:
    """The form says which service's page it stood on."""
    name = (await fields(request)).get("service", "")
    if not name:
        raise Conflict("The form does not say which service it is about.")
    return name


def _whole(text: str, name: str) -> int | None:
    if not text.strip():
        return None
    if not text.strip().isdecimal() or len(text) > 6:
        raise InvalidValue(f"{name}: use a whole number", param=name)
    return int(text)


def _place(name: str) -> str:
    return f"/services/{quote(name, safe='')}"


def add(router: APIRouter, site: Site) -> None:
    """To be added before `/ui/{part}`, which takes what is left."""
    pages = ServicePages(site)
    for path, endpoint, method in (
        ("/services", pages.every, "GET"),
        ("/services/{name}", pages.one, "GET"),
        ("/ui/services/{name}", pages.detail, "GET"),
        ("/ui/services/{name}/sweep", pages.sweep_card, "GET"),
        ("/ui/services/{name}/sweep", pages.sweep, "POST"),
        ("/ui/services/{name}/log", pages.log, "POST"),
        ("/ui/services/{name}/{verb}", pages.tell, "POST"),
        ("/ui/sweeps/{sweep_id}/cancel", pages.cancel, "POST"),
        ("/ui/sweeps/{sweep_id}/use", pages.use, "POST"),
    ):
        router.add_api_route(path, endpoint, methods=[method], response_class=Response)
