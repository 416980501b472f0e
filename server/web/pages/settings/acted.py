"""A button of the settings that leads somewhere when it worked, and tells why when it did not."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from fastapi import Request, Response

from server.base.errors import SparkError
from server.web.pages.answer import came_from, from_htmx, led, refused_page
from server.web.pages.flash import refusal
from server.web.pages.site import Site
from server.web.parts import Parts


async def acted(
    request: Request,
    parts: Parts,
    site: Site,
    act: Callable[[], Awaitable[object]],
    place: str,
) -> Response:
    """`place` is a path of ours."""
    try:
        await act()
    except SparkError as error:
        flash = refusal(error)
        if from_htmx(request):
            return site.pen.fragment(flash, error.status)
        back = replace(flash, back=came_from(request, "/settings"))
        return refused_page(parts, site, back, error.status)
    return led(request, place)
