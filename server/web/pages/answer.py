"""How a form of any page is answered. Thin, and the same for all.

htmx gets the flash fragment: events bring the rest of the page up to date. A plain browser is led
back to the page that the form stood on (the referrer; pages are sent with `same-origin`), or sees
what went wrong on a page of its own, with the status of the error and a way back. Refuses to lead
anywhere but to a page of this site.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import ClassVar
from urllib.parse import quote, urlsplit

from fastapi import Request, Response

from server.base.errors import SparkError
from server.web.pages.draw import HEADERS
from server.web.pages.flash import Flash, refusal
from server.web.pages.frame import Page
from server.web.pages.site import Site, draw_frame
from server.web.parts import Parts

Act = Callable[[], Awaitable[Flash]]
Redraw = Callable[[Flash, int], Awaitable[Response]]
_IN_PATHS = "/%-._~!$&'()*+,;=:@"


@dataclass(frozen=True, slots=True)
class AnswerPage(Page):
    """What went wrong, as a page: a form of a browser without JavaScript, or an address that
    leads nowhere."""

    template: ClassVar[str] = "answer.html"

    flash: Flash


def from_htmx(request: Request) -> bool:
    return request.headers.get("hx-request") == "true"


def came_from(request: Request, home: str = "/") -> str:
    """The page the form stood on, as a path of ours; `home` where that is not told."""
    return page_of(request.headers.get("referer", ""), request.headers.get("host", ""), home)


def page_of(referrer: str, host: str, home: str) -> str:
    """Pure. Fragments and answers to forms are no pages."""
    try:
        place = urlsplit(referrer)
    except ValueError:
        return home
    ours = place.scheme in {"http", "https"} and place.netloc == host
    if not ours or not place.path.startswith("/") or place.path.startswith(("//", "/ui/", "/\\")):
        return home
    asked = f"?{quote(place.query, safe=_IN_PATHS + '?')}" if place.query else ""
    return quote(place.path, safe=_IN_PATHS) + asked


def led(request: Request, place: str) -> Response:
    """To another page: `place` is a path of ours."""
    if from_htmx(request):
        return Response(status_code=200, headers={"hx-redirect": place} | HEADERS)
    return Response(status_code=303, headers={"location": place} | HEADERS)


async def answered(
    request: Request,
    parts: Parts,
    site: Site,
    act: Act,
    *,
    home: str = "/",
    anchor: str = "",
    redraw: Redraw | None = None,
) -> Response:
    """Do what a form asks for, and show what became of it. `home` is its usual page, `anchor` what
    is to be seen there. `redraw` draws that page with the flash where nothing better is known."""
    status = 200
    try:
        flash = await act()
    except SparkError as error:
        flash, status = refusal(error), error.status
    if from_htmx(request):
        return site.pen.fragment(flash, status)
    place = came_from(request, home)
    if status == 200:
        return led(request, place + (f"#{anchor}" if anchor and place == home else ""))
    flash = replace(flash, back=place)
    if redraw is not None and place == home:
        return await redraw(flash, status)
    return refused_page(parts, site, flash, status)


def refused_page(
    parts: Parts, site: Site, flash: Flash, status: int, title: str = "That did not work"
) -> Response:
    return site.pen.page(AnswerPage(draw_frame(parts, site, title), flash), status)
