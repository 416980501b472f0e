"""The routes of the API keys: list, create (shown once), edit, a new secret, revoke."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParam
from pydantic import ValidationError

from server.base.errors import SparkError
from server.gateway.keys.model import Key, Minted
from server.gateway.usage.model import Sums, grouped
from server.web.api.keys import KeyBody
from server.web.pages.answer import from_htmx, led, refused_page
from server.web.pages.fields import fields
from server.web.pages.flash import QUIET, Flash, refusal, said
from server.web.pages.form import is_stale, outdated, refused
from server.web.pages.settings import key as pure
from server.web.pages.settings.acted import acted
from server.web.pages.site import Site, draw_frame
from server.web.parts import Parts
from server.web.reply import PartsOf

Said = Annotated[str, Query(alias="said", max_length=20)]
Ref = Annotated[str, PathParam(max_length=64)]
HOME = "/settings/keys"
NEW = "/ui/settings/keys"
FIELDS = ("name", "scopes", "models", "priority", "max_in_flight", "swap", "expires_at")


class KeyPages:
    """The routes over one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def every(self, parts: PartsOf, said_: Said = "") -> Response:
        sums = await _today(parts)
        now = parts.clock.now()
        good, ended, anonymous = pure.keys_page_parts(parts.keys.every(), sums, now)
        settings = parts.settings.current
        frame = draw_frame(parts, self._site, "API keys", nav="settings", flash=said(said_))
        page = pure.KeysPage(
            frame,
            "keys",
            good,
            ended,
            anonymous,
            settings.auth.mode == "open",
            settings.gateway.require_key,
        )
        return self._site.pen.page(page)

    async def new(self, parts: PartsOf) -> Response:
        return await self._page(parts, None, pure.new_form(_names(parts)))

    async def one(self, parts: PartsOf, key_id: Ref, said_: Said = "") -> Response:
        key = parts.keys.get(key_id)
        return await self._page(parts, key, pure.form_for(key, _names(parts)), said(said_))

    async def add(self, request: Request, parts: PartsOf) -> Response:
        given = await fields(request)
        try:
            draft = _body(given).draft(parts.clock)
            minted = await parts.keys.create(draft)
        except SparkError as error:
            return await self._refused(request, parts, None, given, error)
        return self._shown(request, parts, minted)

    async def change(self, request: Request, parts: PartsOf, key_id: Ref) -> Response:
        given = await fields(request)
        key = parts.keys.get(key_id)
        form = pure.form_for(key, _names(parts))
        if is_stale(given, form.form.version):
            stale = outdated(given, dict(form.form.values), form.form.version)
            return await self._drawn(request, parts, key, pure.with_form(form, stale), 409)
        try:
            draft = _body(given).draft(parts.clock, key.draft.expires_at)
            await parts.keys.replace(key.id, draft)
        except SparkError as error:
            return await self._refused(request, parts, key, given, error)
        return led(request, f"{HOME}/{key.id}?said=saved")

    async def rotate(self, request: Request, parts: PartsOf, key_id: Ref) -> Response:
        try:
            minted = await parts.keys.rotate(key_id)
        except SparkError as error:
            return refused_page(parts, self._site, refusal(error), error.status)
        return self._shown(request, parts, minted)

    async def revoke(self, request: Request, parts: PartsOf, key_id: Ref) -> Response:
        act = partial(parts.keys.revoke, key_id)
        return await acted(request, parts, self._site, act, f"{HOME}?said=revoked")

    # ---- drawing

    def _shown(self, request: Request, parts: Parts, minted: Minted) -> Response:
        """The answer itself has the key: there is no address under which it could be seen again."""
        address = f"{request.url.scheme}://{request.headers.get('host', '')}/v1"
        shown = pure.ShownKey(minted.key.name, minted.text, address)
        if from_htmx(request):
            return self._site.pen.fragment(shown)
        frame = draw_frame(parts, self._site, f"The key {minted.key.name}", nav="settings")
        return self._site.pen.page(pure.ShownKeyPage(frame, "keys", shown))

    async def _refused(
        self,
        request: Request,
        parts: Parts,
        key: Key | None,
        given: dict[str, str],
        error: SparkError,
    ) -> Response:
        names = _names(parts)
        form = pure.new_form(names) if key is None else pure.form_for(key, names)
        known = (*FIELDS, *(name for name, _ in pure.LIMITS))
        wrong = pure.with_form(form, refused(given, error, known))
        return await self._drawn(request, parts, key, wrong, error.status)

    async def _drawn(
        self, request: Request, parts: Parts, key: Key | None, form: pure.KeyForm, status: int
    ) -> Response:
        if from_htmx(request):
            return self._site.pen.fragment(form, status)
        return await self._page(parts, key, form, status=status)

    async def _page(
        self,
        parts: Parts,
        key: Key | None,
        form: pure.KeyForm,
        flash: Flash = QUIET,
        status: int = 200,
    ) -> Response:
        title = "Create a key" if key is None else key.name
        entry = None
        if key is not None:
            sums = await _today(parts)
            entry = pure.key_entry(key, sums.get(key.id), parts.clock.now())
        frame = draw_frame(parts, self._site, title, nav="settings", flash=flash)
        return self._site.pen.page(pure.KeyPage(frame, "keys", entry, form), status)


async def _today(parts: Parts) -> dict[str, Sums]:
    return grouped((await parts.usage.rows(1)).items(), "key")


def _body(given: dict[str, str]) -> KeyBody:
    try:
        return KeyBody.model_validate(pure.body_of(given))
    except ValidationError as error:
        raise pure.wrong_fields(error) from None


def _names(parts: Parts) -> tuple[str, ...]:
    """What a key may be allowed to use."""
    services = (one.name for one in parts.settings.current.services)
    return (*parts.catalog.snapshot().models, *services)


def add(router: APIRouter, site: Site) -> None:
    pages = KeyPages(site)
    for path, endpoint, method in (
        (HOME, pages.every, "GET"),
        (f"{HOME}/new", pages.new, "GET"),
        (f"{HOME}/{{key_id}}", pages.one, "GET"),
        (NEW, pages.add, "POST"),
        (f"{NEW}/{{key_id}}", pages.change, "POST"),
        (f"{NEW}/{{key_id}}/rotate", pages.rotate, "POST"),
        (f"{NEW}/{{key_id}}/revoke", pages.revoke, "POST"),
    ):
        router.add_api_route(path, endpoint, methods=[method], response_class=Response)
