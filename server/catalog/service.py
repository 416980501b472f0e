"""The catalog: an immutable snapshot for readers, one locked and fsynced write at a time.

Owns `models.override.yaml` on disk and the last good state in memory. Refuses to save over a file
it cannot read, and to save anything that would add a problem.
"""

import asyncio
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml.error import MarkedYAMLError

from server.base.errors import Conflict, InvalidValue, ModelNotFound
from server.base.files import atomic_write, locked
from server.catalog import edit
from server.catalog.changes import (
    clash,
    difference,
    fields_of,
    read_entry,
    refuse,
    version_of,
    whole_entry,
)
from server.catalog.entry import FieldProblem, Fields, assemble
from server.catalog.files import CatalogFile, parse, read_now
from server.catalog.knobs import KNOBS, check
from server.catalog.merge import Draft, build, frozen, read_drafts
from server.catalog.model import Catalog, Model, Problem
from server.catalog.paths import check_local_path
from server.catalog.text import shown


class StaleEdit(Conflict):
    """Somebody else changed the entry while this change was being made."""

    code = "stale_edit"

    def __init__(self, model_id: str) -> None:
        super().__init__(
            f"{model_id} was changed since you began to edit it; nothing was saved.",
            param="version",
            advice="Compare your changes with the entry as it is now, and save again.",
        )


@dataclass(frozen=True, slots=True)
class Checked:
    """The model that a body makes, or what is wrong with it."""

    model: Model | None
    problems: tuple[FieldProblem, ...]


Change = Callable[["Layers"], Mapping[str, Any] | str]


class Layers:
    """Both files as drafts, and the models they make: what a change is decided upon."""

    def __init__(
        self,
        shipped: Mapping[str, Draft],
        overrides: Mapping[str, Draft],
        models: Mapping[str, Model],
        problems: tuple[Problem, ...],
    ) -> None:
        self.shipped = shipped
        self.overrides = overrides
        self.models = models
        self.problems = problems

    def base(self, model_id: str) -> Fields | None:
        draft = self.shipped.get(model_id)
        return draft.fields if draft is not None and draft.sound else None

    def model(self, model_id: str) -> Model:
        """By id. Raises `ModelNotFound`, also for an alias: what is changed is named by its id."""
        if model_id in self.models:
            return self.models[model_id]
        owner = next((m.id for m in self.models.values() if model_id in m.aliases), None)
        advice = f"{model_id!r} is an alias of {owner!r}; use the id." if owner else None
        raise ModelNotFound(f"There is no model {shown(model_id)} in the catalog.", advice=advice)


