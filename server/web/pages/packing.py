"""What goes over the wire smaller, and pages that were not found drawn as pages.

Assets are packed once, when a build is read. Whole pages are packed as they are sent; small
fragments are not, since what is saved on a LAN is less than what it costs. Answers to forms are
never packed: one of them may show a secret beside words that somebody else chose, and then the
length would tell of it. Refuses to touch what streams.
"""

import gzip
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from server.base.errors import SparkError
from server.web.pages.answer import came_from, from_htmx, refused_page
from server.web.pages.flash import refusal
from server.web.pages.site import Site
from server.web.reply import parts_of

LEAST = 8192
"""Bytes from which a page is packed."""
LEVEL = 4

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def takes_gzip(accepted: str) -> bool:
    """By an `Accept-Encoding`. A weight of 0 is a no. Pure."""
    for one in accepted.lower().split(","):
        coding, _, weight = one.partition(";")
        if coding.strip() in {"gzip", "*"}:
            return weight.replace(" ", "").rstrip("0.") != "q="
    return False


def packed(request: Request, answer: Response) -> Response:
    body = answer.body
    whole = type(answer) is Response and request.method == "GET" and answer.status_code == 200
    if not whole or len(body) < LEAST or "content-encoding" in answer.headers:
        return answer
    answer.headers["vary"] = "Accept-Encoding"
    if takes_gzip(request.headers.get("accept-encoding", "")):
        answer.body = gzip.compress(body, LEVEL, mtime=0)
        answer.headers["content-encoding"] = "gzip"
        answer.headers["content-length"] = str(len(answer.body))
    return answer


def page_route(site: Site) -> type[APIRoute]:
    """The class of every route of the pages."""

    class PageRoute(APIRoute):
        def get_route_handler(self) -> Handler:
            handle = super().get_route_handler()

            async def handled(request: Request) -> Response:
                try:
                    answer = await handle(request)
                except SparkError as error:
                    if error.status != 404 or not _by_a_person(request):
                        raise
                    flash = replace(refusal(error), back=came_from(request))
                    return refused_page(
                        await parts_of(request), site, flash, error.status, "There is no such page"
                    )
                return packed(request, answer)

            return handled

    return PageRoute


def _by_a_person(request: Request) -> bool:
    """A browser that goes to a page, not a fragment of one that is open and not a program."""
    if from_htmx(request) or request.url.path.startswith(("/static/", "/ui/")):
        return False
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")
