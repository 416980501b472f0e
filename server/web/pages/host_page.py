"""The page of one host: its figures, the last hour in large, the doctor, and where logs are.

Thin: memory -> view -> template. Nothing here asks the host; the doctor runs beside the page, on
demand, and belongs to the settings. A changed key is accepted from where it is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi import Path as PathParam

from server.base.errors import InvalidValue
from server.config.model import Host, Service
from server.fleet.trend import NOTHING
from server.web.api.hosts import find
from server.web.api.views import target
from server.web.pages.answer import answered
from server.web.pages.curve import CHARTS, curve_card
from server.web.pages.fields import fields
from server.web.pages.flash import Flash
from server.web.pages.frame import Page
from server.web.pages.host import HostCard, HostCurves
from server.web.pages.settings.host import DoctorCard
from server.web.pages.settings.host_routes import card as doctor_card
from server.web.pages.site import Site, draw_frame, draw_host
from server.web.parts import Parts
from server.web.reply import PartsOf

Name = Annotated[str, PathParam(max_length=63)]


@dataclass(frozen=True, slots=True)
class LogLink:
    href: str
    words: str


@dataclass(frozen=True, slots=True)
class HostPage(Page):
    template: ClassVar[str] = "host/page.html"

    card: HostCard
    curves: HostCurves
    logs: tuple[LogLink, ...]
    doctor: DoctorCard | None


def log_links(host: str, services: Sequence[Service], served: Sequence[str]) -> tuple[LogLink, ...]:
    """Of what runs there. Pure."""
    engines = [LogLink("/swaps", f"Log of the engine of {model}") for model in served]
    return (
        *engines,
        *(
            LogLink(f"/services/{quote(one.name, safe='')}", f"Log of {one.name}")
            for one in services
            if one.host == host and one.container
        ),
    )


class HostPages:
    """The routes over one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def page(self, parts: PartsOf, name: Name) -> Response:
        host = find(parts, name)
        card = draw_host(parts, host, lean=False)
        frame = draw_frame(parts, self._site, host.name, nav="overview", refresh=10)
        served = [
            serving.model
            for serving in parts.swaps.layout()
            if name in {node.host for node in serving.deployment.spec.nodes}
        ]
        return self._site.pen.page(
            HostPage(
                frame,
                card,
                _curves(parts, host, card),
                log_links(name, parts.settings.current.services, served),
                None if parts.examinations is None else doctor_card(parts, host),
            )
        )

    async def card(self, parts: PartsOf, name: Name, build: str = "") -> Response:
        return self._card(parts, name, build, lean=True)

    async def whole(self, parts: PartsOf, name: Name, build: str = "") -> Response:
        return self._card(parts, name, build, lean=False)

    def _card(self, parts: Parts, name: str, build: str, *, lean: bool) -> Response:
        card = draw_host(parts, find(parts, name), lean=lean)
        return self._site.built(self._site.pen.fragment(card), build)

    async def accept(self, request: Request, parts: PartsOf, name: Name) -> Response:
        async def act() -> Flash:
            host = find(parts, name)
            shown = (await fields(request)).get("fingerprint", "")
            if not shown:
                raise InvalidValue("The form does not say which key.", param="fingerprint")
            parts.hostkeys.accept(target(host), shown)
            await parts.hosts_changed(name)
            return Flash("info", f"The key of {name} is accepted; it is connected to again.")

        return await answered(request, parts, self._site, act)


def _curves(parts: Parts, host: Host, card: HostCard) -> HostCurves:
    watched = {status.name for status in parts.fleet.statuses()}
    curves = parts.fleet.trend(host.name) if host.name in watched else NOTHING
    cards = tuple(curve_card(chart, curves, card.memory.total) for chart in CHARTS)
    return HostCurves(host.name, cards)


def add(router: APIRouter, site: Site) -> None:
    pages = HostPages(site)
    for path, endpoint, method in (
        ("/hosts/{name}", pages.page, "GET"),
        ("/ui/hosts/{name}", pages.card, "GET"),
        ("/ui/hosts/{name}/all", pages.whole, "GET"),
        ("/ui/hosts/{name}/accept-key", pages.accept, "POST"),
    ):
        router.add_api_route(path, endpoint, methods=[method], response_class=Response)
