"""The routes of the dashboard: the page, its fragments, its forms and the built assets.

How forms are answered is in `answer.py`; an error of one is shown in the page, with its own status.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, get_args

from fastapi import APIRouter, Request, Response
from fastapi import Path as PathParam

from server.base.errors import InvalidValue, NotFound
from server.swap.model import OnConflict, SwapRecord
from server.web.pages import load
from server.web.pages.answer import Act, answered
from server.web.pages.assets import Assets
from server.web.pages.draw import Pen
from server.web.pages.fields import fields
from server.web.pages.flash import QUIET, Flash
from server.web.pages.model import Refusal
from server.web.pages.notice import NoticeBoard
from server.web.pages.serving import target
from server.web.pages.settings import routes as settings
from server.web.pages.site import FRAGMENTS, Site, draw_dashboard
from server.web.parts import Parts
from server.web.reply import PartsOf, RequesterOf

FOREVER = "public, max-age=31536000, immutable"

SwapId = Annotated[str, PathParam(max_length=100)]


def make_site(
    templates: Path, assets: Path, *, notices: NoticeBoard, public_key: str, refusal: Refusal
) -> Site:
    """`templates` and `assets` (the built ones) are folders that ship with the program."""
    built = Assets(assets)
    return Site(Pen(templates, built), built, notices, public_key, refusal)


class Pages:
    """The routes over one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def page(self, parts: PartsOf) -> Response:
        return await self._drawn(parts, QUIET)

    async def fragment(
        self, part: Annotated[str, PathParam(max_length=40)], parts: PartsOf, build: str = ""
    ) -> Response:
        """A page of another build is told to load anew: its scripts and styles are not these."""
        draw = FRAGMENTS.get(part)
        if draw is None:
            raise NotFound(f"There is no fragment {part!r}.")
        answer = self._site.pen.fragment(await draw(parts, self._site))
        if build and build != self._site.assets.build:
            answer.headers["hx-refresh"] = "true"
        return answer

    async def asset(self, name: Annotated[str, PathParam(max_length=200)]) -> Response:
        """Only names of a build are known; each carries the hash of its content."""
        found = self._site.assets.file(name)
        if found is None:
            raise NotFound(f"There is no asset {name[:100]!r}.")
        return Response(
            found.content,
            headers={"cache-control": FOREVER, "cross-origin-resource-policy": "same-origin"},
            media_type=found.media_type,
        )

    async def swap(self, request: Request, parts: PartsOf, who: RequesterOf) -> Response:
        async def act() -> Flash:
            given = await fields(request)
            model = given.get("model", "")
            if not model or len(model) > 512:
                raise InvalidValue("model: choose one of the models below", param="model")
            record = await parts.swaps.request(
                model,
                on_conflict=_on_conflict(given.get("on_conflict", "queue")),
                force=given.get("force") == "yes",
                requested_by=who,
            )
            return _accepted(record)

        return await self._answer(request, parts, act)

    async def unload(self, request: Request, parts: PartsOf, who: RequesterOf) -> Response:
        async def act() -> Flash:
            given = await fields(request)
            model = given.get("model") or None
            return _accepted(await parts.swaps.unload(model, requested_by=who))

        return await self._answer(request, parts, act)

    async def cancel(
        self, request: Request, parts: PartsOf, who: RequesterOf, swap_id: SwapId
    ) -> Response:
        async def act() -> Flash:
            record = await parts.swaps.cancel(swap_id, requested_by=who)
            return Flash("info", f"Cancelling the swap to {target(record)}.")

        return await self._answer(request, parts, act)

    async def _answer(self, request: Request, parts: Parts, act: Act) -> Response:
        """Do what a form asks for, and show what became of it."""
        redraw = partial(self._drawn, parts)
        return await answered(request, parts, self._site, act, anchor="swap", redraw=redraw)

    async def _drawn(self, parts: Parts, flash: Flash, status: int = 200) -> Response:
        dashboard = await draw_dashboard(parts, self._site, flash)
        return self._site.pen.page(dashboard, status)


# ---- forms


def _accepted(record: SwapRecord) -> Flash:
    if record.model is None:
        return Flash("info", "Asked to unload the model.")
    return Flash("info", f"Asked for {target(record)}.")


def _on_conflict(value: str) -> OnConflict:
    choices: tuple[OnConflict, ...] = get_args(OnConflict)
    found = next((one for one in choices if one == value), None)
    if found is None:
        raise InvalidValue(f"on_conflict: use {', '.join(choices)}", param="on_conflict")
    return found


def routes(site: Site) -> APIRouter:
    """For `create_api(pages=[…])`."""
    router = APIRouter(include_in_schema=False)
    pages, add = Pages(site), partial(router.add_api_route, response_class=Response)
    add("/", pages.page, methods=["GET"])
    load.add(router, site)
    settings.add(router, site)
    add("/ui/{part}", pages.fragment, methods=["GET"])
    add("/ui/swaps", pages.swap, methods=["POST"])
    add("/ui/swaps/{swap_id}/cancel", pages.cancel, methods=["POST"])
    add("/ui/unload", pages.unload, methods=["POST"])
    add("/static/{name:path}", pages.asset, methods=["GET"])
    return router
