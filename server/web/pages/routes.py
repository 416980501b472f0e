"""The routes of the dashboard: the page, its fragments, its forms and the built assets.

How forms are answered is in `answer.py`; an error of one is shown in the page, with its own status.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Path as PathParam

from server.base.errors import NotFound
from server.web.pages import host_page, load, login, styleguide
from server.web.pages.assets import Assets
from server.web.pages.draw import HEADERS, Pen
from server.web.pages.flash import QUIET, Flash
from server.web.pages.model import Refusal
from server.web.pages.models import routes as models
from server.web.pages.notice import NoticeBoard
from server.web.pages.packing import page_route, takes_gzip
from server.web.pages.services import routes as services
from server.web.pages.settings import routes as settings
from server.web.pages.site import FRAGMENTS, Site, draw_dashboard
from server.web.pages.swaps import routes as swaps
from server.web.pages.welcome import routes as welcome
from server.web.parts import Parts
from server.web.reply import PartsOf

FOREVER = "public, max-age=31536000, immutable"


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
        """Without hosts there is nothing to see: the first run begins."""
        if not parts.settings.current.hosts:
            return Response(status_code=303, headers={"location": "/welcome"} | HEADERS)
        return await self._drawn(parts, QUIET)

    async def fragment(
        self, part: Annotated[str, PathParam(max_length=40)], parts: PartsOf, build: str = ""
    ) -> Response:
        draw = FRAGMENTS.get(part)
        if draw is None:
            raise NotFound(f"There is no fragment {part!r}.")
        return self._site.built(self._site.pen.fragment(await draw(parts, self._site)), build)

    async def asset(
        self, request: Request, name: Annotated[str, PathParam(max_length=200)]
    ) -> Response:
        """Only names of a build are known; each carries the hash of its content."""
        found = self._site.assets.file(name)
        if found is None:
            raise NotFound(f"There is no asset {name[:100]!r}.")
        headers = {"cache-control": FOREVER, "cross-origin-resource-policy": "same-origin"}
        body = found.content
        if found.packed:
            headers["vary"] = "Accept-Encoding"
            if takes_gzip(request.headers.get("accept-encoding", "")):
                body = found.packed
                headers["content-encoding"] = "gzip"
        return Response(body, headers=headers, media_type=found.media_type)

    async def _drawn(self, parts: Parts, flash: Flash, status: int = 200) -> Response:
        dashboard = await draw_dashboard(parts, self._site, flash)
        return self._site.pen.page(dashboard, status)


def routes(site: Site) -> APIRouter:
    """For `create_api(pages=[…])`."""
    router = APIRouter(include_in_schema=False, route_class=page_route(site))
    pages, add = Pages(site), partial(router.add_api_route, response_class=Response)
    # Routes are tried one after another: first what open pages ask for every few seconds.
    for part in FRAGMENTS:
        add(f"/ui/{part}", partial(pages.fragment, part), methods=["GET"])
    host_page.add(router, site)
    add("/", pages.page, methods=["GET"])
    load.add(router, site)
    models.add(router, site)
    swaps.add(router, site)
    services.add(router, site)
    settings.add(router, site)
    welcome.add(router, site)
    styleguide.add(router, site)
    login.add(router, site)
    add("/ui/{part}", pages.fragment, methods=["GET"])
    add("/static/{name:path}", pages.asset, methods=["GET"])
    return router
