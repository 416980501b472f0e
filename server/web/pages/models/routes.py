"""The routes of the catalog: the list, one model, and the acts of one button. Thin."""

from dataclasses import replace
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParam

from server.base.errors import InvalidValue, ModelNotFound, SparkError
from server.catalog.model import Model
from server.web.api.models import find, tell
from server.web.pages.answer import answered, from_htmx, led, refused_page
from server.web.pages.fields import fields
from server.web.pages.flash import QUIET, Flash, refusal, said
from server.web.pages.models import editing_routes
from server.web.pages.models.detail import ModelGone, ModelPage, Preflight, preflight
from server.web.pages.models.entries import ModelsPage, Wanted
from server.web.pages.models.gather import Tables, draw_detail, draw_found, draw_table
from server.web.pages.site import Site, draw_frame
from server.web.parts import Parts
from server.web.reply import PartsOf

Text = Annotated[str, Query(max_length=200)]
Word = Annotated[str, Query(max_length=64)]
Id = Annotated[str, PathParam(max_length=200)]


def page_of(model_id: str) -> str:
    return f"/models/{quote(model_id, safe='')}"


class ModelPages:
    """The routes over one site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._tables = Tables()

    # ---- the list

    async def page(  # noqa: PLR0917 - one for each field of the filter
        self,
        parts: PartsOf,
        q: Text = "",
        state: Word = "",
        fit: Word = "",
        standing: Word = "",
        host: Word = "",
        said_: Annotated[str, Query(alias="said", max_length=20)] = "",
    ) -> Response:
        frame = draw_frame(parts, self._site, "Models", nav="models", flash=said(said_))
        hosts = tuple(one.name for one in parts.settings.current.hosts)
        wanted = Wanted(q, state, fit, standing, host)
        table = draw_table(parts, self._site, self._tables, wanted)
        return self._site.pen.page(ModelsPage(frame, hosts, table))

    async def table(  # noqa: PLR0917 - as above
        self,
        parts: PartsOf,
        q: Text = "",
        state: Word = "",
        fit: Word = "",
        standing: Word = "",
        host: Word = "",
        build: str = "",
    ) -> Response:
        wanted = Wanted(q, state, fit, standing, host)
        table = draw_table(parts, self._site, self._tables, wanted)
        return self._built(self._site.pen.fragment(table), build)

    # ---- one model

    async def one(
        self,
        parts: PartsOf,
        model_id: Id,
        said_: Annotated[str, Query(alias="said", max_length=20)] = "",
    ) -> Response:
        try:
            model = find(parts, model_id)
        except ModelNotFound as error:
            flash = replace(refusal(error), back="/models")
            return refused_page(parts, self._site, flash, error.status)
        if model.id != model_id:  # an alias: one page, one address
            return Response(status_code=303, headers={"location": page_of(model.id)})
        return await self._one(parts, model, Preflight(model.id), said(said_))

    async def detail(self, parts: PartsOf, model_id: Id, build: str = "") -> Response:
        model = parts.catalog.snapshot().find(model_id)
        if model is None:
            return self._site.pen.fragment(ModelGone(model_id))
        detail = await draw_detail(parts, self._site, model)
        return self._built(self._site.pen.fragment(detail), build)

    async def _one(
        self, parts: Parts, model: Model, looked: Preflight, flash: Flash, status: int = 200
    ) -> Response:
        frame = draw_frame(parts, self._site, model.name, nav="models", flash=flash)
        detail = await draw_detail(parts, self._site, model)
        return self._site.pen.page(ModelPage(frame, detail, looked), status)

    async def look(self, request: Request, parts: PartsOf, model_id: Id) -> Response:
        """The preflight on demand: a POST, since it asks the hosts."""
        model = find(parts, model_id)
        try:
            looked = preflight(model.id, await parts.swaps.preflight(model.id))
        except SparkError as error:
            looked = Preflight(model.id, asked=True, trouble=error.message)
        if from_htmx(request):
            return self._site.pen.fragment(looked)
        return await self._one(parts, model, looked, QUIET)

    async def enable(self, request: Request, parts: PartsOf, model_id: Id) -> Response:
        async def act() -> Flash:
            wanted = (await fields(request)).get("enabled") == "yes"
            model = find(parts, model_id)
            changed = await parts.catalog.replace(model.id, model.to_dict() | {"enabled": wanted})
            tell(parts, changed)
            verb = "is enabled" if wanted else "is disabled: it cannot be asked for"
            return Flash("info", f"{model.id} {verb}.")

        return await answered(request, parts, self._site, act, home=page_of(model_id))

    async def remove(self, request: Request, parts: PartsOf, model_id: Id) -> Response:
        try:
            given = await fields(request)
            model = find(parts, model_id)
            if given.get("confirm", "").strip() != model.id:
                raise InvalidValue(f"confirm: type {model.id} to remove it", param="confirm")
            await parts.catalog.remove(model.id)
            parts.bus.publish("model", model.id, {"id": model.id, "removed": True})
        except SparkError as error:
            return self._refused(request, parts, error)
        return led(request, "/models?said=removed")

    async def reset(self, request: Request, parts: PartsOf, model_id: Id) -> Response:
        """A shipped model as it was shipped; also one that is hidden."""
        try:
            model = await parts.catalog.reset(model_id)
            tell(parts, model)
        except SparkError as error:
            return self._refused(request, parts, error)
        return led(request, f"{page_of(model.id)}?said=restored")

    def _refused(self, request: Request, parts: Parts, error: SparkError) -> Response:
        flash = refusal(error)
        if from_htmx(request):
            return self._site.pen.fragment(flash, error.status)
        return refused_page(parts, self._site, flash, error.status)

    # ---- what lies on the hosts

    async def found(self, parts: PartsOf, build: str = "") -> Response:
        return self._built(self._site.pen.fragment(draw_found(parts)), build)

    async def rescan(self, request: Request, parts: PartsOf) -> Response:
        async def act() -> Flash:
            parts.discovery.rescan()
            return Flash("info", "Looking for models on the hosts.")

        return await answered(request, parts, self._site, act, home="/models/new", anchor="found")

    def _built(self, answer: Response, build: str) -> Response:
        """A page of another build is told to load anew: its scripts and styles are not these."""
        if build and build != self._site.assets.build:
            answer.headers["hx-refresh"] = "true"
        return answer


def add(router: APIRouter, site: Site) -> None:
    """To be added before `/ui/{part}`, which takes what is left."""
    pages = ModelPages(site)
    editing_routes.add(router, site)
    for path, endpoint, method in (
        ("/models", pages.page, "GET"),
        ("/models/{model_id}", pages.one, "GET"),
        ("/ui/models/table", pages.table, "GET"),
        ("/ui/models/found", pages.found, "GET"),
        ("/ui/models/rescan", pages.rescan, "POST"),
        ("/ui/models/{model_id}/detail", pages.detail, "GET"),
        ("/ui/models/{model_id}/preflight", pages.look, "POST"),
        ("/ui/models/{model_id}/enabled", pages.enable, "POST"),
        ("/ui/models/{model_id}/remove", pages.remove, "POST"),
        ("/ui/models/{model_id}/reset", pages.reset, "POST"),
    ):
        router.add_api_route(path, endpoint, methods=[method], response_class=Response)
