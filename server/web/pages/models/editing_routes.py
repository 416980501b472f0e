"""The routes of the form of a model: opened, checked while it is typed, saved; and of an import.

A form that cannot be saved comes back with the fault at its field and everything that was typed,
in the page (htmx) or as a page. A form of an entry that was changed meanwhile comes back with both.
"""

import asyncio
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParam
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from server.base.errors import (
    Conflict,
    InvalidValue,
    ModelNotFound,
    PayloadTooLarge,
    SparkError,
)
from server.catalog.changes import version_of
from server.catalog.model import Model
from server.catalog.recipe import MAX_RECIPE, Recipe, read_recipe
from server.catalog.service import StaleEdit
from server.web.api.models import find, tell
from server.web.checking import Check, checked
from server.web.pages.answer import from_htmx, led, refused_page
from server.web.pages.fields import fields
from server.web.pages.flash import refusal
from server.web.pages.form import FormView, fresh, is_stale, outdated
from server.web.pages.models.editing import (
    CheckView,
    EditPage,
    EntryForm,
    ImportPage,
    check_view,
    entry_form,
    errors_of,
)
from server.web.pages.models.gather import draw_found, drift_of, offered_body
from server.web.pages.models.typed import PAGES, body_of, values_from, values_of
from server.web.pages.site import Site, draw_frame
from server.web.parts import Parts
from server.web.reply import PartsOf

Id = Annotated[str, PathParam(max_length=200)]
Name = Annotated[str, Query(max_length=1100)]


