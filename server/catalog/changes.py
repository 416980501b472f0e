"""What a person asked for -> the entry that goes into `models.override.yaml`. Pure.

An own model is written as it is; a change to a shipped one is written as the difference, so that a
later release can still improve what was left alone.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from server.base.errors import InvalidValue
from server.catalog.entry import FieldProblem, Fields, assemble, lay_over, read_fields
from server.catalog.merge import PLAIN_FIELDS
from server.catalog.model import Catalog, Model, Source

_DEFAULTS: Mapping[str, Any] = {
    "description": "",
    "nodes": 1,
    "aliases": (),
    "ttl": 0,
    "pinned": False,
    "swap": None,
    "variants": {},
    "launcher": None,
    "image": None,
    "hosts": (),
    "enabled": True,
}
MAX_PROBLEMS = 20


def refuse(problems: Sequence[FieldProblem]) -> None:
    """One error with every problem in it; `param` names the first field."""
    if not problems:
        return
    texts = [str(problem) for problem in problems[:MAX_PROBLEMS]]
    more = len(problems) - len(texts)
    tail = f"; and {more} more" if more > 0 else ""
    raise InvalidValue("; ".join(texts) + tail, param=problems[0].field or None)


VIEW_ONLY = frozenset({"state", "fit", "files", "version"})
"""What an answer of the API shows beside the fields: who sends it back means nothing by it."""


def version_of(model: Model) -> str:
    """Changes with every change of the entry: who edits an older one is told so."""
    fields = {name: written(value) for name, value in fields_of(model).items()}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def whole_entry(body: object, roots: Sequence[str]) -> Fields:
    """The fields of a complete model as a person sent it. `InvalidValue` names each fault."""
    fields, problems = read_entry(body, roots)
    refuse(problems)
    return fields


def read_entry(body: object, roots: Sequence[str]) -> tuple[Fields, list[FieldProblem]]:
    """As `whole_entry`, with the faults as a list."""
    if not isinstance(body, Mapping):
        raise InvalidValue("A model is a JSON object with id and source.")
    body = {key: value for key, value in body.items() if key not in VIEW_ONLY}
    fields, problems = read_fields(body, roots)
    if "remove" in fields:
        problems.append(FieldProblem(("remove",), "is not a field here; use DELETE"))
    if "id" not in body:
        problems.insert(0, FieldProblem(("id",), "is required"))
    for group in ("knobs", "env"):
        fields[group] = {k: v for k, v in fields.get(group, {}).items() if v is not None}
    if "id" in fields:
        _, found = assemble(fields, "override", {})
        told = {problem.where[:1] for problem in problems}
        problems += [each for each in found if each.where[:1] not in told]
    return fields, problems


def clash(
    fields: Fields, models: Mapping[str, Model], replaces: str | None = None
) -> list[FieldProblem]:
    """Names that another model has already. `replaces` is the model these fields are for."""
    catalog = Catalog({name: model for name, model in models.items() if name != replaces})
    problems: list[FieldProblem] = []
    for field, name in _names(fields):
        other = catalog.find(name)
        if other is not None:
            kind = "the id" if other.id == name else "an alias"
            text = f"{name!r} is already {kind} of the model {other.id!r}"
            problems.append(FieldProblem((field,), text))
    return problems


def _names(fields: Fields) -> list[tuple[str, str]]:
    own = [("id", fields["id"])] if "id" in fields else []
    return own + [("aliases", alias) for alias in fields.get("aliases", ())]


def difference(fields: Fields, shipped: Fields | None) -> dict[str, Any]:
    """The override entry that, laid over the shipped one, gives exactly these fields."""
    entry: dict[str, Any] = {"id": fields["id"]}
    for name in PLAIN_FIELDS:
        value = fields.get(name, _default(name, fields))
        below = _default(name, fields) if shipped is None else shipped.get(
            name, _default(name, shipped)
        )  # fmt: skip
        if _differ(value, below) or (shipped is None and name == "source"):
            entry[name] = written(value)
    for group in ("knobs", "env"):
        wanted, base = fields.get(group, {}), (shipped or {}).get(group, {})
        pairs = {key: written(item) for key, item in wanted.items() if base.get(key) != item}
        pairs |= {key: None for key, item in base.items() if item is not None and key not in wanted}
        if pairs:
            entry[group] = pairs
    return entry


def _differ(value: Any, below: Any) -> bool:
    """To Python, 1 is True: the values of a variant are compared as they are written."""
    if isinstance(value, Mapping) and isinstance(below, Mapping):
        texts = [json.dumps(written(each), sort_keys=True) for each in (value, below)]
        return texts[0] != texts[1]
    return bool(value != below)


def _default(name: str, fields: Fields) -> Any:
    return fields["id"] if name == "name" else _DEFAULTS.get(name)


def written(value: Any) -> Any:
    """A field as it stands in a file."""
    if isinstance(value, Source):
        parts = {"hf": value.hf, "path": value.path, "revision": value.revision}
        return {key: item for key, item in parts.items() if item is not None}
    if isinstance(value, Mapping):
        return {key: written(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


def fields_of(model: Model) -> Fields:
    """A model as fields, to change some and write it back."""
    fields: Fields = {"id": model.id, "knobs": dict(model.knobs), "env": dict(model.env)}
    return fields | {name: getattr(model, name) for name in PLAIN_FIELDS}


def same_model(entry: Mapping[str, Any], shipped: Fields | None, roots: Sequence[str]) -> Fields:
    """What the entry means when it is read back."""
    fields, problems = read_fields(entry, roots)
    refuse(problems)
    return lay_over(shipped, fields) if shipped else fields
