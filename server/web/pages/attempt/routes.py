"""The pages under `/try`, their forms without JavaScript, and the code beside them. Thin.

A form is read (`ask`), asked of the gateway from within (`inside`), read again (`answer`) and drawn
with what was typed. The scripts of these pages do not come here: they go through `door`.
"""

from functools import partial
from typing import Annotated, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi import Path as PathParam
from starlette.types import ASGIApp

from server.base.errors import NotFound, SparkError
from server.gateway.wire import REQUEST_ID
from server.web.pages.activity import seconds
from server.web.pages.answer import from_htmx
from server.web.pages.attempt import answer
from server.web.pages.attempt import ask as form
from server.web.pages.attempt.answer import Failure
from server.web.pages.attempt.ask import Turn
from server.web.pages.attempt.door import HEARD
from server.web.pages.attempt.draw import READERS, Desk, draw_now
from server.web.pages.attempt.inside import Heard, Passed, ask
from server.web.pages.attempt.view import TryPage, Voices
from server.web.pages.draw import POLICY
from server.web.pages.fields import fields
from server.web.pages.site import Site
from server.web.reply import PartsOf

# Sound that a script of ours recorded or fetched is played from memory.
_SOUND = {"content-security-policy": f"{POLICY}; media-src 'self' blob:"}
_MICROPHONE = {"permissions-policy": "camera=(), microphone=(self), geolocation=()"}
Shown = TypeVar("Shown")


