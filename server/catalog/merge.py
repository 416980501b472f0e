"""Two files -> one catalog. Pure: raw entries in, models and problems out.

Owns: an override lies over the shipped entry of the same id, field by field; a tombstone
(`remove: true`) hides a shipped entry; ids and aliases are unique over the whole catalog. A broken
entry is one problem and hides nothing else: under it the shipped entry, or the last one that was
good, goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from server.catalog.document import Document, RawEntry
from server.catalog.entry import FieldProblem, Fields, assemble, lay_over, read_fields
from server.catalog.model import Model, Origin, Problem
from server.catalog.text import plain

PLAIN_FIELDS = (
    "name",
    "description",
    "source",
    "nodes",
    "aliases",
    "ttl",
    "pinned",
    "swap",
    "variants",
    "launcher",
    "image",
    "hosts",
    "enabled",
)


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry that was read: `fields` hold, or `sound` is False and the problems say why not."""

    id: str
    fields: Fields
    raw: RawEntry
    file: str
    sound: bool

    @property
    def removed(self) -> bool:
        return self.fields.get("remove") is True


def read_drafts(
    document: Document, file: str, roots: Sequence[str]
) -> tuple[dict[str, Draft], list[Problem]]:
    """Drafts by id, in order. Entries without a usable id are only problems."""
    drafts: dict[str, Draft] = {}
    problems = list(document.problems)
    for number, raw in enumerate(document.entries):
        fields, found = read_fields(raw.value, roots)
        faults = [FieldProblem(where, text) for where, text in raw.faults]
        found = [each for each in found if not _told(each, faults)] + faults
        if "id" not in raw.value:
            found.append(FieldProblem(("id",), "is required"))
        name = fields.get("id") or f"models[{number}]"
        problems += [problem_of(file, raw, name, each) for each in found]
        if "id" not in fields:
            continue
        twin = drafts.get(name)
        if twin is not None:
            text = (
                f"the id {name!r} is already used on line {twin.raw.line}; this entry is left out"
            )
            problems.append(problem_of(file, raw, name, FieldProblem(("id",), text)))
        else:
            drafts[name] = Draft(name, fields, raw, file, not found)
    return drafts, problems


def _told(each: FieldProblem, faults: Sequence[FieldProblem]) -> bool:
    """Whether it only follows from a fault in the text of the same field."""
    return any(each.where[: len(fault.where)] == fault.where for fault in faults if fault.where)


def problem_of(file: str, raw: RawEntry, name: str, each: FieldProblem) -> Problem:
    """A problem that names file, line, model and field."""
    line = raw.line_of(each.where)
    return Problem(file, line, f"{plain(name)}: {each}", model=name, field=each.field)


def build(
    shipped: Mapping[str, Draft],
    overrides: Mapping[str, Draft],
    last_good: Mapping[str, Model],
) -> tuple[dict[str, Model], list[Problem]]:
    """Models in catalog order (shipped first, then added), ids and aliases unique."""
    models: dict[str, Model] = {}
    problems: list[Problem] = []
    for name, draft in shipped.items():
        over = overrides.get(name)
        if over is not None and over.sound and over.removed:
            continue
        model = _resolve(draft, over, problems) or last_good.get(name)
        if model is not None:
            models[name] = model
    for name, draft in overrides.items():
        if name in shipped or (draft.removed and draft.sound):
            continue
        model = _resolve(None, draft, problems) or last_good.get(name)
        if model is not None:
            models[name] = model
    lines = {**shipped, **overrides}
    return _unique_aliases(models, lines, problems), problems


def _resolve(base: Draft | None, over: Draft | None, problems: list[Problem]) -> Model | None:
    """The model of an override over a shipped entry, falling back to the shipped one alone."""
    base = base if base is not None and base.sound else None
    over = over if over is not None and over.sound else None
    if over is not None:
        fields = lay_over(base.fields, over.fields) if base else over.fields
        model, found = assemble(fields, "override", provenance(base, over))
        problems += [problem_of(over.file, over.raw, over.id, each) for each in found]
        if model is not None:
            return model
    if base is not None:
        model, found = assemble(base.fields, "shipped", provenance(base, None))
        problems += [problem_of(base.file, base.raw, base.id, each) for each in found]
        return model
    return None


def provenance(base: Draft | None, over: Draft | None) -> dict[str, Origin]:
    """Where each value comes from, by field name and `knobs.<name>`, `env.<NAME>`."""
    below = base.fields if base else {}
    above = over.fields if over else {}
    result: dict[str, Origin] = {}
    for name in PLAIN_FIELDS:
        result[name] = "override" if name in above else "shipped" if name in below else "default"
    for group in ("knobs", "env"):
        for key, value in below.get(group, {}).items():
            if value is not None:
                result[f"{group}.{key}"] = "shipped"
        for key, value in above.get(group, {}).items():
            result.pop(f"{group}.{key}", None)
            if value is not None:
                result[f"{group}.{key}"] = "override"
    return result


def _unique_aliases(
    models: dict[str, Model], drafts: Mapping[str, Draft], problems: list[Problem]
) -> dict[str, Model]:
    """Takes away each alias that shadows an id or an earlier alias. Overrides choose first."""
    owners: dict[str, str] = {}
    lost: dict[str, set[str]] = {}
    for model in sorted(models.values(), key=lambda model: model.origin == "shipped"):
        for number, alias in enumerate(model.aliases):
            other = alias if alias in models else owners.setdefault(alias, model.id)
            if other == model.id:
                continue
            lost.setdefault(model.id, set()).add(alias)
            kind = "the id" if alias in models else "an alias"
            text = f"{alias!r} is also {kind} of {other!r}; it leads to {other!r}"
            draft = drafts.get(model.id)
            if draft is not None:
                each = FieldProblem(("aliases", number), text)
                problems.append(problem_of(draft.file, draft.raw, model.id, each))
    return {
        name: replace(
            model, aliases=tuple(a for a in model.aliases if a not in lost.get(name, set()))
        )
        for name, model in models.items()
    }


def frozen(models: Mapping[str, Model]) -> Mapping[str, Model]:
    return MappingProxyType(dict(models))
