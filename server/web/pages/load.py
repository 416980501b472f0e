"""The routes of the pages that answer questions of load: the activity, and one service's sweep.

Thin like those of the dashboard: memory -> view -> template. A form answers htmx with the flash
fragment, and a plain browser with a redirect to where it came from.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParam

from server.base.errors import Conflict, InvalidValue, SparkError
from server.gateway.activity import Filter
from server.gateway.sweep.model import Wish
from server.web.api.services import find
from server.web.api.sweeps import adopt
from server.web.pages.activity import SHOWN, ActivityList, ActivityPage, activity_list
from server.web.pages.draw import HEADERS
from server.web.pages.fields import fields
from server.web.pages.flash import QUIET, Flash, refusal
from server.web.pages.service import ServicePage, cap_words, service_row
from server.web.pages.site import Site, draw_frame
from server.web.pages.sweep import SweepCard, sweep_card
from server.web.parts import Parts
from server.web.reply import PartsOf, RequesterOf

Text = Annotated[str, Query(max_length=512)]
Name = Annotated[str, PathParam(max_length=63)]
Id = Annotated[str, PathParam(max_length=128)]


class LoadPages:
    """The routes over one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    # ---- activity

    async def activity(
        self, parts: PartsOf, model: Text = "", client: Text = "", status: Text = ""
    ) -> Response:
        return self._activity_page(parts, Filter(model, client, status), QUIET)

    async def activity_rows(
        self,
        parts: PartsOf,
        model: Text = "",
        client: Text = "",
        status: Text = "",
        build: str = "",
    ) -> Response:
        rows = _rows(parts, Filter(model, client, status))
        return self._built(self._site.pen.fragment(rows), build)

    async def stop(
        self, request: Request, parts: PartsOf, who: RequesterOf, request_id: Id
    ) -> Response:
        async def act() -> Flash:
            row = parts.activity.cancel(request_id, requested_by=who)
            return Flash("info", f"Ended the request of {row.client} to {row.model or row.asked}.")

        flash, status = await _done(act)
        if _htmx(request):
            return self._site.pen.fragment(flash, status)
        return _back("/activity") if status == 200 else self._activity_page(parts, Filter(), flash)

    def _activity_page(self, parts: Parts, wanted: Filter, flash: Flash) -> Response:
        frame = draw_frame(parts, self._site, "Activity", nav="activity", flash=flash)
        page = ActivityPage(frame, wanted, _rows(parts, wanted))
        return self._site.pen.page(page)

    # ---- one service and its sweep

    async def service(self, parts: PartsOf, name: Name) -> Response:
        return await self._service_page(parts, name, QUIET)

    async def sweep_card(self, parts: PartsOf, name: Name, build: str = "") -> Response:
        return self._built(self._site.pen.fragment(await _card(parts, name)), build)

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

    async def _answered(
        self, request: Request, parts: Parts, name: str, act: Callable[[], Awaitable[Flash]]
    ) -> Response:
        flash, status = await _done(act)
        if _htmx(request):
            return self._site.pen.fragment(flash, status)
        if status == 200:
            return _back(f"/services/{quote(name, safe='')}#sweep")
        return await self._service_page(parts, name, flash, status)

    async def _service_page(
        self, parts: Parts, name: str, flash: Flash, status: int = 200
    ) -> Response:
        service = find(parts, name)
        statuses = {one.name: one for one in parts.fleet.services()}
        now = parts.clock.now()
        page = ServicePage(
            frame=draw_frame(parts, self._site, name, nav="services", flash=flash),
            service=service_row(service, statuses.get(name), now),
            models=", ".join(service.models),
            sweep=await _card(parts, name),
        )
        return self._site.pen.page(page, status)

    def _built(self, answer: Response, build: str) -> Response:
        """A page of another build is told to load anew: its scripts and styles are not these."""
        if build and build != self._site.assets.build:
            answer.headers["hx-refresh"] = "true"
        return answer


def _rows(parts: Parts, wanted: Filter) -> ActivityList:
    activity = parts.activity
    return activity_list(
        activity.in_flight(wanted, SHOWN),
        activity.rows(SHOWN, wanted),
        wanted,
        parts.clock.now(),
    )


async def _card(parts: Parts, name: str) -> SweepCard:
    service = find(parts, name)
    sweeps = () if parts.sweeps is None else await parts.sweeps.history(100)
    last = next((one for one in sweeps if one.target == name), None)
    words = cap_words(service)
    now = parts.clock.now()
    return sweep_card(name, service.kind, last, now, cap=service.cap, words=words)


async def _done(act: Callable[[], Awaitable[Flash]]) -> tuple[Flash, int]:
    try:
        return await act(), 200
    except SparkError as error:
        return refusal(error), error.status


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


def _htmx(request: Request) -> bool:
    return request.headers.get("hx-request") == "true"


def _back(place: str) -> Response:
    return Response(status_code=303, headers={"location": place} | HEADERS)


def add(router: APIRouter, site: Site) -> None:
    """To be added before `/ui/{part}`, which takes what is left."""
    pages = LoadPages(site)
    for path, endpoint, method in (
        ("/activity", pages.activity, "GET"),
        ("/ui/activity", pages.activity_rows, "GET"),
        ("/ui/activity/{request_id:path}/cancel", pages.stop, "POST"),
        ("/services/{name}", pages.service, "GET"),
        ("/ui/services/{name}/sweep", pages.sweep_card, "GET"),
        ("/ui/services/{name}/sweep", pages.sweep, "POST"),
        ("/ui/sweeps/{sweep_id}/cancel", pages.cancel, "POST"),
        ("/ui/sweeps/{sweep_id}/use", pages.use, "POST"),
    ):
        router.add_api_route(path, endpoint, methods=[method], response_class=Response)