class EditingPages:
    """The routes over one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    # ---- opened

    async def new(self, parts: PartsOf, of: Name = "", ref: Name = "") -> Response:
        """Empty, as a copy `of` another model, or of what was found on the hosts as `ref`."""
        try:
            body = _copied(parts, of) if of else offered_body(parts, ref)
        except ModelNotFound as error:
            return self._missing(parts, error)
        return self._new(parts, fresh(values_from(body)))

    async def edit(self, parts: PartsOf, model_id: Id) -> Response:
        try:
            model = find(parts, model_id)
        except ModelNotFound as error:
            return self._missing(parts, error)
        return self._page(parts, _opened(parts, model), model.name)

    def _missing(self, parts: Parts, error: ModelNotFound) -> Response:
        flash = replace(refusal(error), back="/models")
        return refused_page(parts, self._site, flash, error.status)

    def _new(self, parts: Parts, form: FormView, recipe: Recipe | None = None) -> Response:
        check = None
        if form.value("id"):
            _, check = _looked_at(parts, dict(form.values), None)
        entry = _entry(parts, form, check=check)
        frame = draw_frame(parts, self._site, "Add a model", nav="models")
        page = EditPage(frame, entry, draw_found(parts))
        if recipe is not None:
            page = replace(page, understood=recipe.understood, left_out=recipe.left_out)
        return self._site.pen.page(page)

    def _page(self, parts: Parts, entry: EntryForm, name: str, status: int = 200) -> Response:
        title = f"Edit {name}" if entry.editing else "Add a model"
        frame = draw_frame(parts, self._site, title, nav="models")
        found = None if entry.editing else draw_found(parts)
        return self._site.pen.page(EditPage(frame, entry, found), status)

    # ---- checked and saved

    async def check(self, request: Request, parts: PartsOf) -> Response:
        """While somebody types. Always 200: a fault is what the fragment is for."""
        given = await fields(request)
        _, view = _looked_at(parts, given, given.get("editing") or None)
        return self._site.pen.fragment(view)

    async def add(self, request: Request, parts: PartsOf) -> Response:
        given = await fields(request)
        return await self._save(request, parts, given, None)

    async def change(self, request: Request, parts: PartsOf, model_id: Id) -> Response:
        given = await fields(request)
        model = parts.catalog.snapshot().find(model_id)
        if model is None:
            return self._removed(request, parts, given | {"id": model_id})
        if is_stale(given, version_of(model)):
            return self._stale(request, parts, given, model)
        return await self._save(request, parts, given, model)

    async def _save(
        self, request: Request, parts: Parts, given: dict[str, str], model: Model | None
    ) -> Response:
        editing = model.id if model else ""
        body, view = _looked_at(parts, given, editing or None)
        if view.faults:
            errors, message = errors_of(view)
            form = _form(given, errors, message)
            return self._back(request, parts, _entry(parts, form, editing, view))
        try:
            if model is None:
                saved = await parts.catalog.add(body)
            else:
                version = given.get("version") or version_of(model)
                saved = await parts.catalog.replace(model.id, body | {"version": version})
        except StaleEdit:
            return self._stale(request, parts, given, find(parts, editing))
        except SparkError as error:
            form = replace(_form(given, (), error.message), advice=error.advice or "")
            return self._back(request, parts, _entry(parts, form, editing, view), error.status)
        tell(parts, saved)
        return led(request, f"/models/{saved.id}?said={'saved' if model else 'added'}")

    def _removed(self, request: Request, parts: Parts, given: dict[str, str]) -> Response:
        """The model of the form is gone: what was typed can be added anew."""
        form = replace(
            _form(given, (), f"{given['id']} was removed meanwhile. What you typed is still here."),
            advice="Add it anew if you want it back.",
            version="",
            stale=True,
        )
        _, view = _looked_at(parts, given, None)
        return self._back(request, parts, _entry(parts, form, check=view), Conflict.status)

    def _stale(
        self, request: Request, parts: Parts, given: dict[str, str], model: Model
    ) -> Response:
        """Both are shown, and nothing is lost: to send it again is a decision."""
        form = outdated(given, values_of(model), version_of(model))
        _, view = _looked_at(parts, given, model.id)
        entry = _entry(parts, form, model.id, view)
        return self._back(request, parts, entry, Conflict.status)

    def _back(
        self, request: Request, parts: Parts, entry: EntryForm, status: int = InvalidValue.status
    ) -> Response:
        if from_htmx(request):
            return self._site.pen.fragment(entry, status)
        return self._page(parts, entry, entry.editing, status)

    # ---- a recipe

    async def open_import(self, parts: PartsOf) -> Response:
        return self._import(parts, FormView())

    async def take(self, request: Request, parts: PartsOf) -> Response:
        text = ""
        try:
            text = await _recipe_text(request)
            recipe = await asyncio.to_thread(read_recipe, text)
        except SparkError as error:
            form = FormView((("text", text),), errors=(("text", _said(error)),))
            return self._import(parts, form, error.status)
        return self._new(parts, fresh(values_from(recipe.body)), recipe)

    def _import(self, parts: Parts, form: FormView, status: int = 200) -> Response:
        frame = draw_frame(parts, self._site, "Import a recipe", nav="models")
        return self._site.pen.page(ImportPage(frame, form), status)


def _entry(
    parts: Parts, form: FormView, editing: str = "", check: CheckView | None = None
) -> EntryForm:
    settings = parts.settings.current
    return entry_form(
        form,
        schema=parts.catalog.knob_schema(),
        roots=settings.engine.model_roots,
        hosts=[host.name for host in settings.hosts],
        editing=editing,
        check=check,
    )


def _opened(parts: Parts, model: Model) -> EntryForm:
    """With the commands as they are now."""
    found = checked(parts, model.to_dict(), model.id)
    check = check_view(found, drift=drift_of(parts, model))
    return _entry(parts, fresh(values_of(model), version_of(model)), model.id, check)


def _copied(parts: Parts, model_id: str) -> dict[str, Any]:
    """Another name: a model can be asked for by one name only."""
    body = find(parts, model_id).to_dict()
    taken = parts.catalog.snapshot()
    number = 2
    while taken.find(f"{body['id'][:56]}-{number}") is not None:
        number += 1
    name = f"{body['id'][:56]}-{number}"
    return body | {"id": name, "name": f"{body['name'][:100]} ({number})", "aliases": []}


def _looked_at(
    parts: Parts, given: dict[str, str], editing: str | None
) -> tuple[dict[str, Any], CheckView]:
    body, wrong = body_of(given)
    if editing is None and body["id"] in PAGES:
        wrong.append(("id", f"{body['id']!r} is the address of a page; choose another id"))
    if editing is not None:
        body["id"] = editing
    try:
        found = checked(parts, body, editing)
    except SparkError as error:  # the body is no entry at all
        found = Check(((error.param or "", error.message),))
    changes = drift_of(parts, found.model) if found.model is not None and editing else ()
    return body, check_view(found, wrong, changes)


def _form(given: dict[str, str], errors: tuple[tuple[str, str], ...], message: str) -> FormView:
    values = tuple((name, value) for name, value in given.items() if name != "version")
    return FormView(values, errors, message=message, version=given.get("version", ""))


async def _recipe_text(request: Request) -> str:
    """Pasted, or of the file that was chosen."""
    try:
        async with request.form(max_files=1, max_fields=8, max_part_size=4 * MAX_RECIPE) as form:
            upload, pasted = form.get("file"), form.get("text")
            if isinstance(upload, UploadFile) and upload.filename:
                return _decoded(await upload.read(MAX_RECIPE + 1))
            return pasted if isinstance(pasted, str) else ""
    except HTTPException as error:
        raise PayloadTooLarge(f"text: the form cannot be read ({error.detail})") from None


def _decoded(data: bytes) -> str:
    if len(data) > MAX_RECIPE:
        raise InvalidValue(f"text: a recipe has at most {MAX_RECIPE // 1024} KiB", param="text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidValue("text: the file is not UTF-8 text", param="text") from None


def _said(error: SparkError) -> str:
    return error.message.removeprefix("text: ")


def add(router: APIRouter, site: Site) -> None:
    """Before `/models/{model_id}`: `new` and `import` are no models."""
    pages = EditingPages(site)
    for path, endpoint, method in (
        ("/models/new", pages.new, "GET"),
        ("/models/import", pages.open_import, "GET"),
        ("/models/{model_id}/edit", pages.edit, "GET"),
        ("/ui/models", pages.add, "POST"),
        ("/ui/models/check", pages.check, "POST"),
        ("/ui/models/import", pages.take, "POST"),
        ("/ui/models/{model_id}/save", pages.change, "POST"),
    ):
        router.add_api_route(path, endpoint, methods=[method], response_class=Response)