class CatalogService:
    """`roots` answers `engine.model_roots` of the moment. Safe to call from several threads."""

    def __init__(
        self,
        shipped: Path,
        overrides: Path,
        roots: Callable[[], tuple[str, ...]],
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._shipped = CatalogFile(shipped, wall)
        self._overrides = CatalogFile(overrides, wall)
        self._roots = roots
        self._seen_roots: tuple[str, ...] | None = None
        self._guard = threading.Lock()
        self._catalog = Catalog({}, (), 0)

    def snapshot(self) -> Catalog:
        """The catalog of this moment. Two stat calls when nothing has changed."""
        with self._guard:
            roots = self._roots()
            changed = [self._shipped.refresh(), self._overrides.refresh()]
            if any(changed) or roots != self._seen_roots:
                self._seen_roots = roots
                self._rebuild(roots)
            return self._catalog

    @property
    def latest(self) -> Catalog:
        """The last snapshot, without a look at the files: for what asks with every request. The app
        takes a snapshot each second, and every change that is made here does."""
        return self._catalog if self._catalog.version else self.snapshot()

    def _rebuild(self, roots: tuple[str, ...]) -> None:
        shipped, found = read_drafts(self._shipped.document, self._shipped.label, roots)
        overrides, more = read_drafts(self._overrides.document, self._overrides.label, roots)
        models, joined = build(shipped, overrides, self._last_good(roots))
        problems = (*self._shipped.problems, *self._overrides.problems, *found, *more, *joined)
        sound = frozenset(name for name, draft in shipped.items() if draft.sound)
        self._catalog = Catalog(frozen(models), problems, self._catalog.version + 1, sound)

    def knob_schema(self) -> list[dict[str, Any]]:
        """The knobs for forms and documentation, in order."""
        return [knob.to_dict() for knob in KNOBS.values()]

    async def add(self, body: object) -> Model:
        """A new model. `Conflict` when the id or an alias is taken."""
        roots = self._roots()
        fields = whole_entry(body, roots)
        name = fields["id"]

        def change(layers: Layers) -> Mapping[str, Any]:
            _refuse_clash(fields, layers)
            return difference(fields, layers.base(name))

        return await self._change(name, change)

    async def replace(self, model_id: str, body: object) -> Model:
        """The whole model anew. The id cannot change. A `version` in the body is that of the entry
        it was made from: `Conflict` when the entry was changed since."""
        given = dict(body) if isinstance(body, Mapping) else body
        version = given.get("version") if isinstance(given, dict) else None
        if isinstance(given, dict) and given.setdefault("id", model_id) != model_id:
            raise InvalidValue("id: cannot be changed; add a new model instead", param="id")
        fields = whole_entry(given, self._roots())

        def change(layers: Layers) -> Mapping[str, Any]:
            now = version_of(layers.model(model_id))
            if version is not None and version != now:
                raise StaleEdit(model_id)
            _refuse_clash(fields, layers, model_id)
            return difference(fields, layers.base(model_id))

        return await self._change(model_id, change)

    def check(self, body: object, replaces: str | None = None) -> Checked:
        """What `add`, or `replace` of the model of that id, would say to this body. From memory;
        nothing is written."""
        fields, problems = read_entry(body, self._roots())
        if replaces is not None and fields.get("id", replaces) != replaces:
            problems.append(FieldProblem(("id",), "cannot be changed; add a new model instead"))
        problems += clash(fields, self.latest.models, replaces)
        model = None if problems else assemble(fields, "override", {})[0]
        return Checked(model, tuple(problems))

    async def set_knobs(self, model_id: str, knobs: object) -> Model:
        """All knobs anew: what is not named is not set any more."""

        def change(layers: Layers) -> Mapping[str, Any]:
            model = layers.model(model_id)
            _refuse_broken(layers.overrides.get(model_id))
            clean, wrong = check(knobs, model.nodes)
            refuse([FieldProblem(("knobs", name) if name else ("knobs",), t) for name, t in wrong])
            fields = fields_of(model) | {"knobs": clean}
            return difference(fields, layers.base(model_id))

        return await self._change(model_id, change)

    async def remove(self, model_id: str) -> None:
        """An own model goes; a shipped one is hidden by a tombstone, which `reset` takes away."""

        def change(layers: Layers) -> Mapping[str, Any] | str:
            layers.model(model_id)
            if model_id in layers.shipped:
                return {"id": model_id, "remove": True}
            return model_id

        await self._change(model_id, change, gone=True)

    async def reset(self, model_id: str) -> Model:
        """Forget every change to a shipped model, also that it was removed."""

        def change(layers: Layers) -> str:
            if layers.base(model_id) is None:
                raise ModelNotFound(f"There is no shipped model {shown(model_id)}.")
            return model_id

        return await self._change(model_id, change)

    async def _change(self, model_id: str, change: Change, *, gone: bool = False) -> Model:
        return await asyncio.to_thread(self._write, model_id, change, gone)

    def _write(self, model_id: str, change: Change, gone: bool) -> Model:
        path = self._overrides.path
        before = self.snapshot().models.get(model_id)
        with locked(path):
            old = _read_for_writing(path)
            layers = self._layers(old)
            wanted = change(layers)
            new = self._edited(old, wanted)
            after = self._layers(new)
            _refuse_new_problems(layers, after)
            if new != old:
                atomic_write(path, new.encode())
        self.snapshot()
        model = after.models.get(model_id) or (before if gone else None)
        if model is None:
            raise ModelNotFound(f"There is no model {shown(model_id)} in the catalog.")
        return model

    def _edited(self, old: str, wanted: Mapping[str, Any] | str) -> str:
        try:
            if isinstance(wanted, str):
                return edit.drop_entry(old, wanted)
            return edit.put_entry(old, wanted)
        except MarkedYAMLError as error:
            line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
            raise Conflict(
                f"Nothing was saved, because {self._overrides.label}{line} holds a key twice.",
                advice=f"Correct {self._overrides.label} by hand, then try again.",
            ) from None

    def _last_good(self, roots: tuple[str, ...]) -> dict[str, Model]:
        """Models of the last snapshot that are still allowed to be where they are."""
        return {
            name: model
            for name, model in self._catalog.models.items()
            if model.source.path is None or check_local_path(model.source.path, roots) is None
        }

    def _layers(self, override_text: str) -> Layers:
        roots = self._roots()
        shipped, _ = read_drafts(self._shipped.document, self._shipped.label, roots)
        document = parse(override_text.encode(), self._overrides.label)
        if not document.readable:
            problem = document.problems[0]
            raise Conflict(
                f"Nothing was saved, because {problem}.",
                advice=f"Correct {self._overrides.label} by hand, then try again.",
            )
        overrides, found = read_drafts(document, self._overrides.label, roots)
        models, joined = build(shipped, overrides, self._last_good(roots))
        return Layers(shipped, overrides, models, (*found, *joined))


def _read_for_writing(path: Path) -> str:
    try:
        return read_now(path)
    except UnicodeDecodeError:
        raise Conflict(
            f"Nothing was saved, because {path.name} is not UTF-8 text.",
            advice=f"Correct {path.name} by hand, then try again.",
        ) from None


def _refuse_clash(fields: Fields, layers: Layers, replaces: str | None = None) -> None:
    for problem in clash(fields, layers.models, replaces):
        text = f"{problem.message[0].upper()}{problem.message[1:]}."
        raise Conflict(f"{problem.field}: {text}", param=problem.field)


def _refuse_new_problems(before: Layers, after: Layers) -> None:
    """A safety net under the rules above: a save never makes the file worse than it was."""
    known = {_unnumbered(problem) for problem in before.problems}
    new = [problem for problem in after.problems if _unnumbered(problem) not in known]
    if new:
        raise Conflict(f"Nothing was saved: {new[0].message}.", param=new[0].field)


def _unnumbered(problem: Problem) -> str:
    """A problem without the line and item numbers, which move when something above is changed."""
    return re.sub(r"[0-9]+", "#", f"{problem.model} {problem.field} {problem.message}")


def _refuse_broken(draft: Draft | None) -> None:
    """A partial change must not sweep away what somebody wrote by hand and got wrong."""
    if draft is not None and not draft.sound:
        raise Conflict(
            f"Nothing was saved: the entry of {draft.id!r} in {draft.file} line {draft.raw.line} "
            "has a mistake.",
            advice="Correct it by hand, or save the whole model anew.",
        )
