"""The routes of the activity: the requests of the last minutes and those under way. Thin."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParam

from server.gateway.activity import Filter
from server.web.pages.activity import SHOWN, ActivityList, ActivityPage, activity_list
from server.web.pages.answer import answered
from server.web.pages.flash import QUIET, Flash
from server.web.pages.site import Site, draw_frame
from server.web.parts import Parts
from server.web.reply import PartsOf, RequesterOf

Text = Annotated[str, Query(max_length=512)]
Id = Annotated[str, PathParam(max_length=128)]


class LoadPages:
    """The routes over one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def activity(
        self, parts: PartsOf, model: Text = "", client: Text = "", status: Text = ""
    ) -> Response:
        return await self._page(parts, QUIET, 200, Filter(model, client, status))

    async def rows(
        self,
        parts: PartsOf,
        *,
        model: Text = "",
        client: Text = "",
        status: Text = "",
        build: str = "",
    ) -> Response:
        found = _rows(parts, Filter(model, client, status))
        return self._site.built(self._site.pen.fragment(found), build)

    async def stop(
        self, request: Request, parts: PartsOf, who: RequesterOf, request_id: Id
    ) -> Response:
        async def act() -> Flash:
            row = parts.activity.cancel(request_id, requested_by=who)
            return Flash("info", f"Ended the request of {row.client} to {row.model or row.asked}.")

        redraw = partial(self._page, parts)
        return await answered(request, parts, self._site, act, home="/activity", redraw=redraw)

    async def _page(
        self, parts: Parts, flash: Flash, status: int, wanted: Filter | None = None
    ) -> Response:
        wanted = wanted or Filter()
        frame = draw_frame(parts, self._site, "Activity", nav="activity", flash=flash, refresh=10)
        page = ActivityPage(frame, wanted, _rows(parts, wanted))
        return self._site.pen.page(page, status)


def _rows(parts: Parts, wanted: Filter) -> ActivityList:
    activity = parts.activity
    return activity_list(
        activity.in_flight(wanted, SHOWN),
        activity.rows(SHOWN, wanted),
        wanted,
        parts.clock.now(),
    )


def add(router: APIRouter, site: Site) -> None:
    """To be added before `/ui/{part}`, which takes what is left."""
    pages = LoadPages(site)
    for path, endpoint, method in (
        ("/activity", pages.activity, "GET"),
        ("/ui/activity", pages.rows, "GET"),
        ("/ui/activity/{request_id:path}/cancel", pages.stop, "POST"),
    ):
        router.add_api_route(path, endpoint, methods=[method], response_class=Response)
