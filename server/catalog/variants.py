"""Variants of a model: fields that a request by the name `model:variant` gets set in its body.

Pure. Owns what a variant may hold: plain JSON of a small size. Refuses the fields that say what is
asked and of whom, because a name must not change those.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from server.catalog.text import bad_id, shown, unseen

MAX_VARIANTS = 16
MAX_TEXT = 4096
MAX_DEPTH = 6
NEVER_SET = frozenset({"model", "messages", "input", "prompt", "stream"})
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")

Problem = tuple[tuple[str, ...], str]


def check_variants(value: object) -> tuple[dict[str, dict[str, Any]], Problem | None]:
    """The variants as plain data, or the first thing that is wrong with them and where."""
    if not isinstance(value, Mapping):
        return {}, ((), "must be variants by name, like {high: {reasoning_effort: high}}")
    if len(value) > MAX_VARIANTS:
        return {}, ((), f"has {len(value)} items; {MAX_VARIANTS} at most")
    clean: dict[str, dict[str, Any]] = {}
    for name, fields in value.items():
        problem = bad_id(name) if isinstance(name, str) else "must be a text; put it in quotes"
        if problem:
            return {}, ((str(name),), f"the name {problem}")
        found = next(_problems(fields), None)
        if found:
            where, text = found
            return {}, ((name, *where), text)
        clean[name] = _plain(fields)
    return clean, None


def _problems(fields: object) -> Iterator[Problem]:
    if not isinstance(fields, Mapping) or not fields:
        yield (), "must be the fields to set, like {reasoning_effort: high}"
        return
    for field, value in fields.items():
        if field in NEVER_SET:
            yield (field,), f"cannot be set by a variant (nor can {', '.join(sorted(NEVER_SET))})"
        for text in _named(field, value, 0):
            yield (shown(str(field)).strip("'"),), text
    if len(json.dumps(_plain(fields))) > MAX_TEXT:
        yield (), f"is longer than {MAX_TEXT} characters"


def _named(name: object, value: object, depth: int) -> Iterator[str]:
    if not isinstance(name, str) or not _FIELD.fullmatch(name):
        yield f"has the key {shown(str(name))}, which is not a plain word"
    yield from _wrong(value, depth)


def _wrong(value: object, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        yield f"is nested deeper than {MAX_DEPTH} levels"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _named(key, item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _wrong(item, depth + 1)
    elif isinstance(value, str):
        yield from filter(None, [unseen(value)])
    elif value is not None:
        yield from _wrong_number(value)


def _wrong_number(value: object) -> Iterator[str]:
    if not isinstance(value, int | float):
        yield "must be JSON: a text, a number, true, false, null, a list or an object"
    elif not math.isfinite(value) or not -(2**63) <= value < 2**64:
        yield "must be a finite number of ordinary size"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
