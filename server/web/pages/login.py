"""The login: one field, and back to where the browser wanted to go. And the way out.

The page stands alone, without the frame: it shows nothing of what is behind it. The cookie can be
read by no script, is sent to no other site, and is only sent encrypted when it was got so.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from fastapi import APIRouter, Query, Request, Response

from server.auth.doors import safe_return
from server.auth.session import COOKIE, LONGEST, Session
from server.base.errors import SparkError
from server.web.lock import SESSION
from server.web.pages.draw import HEADERS
from server.web.pages.fields import fields
from server.web.pages.form import FormView, fresh, refused
from server.web.pages.site import Site
from server.web.parts import Parts
from server.web.reply import PartsOf

Wanted = Annotated[str, Query(alias="next", max_length=2000)]


@dataclass(frozen=True, slots=True)
class LoginPage:
    """`possible`: a password is set. `wanted` is where to go afterwards."""

    template: ClassVar[str] = "login.html"

    form: FormView
    wanted: str
    possible: bool


class LoginPages:
    """The routes over one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def page(self, parts: PartsOf, wanted: Wanted = "/") -> Response:
        place = safe_return(wanted)
        if parts.settings.current.auth.mode == "open":
            return _to(place)
        return self._drawn(parts, fresh({}), place)

    async def log_in(self, request: Request, parts: PartsOf) -> Response:
        given = await fields(request)
        place = safe_return(given.get("next", "/"))
        client = request.client
        try:
            _, cookie = await parts.locking.log_in(
                given.get("password", ""),
                address=client.host if client else "",
                agent=request.headers.get("user-agent", ""),
            )
        except SparkError as error:
            answer = self._drawn(parts, refused({}, error, ("password",)), place, error.status)
            if error.retry_after:
                answer.headers["retry-after"] = str(round(error.retry_after))
            return answer
        answer = _to(place)
        _set(answer, request, cookie, round(LONGEST.total_seconds()))
        return answer

    async def log_out(self, request: Request, parts: PartsOf) -> Response:
        session: Session | None = request.scope.get(SESSION)
        if session is not None:
            await parts.locking.end(session.id)
        answer = _to("/login")
        _set(answer, request, "", 0)
        return answer

    def _drawn(self, parts: Parts, form: FormView, wanted: str, status: int = 200) -> Response:
        self._site.assets.refresh()
        page = LoginPage(form, wanted, parts.locking.password.is_set())
        return self._site.pen.page(page, status)


def _to(place: str) -> Response:
    return Response(status_code=303, headers={"location": place} | HEADERS)


def _set(answer: Response, request: Request, cookie: str, seconds: int) -> None:
    # TLS may end in front of us; a browser says in `Origin` what it sees.
    secure = (request.headers.get("origin") or str(request.url)).startswith("https:")
    answer.set_cookie(
        COOKIE, cookie, max_age=seconds, path="/", httponly=True, samesite="lax", secure=secure
    )


def add(router: APIRouter, site: Site) -> None:
    pages = LoginPages(site)
    for path, endpoint, method in (
        ("/login", pages.page, "GET"),
        ("/login", pages.log_in, "POST"),
        ("/logout", pages.log_out, "POST"),
    ):
        router.add_api_route(path, endpoint, methods=[method], response_class=Response)
