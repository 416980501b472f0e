"""The routes of the hosts in the settings: add, change, remove, look at one, trust its key.

How one is saved is in `host_saving.py`.
"""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParam

from server.config.model import Host
from server.web.api.hosts import find, save_removed
from server.web.api.views import target
from server.web.pages.answer import from_htmx, led
from server.web.pages.fields import fields
from server.web.pages.flash import QUIET, Flash, said
from server.web.pages.settings import host as pure
from server.web.pages.settings import item
from server.web.pages.settings.acted import acted
from server.web.pages.settings.host_saving import saved
from server.web.pages.site import Site, draw_frame
from server.web.parts import Parts
from server.web.reply import PartsOf

Said = Annotated[str, Query(alias="said", max_length=20)]
Name = Annotated[str, PathParam(max_length=63)]
HOME = "/settings/hosts"
NEW = "/ui/settings/hosts"
NO_OFFERS: item.Offers = {}


class HostPages:
    """The routes over one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    # ---- pages

    async def every(self, parts: PartsOf, said_: Said = "") -> Response:
        frame = draw_frame(
            parts, self._site, "Hosts", nav="settings", flash=said(said_), refresh=30
        )
        ours = pure.our_key(self._site.public_key)
        variable = parts.settings.variable("hosts") or ""
        problems = tuple(parts.settings.problems)
        page = pure.HostsPage(frame, "hosts", hosts_list(parts), ours, variable, problems=problems)
        return self._site.pen.page(page)

    async def list(self, parts: PartsOf, build: str = "") -> Response:
        return self._built(self._site.pen.fragment(hosts_list(parts)), build)

    async def new(self, parts: PartsOf) -> Response:
        return self._page(parts, None, new_form())

    async def one(self, parts: PartsOf, name: Name, said_: Said = "") -> Response:
        host = find(parts, name)
        return self._page(parts, host, form_of(parts, host), said(said_))

    def _page(
        self,
        parts: Parts,
        host: Host | None,
        form: pure.HostForm,
        flash: Flash = QUIET,
        status: int = 200,
    ) -> Response:
        title = "Add a host" if host is None else host.name
        running = host is not None and card(parts, host).state == "running"
        frame = draw_frame(
            parts, self._site, title, nav="settings", flash=flash, refresh=10 if running else 0
        )
        page = pure.HostPage(
            frame,
            "hosts",
            None if host is None else entry(parts, host),
            form,
            None if host is None else card(parts, host),
            pure.our_key(self._site.public_key),
            parts.settings.variable("hosts") or "",
            problems=tuple(parts.settings.problems),
        )
        return self._site.pen.page(page, status)

    # ---- forms

    async def add(self, request: Request, parts: PartsOf) -> Response:
        given = await fields(request)
        form, status = await saved(parts, new_form(), given)
        if form is not None:
            return self._refused(request, parts, None, form, status)
        name = given["name"].strip()
        parts.examining.begin(find(parts, name))
        return led(request, f"{HOME}/{name}?said=added")

    async def change(self, request: Request, parts: PartsOf, name: Name) -> Response:
        host = find(parts, name)
        given = await fields(request)
        form, status = await saved(parts, form_of(parts, host), given, host)
        if form is not None:
            return self._refused(request, parts, host, form, status)
        return led(request, f"{HOME}/{given.get('name', name).strip()}?said=saved")

    def _refused(
        self, request: Request, parts: Parts, host: Host | None, form: pure.HostForm, status: int
    ) -> Response:
        if from_htmx(request):
            return self._site.pen.fragment(form, status)
        return self._page(parts, host, form, status=status)

    async def remove(self, request: Request, parts: PartsOf, name: Name) -> Response:
        act = partial(save_removed, parts, name)
        return await acted(request, parts, self._site, act, f"{HOME}?said=removed")

    async def accept(self, request: Request, parts: PartsOf, name: Name) -> Response:
        async def act() -> None:
            given = await fields(request)
            host = find(parts, name)
            parts.hostkeys.accept(target(host), given.get("fingerprint", ""))
            await parts.hosts_changed(name)
            parts.examining.begin(host)

        return await acted(request, parts, self._site, act, f"{HOME}/{name}?said=accepted")

    # ---- the doctor

    async def check(self, request: Request, parts: PartsOf, name: Name) -> Response:
        """Begins a look, and answers with the card, which is drawn anew as it goes on."""
        host = find(parts, name)
        parts.examining.begin(host)
        if from_htmx(request):
            return self._site.pen.fragment(card(parts, host))
        return led(request, f"{HOME}/{name}#doctor")

    async def doctor(self, parts: PartsOf, name: Name, build: str = "") -> Response:
        return self._built(self._site.pen.fragment(card(parts, find(parts, name))), build)

    def _built(self, answer: Response, build: str) -> Response:
        """A page of another build is told to load anew: its scripts and styles are not these."""
        if build and build != self._site.assets.build:
            answer.headers["hx-refresh"] = "true"
        return answer


# ---- what the pages are made of


def hosts_list(parts: Parts) -> pure.HostsList:
    return pure.HostsList(tuple(entry(parts, host) for host in parts.settings.current.hosts))


def new_form() -> pure.HostForm:
    return pure.HostForm(item.blank("hosts", NEW, NO_OFFERS, "Look at its key"))


def form_of(parts: Parts, host: Host) -> pure.HostForm:
    mark = parts.settings.mark("hosts", host.name)
    action = f"{NEW}/{host.name}"
    return pure.HostForm(item.existing("hosts", host, mark, action=action, offers=NO_OFFERS))


def card(parts: Parts, host: Host) -> pure.DoctorCard:
    return pure.doctor_card(host.name, parts.examining.of(host), parts.clock.now())


def entry(parts: Parts, host: Host) -> pure.HostEntry:
    settings = parts.settings.current
    status = next((one for one in parts.fleet.statuses() if one.name == host.name), None)
    return pure.host_entry(
        host,
        status,
        parts.hostkeys.pinned(target(host)),
        parts.hostkeys.refused(host.name),
        services=settings.services,
        layout=parts.swaps.layout(),
        default_host=settings.engine.default_host,
    )


def add(router: APIRouter, site: Site) -> None:
    pages = HostPages(site)
    for path, endpoint, method in (
        (HOME, pages.every, "GET"),
        (f"{HOME}/new", pages.new, "GET"),
        (f"{HOME}/{{name}}", pages.one, "GET"),
        (NEW, pages.list, "GET"),
        (NEW, pages.add, "POST"),
        (f"{NEW}/{{name}}", pages.change, "POST"),
        (f"{NEW}/{{name}}/remove", pages.remove, "POST"),
        (f"{NEW}/{{name}}/accept-key", pages.accept, "POST"),
        (f"{NEW}/{{name}}/check", pages.check, "POST"),
        (f"{NEW}/{{name}}/doctor", pages.doctor, "GET"),
    ):
        router.add_api_route(path, endpoint, methods=[method], response_class=Response)