class Attempt:
    """The routes over one site and the gateway."""

    def __init__(self, site: Site, gateway: ASGIApp) -> None:
        self._site = site
        self._gateway = gateway

    # ---- pages

    async def chat_page(self, request: Request, parts: PartsOf, model: str = "") -> Response:
        return self._page(Desk(parts, self._site, request).chat({"model": model[:512]}))

    async def hear_page(self, request: Request, parts: PartsOf, model: str = "") -> Response:
        """Also what becomes of its form, which `door` asked of the gateway."""
        desk, given = Desk(parts, self._site, request), {"model": model[:512]}
        heard: Heard | SparkError | None = request.scope.get(HEARD)
        if heard is None:
            return self._page(desk.hear(given))
        found, status = self._read(request, heard, answer.transcript)
        if isinstance(found, Failure):
            return self._page(desk.hear(given, failure=found), status)
        return self._page(desk.hear(given, transcript=found))

    async def speak_page(self, request: Request, parts: PartsOf, model: str = "") -> Response:
        return self._page(Desk(parts, self._site, request).speak({"model": model[:512]}))

    async def compare_page(self, request: Request, parts: PartsOf, model: str = "") -> Response:
        return self._page(Desk(parts, self._site, request).compare({"model": model[:512]}))

    async def now(self, parts: PartsOf) -> Response:
        return self._site.pen.fragment(draw_now(parts))

    async def code(
        self, request: Request, parts: PartsOf, kind: Annotated[str, PathParam(max_length=40)]
    ) -> Response:
        if kind not in READERS:
            raise NotFound(f"There is no form {kind!r} to write code for.")
        given = await fields(request)
        return self._site.pen.fragment(Desk(parts, self._site, request).code(kind, given))

    # ---- forms without JavaScript

    async def chat(self, request: Request, parts: PartsOf) -> Response:
        desk, given = Desk(parts, self._site, request), await fields(request)
        if "clear" in given:
            return self._page(desk.chat(given | {"message": ""}))
        try:
            wanted = form.chat(given)
        except SparkError as error:
            return self._page(desk.chat(given, error=error, turns=_turns(given)), error.status)
        body = wanted.body(stream=False)
        found, status = await self._ask(request, "/v1/chat/completions", body, answer.said)
        if isinstance(found, Failure):
            return self._page(desk.chat(given, failure=found, turns=wanted.history), status)
        turns = (
            *wanted.history,
            Turn("user", wanted.message),
            Turn("assistant", found.text),
        )
        return self._page(desk.chat(given | {"message": ""}, turns=turns, said=found))

    async def speak(self, request: Request, parts: PartsOf) -> Response:
        """The sound itself, as a file."""
        desk, given = Desk(parts, self._site, request), await fields(request)
        try:
            wanted = form.speak(given)
            name = f"speech.{wanted.format}"

            def page(heard: Heard | SparkError) -> Response:
                found, status = self._read(request, heard, lambda _: answer.Said(""))
                shown = found if isinstance(found, Failure) else None
                return self._page(desk.speak(given, failure=shown), status)

            return Passed(
                self._gateway, request, "/v1/audio/speech", wanted.body, name=name, page=page
            )
        except SparkError as error:
            return self._page(desk.speak(given, error=error), error.status)

    async def voices(self, request: Request, parts: PartsOf) -> Response:
        desk, given = Desk(parts, self._site, request), await fields(request)
        found, status = await self._ask(
            request, "/v1/audio/voices", None, answer.voices, model=given.get("model", "")[:512]
        )
        chosen = given.get("voice", "")
        if isinstance(found, Failure):
            view = Voices(None, chosen, found)
        else:
            view = Voices(found, chosen if chosen in found else next(iter(found), ""), None)
        if from_htmx(request):
            # With the status of an error the page would not put it in.
            return self._site.pen.fragment(view)
        return self._page(desk.speak(given, voices=view), status)

    async def compare(self, request: Request, parts: PartsOf) -> Response:
        desk, given = Desk(parts, self._site, request), await fields(request)
        try:
            wanted = form.compare(given)
        except SparkError as error:
            return self._page(desk.compare(given, error=error), error.status)
        began = parts.clock.monotonic()
        found, status = await self._ask(request, "/v1/embeddings", wanted.body, answer.likeness)
        if isinstance(found, Failure):
            return self._page(desk.compare(given, failure=found), status)
        took = seconds(parts.clock.monotonic() - began)
        return self._page(desk.compare(given, likeness=found, took=took))

    # ---- inside

    async def _ask(
        self,
        request: Request,
        path: str,
        body: object,
        read: "answer.Reader[Shown]",
        model: str = "",
    ) -> tuple[Shown | Failure, int]:
        heard: Heard | SparkError
        try:
            heard = await ask(self._gateway, request, path, body, model)
        except SparkError as error:
            heard = error
        return self._read(request, heard, read)

    def _read(
        self, request: Request, heard: Heard | SparkError, read: "answer.Reader[Shown]"
    ) -> tuple[Shown | Failure, int]:
        """What came back, or what went wrong and its status."""
        request_id: str = request.scope.get(REQUEST_ID, "")
        if isinstance(heard, SparkError):
            return answer.failure(heard, request_id), heard.status
        problem = answer.refused(heard)
        if problem is not None:
            return problem, heard.status
        found = read(heard)
        return found, 502 if isinstance(found, Failure) else 200

    def _page(self, view: TryPage, status: int = 200) -> Response:
        page = self._site.pen.page(view, status)
        if view.here in {"/try/speak", "/try/transcribe"}:
            page.headers.update(_SOUND)
        if view.here == "/try/transcribe":
            page.headers.update(_MICROPHONE)
        return page


def _turns(given: dict[str, str]) -> tuple[Turn, ...]:
    """The conversation of a form that is wrong elsewhere."""
    try:
        return form.chat(
            {"model": "any", "history": given.get("history", "")}, complete=False
        ).history
    except SparkError:
        return ()


def routes(site: Site, gateway: ASGIApp) -> APIRouter:
    """For `create_api(pages=[…])`, before the pages whose `/ui/{part}` takes what is left."""
    router = APIRouter(include_in_schema=False)
    pages, add = Attempt(site, gateway), partial(router.add_api_route, response_class=Response)
    add("/try", pages.chat_page, methods=["GET"])
    add("/try/transcribe", pages.hear_page, methods=["GET"])
    add("/try/speak", pages.speak_page, methods=["GET"])
    add("/try/compare", pages.compare_page, methods=["GET"])
    add("/ui/try/now", pages.now, methods=["GET"])
    add("/ui/try/code/{kind}", pages.code, methods=["POST"])
    add("/ui/try/chat", pages.chat, methods=["POST"])
    add("/ui/try/speak", pages.speak, methods=["POST"])
    add("/ui/try/voices", pages.voices, methods=["POST"])
    add("/ui/try/compare", pages.compare, methods=["POST"])
    return router
