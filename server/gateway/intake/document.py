"""A JSON body: one object, bounded in depth and number of things, and the fields we look at. Pure.

Owns what JSON is accepted. Refuses a body that names its model twice, because whoever reads it
after us might take the other one. The bytes themselves stay as they came; only a variant's fields
and another name for the model make a new body.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import orjson

from server.base.errors import InvalidRequest

MAX_DEPTH = 128
MAX_THINGS = 1_000_000
LONGEST_NAME = 512

# Above this size the second, exact look for a model named twice would hold up other requests; the
# last one counts then, as for every JSON reader in use.
_EXACT = 4 << 20
_MODEL = b'"model"'
_ESCAPED_LETTER = re.compile(rb"\\u00[46][0-9a-fA-F]")


def parse(body: bytes) -> dict[str, Any]:
    """The body as a JSON object."""
    things = body.count(b"{") + body.count(b"[")
    # 64 MiB of small texts would take 1.5 GB, and hold up every stream for seconds.
    if things + body.count(b",") > MAX_THINGS:
        raise InvalidRequest(f"The body has more than {MAX_THINGS} values and commas.")
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(
            f"The body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})."
        ) from None
    if not isinstance(parsed, dict):
        raise InvalidRequest("The body must be a JSON object.")
    if things > MAX_DEPTH and deeper_than(parsed, MAX_DEPTH):
        raise InvalidRequest(f"The body is nested deeper than {MAX_DEPTH} levels.")
    if _doubtful(body) and len(body) <= _EXACT and named_twice(body):
        raise InvalidRequest("The body names its `model` twice: send it once.", param="model")
    return parsed


def deeper_than(value: Any, limit: int) -> bool:
    """Level by level, so that a hostile body costs time in proportion to its size, not stack."""
    level = [value]
    for _ in range(limit):
        level = [
            item
            for thing in level
            for item in (thing.values() if isinstance(thing, dict) else thing)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True


def _doubtful(body: bytes) -> bool:
    """Whether the body could name its model twice. An escaped letter could hide the second one."""
    if body.count(_MODEL) > 1:
        return True
    return b"\\u00" in body and _ESCAPED_LETTER.search(body) is not None


def named_twice(body: bytes) -> bool:
    """Whether the outermost object has the key `model` more than once."""
    outermost: list[str] = []

    def seen(pairs: list[tuple[str, Any]]) -> None:
        # Called for the inner objects first, so that the last call is the outermost.
        outermost[:] = [key for key, _ in pairs]

    json.loads(body, object_pairs_hook=seen)
    return outermost.count("model") > 1


def name_of(value: object) -> str | None:
    """A name as the `model` of a body, a form or a query has it; None when there is none."""
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise InvalidRequest(
            "`model` must name the model to ask: GET /v1/models lists them.", param="model"
        )
    if len(value) > LONGEST_NAME:
        raise InvalidRequest(f"`model` is longer than {LONGEST_NAME} characters.", param="model")
    return value


def changed(parsed: dict[str, Any], params: Mapping[str, Any], model: str | None) -> bytes:
    """The body with a variant's fields set and perhaps another model name, the rest as it was.

    The variant wins over what the caller sent: whoever asks for `qwen:think` gets it. Objects are
    merged field by field, everything else is replaced.
    """
    merged = _merged(parsed, params)
    if model is not None:
        merged["model"] = model
    return orjson.dumps(merged)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        mine = result.get(key)
        both = isinstance(mine, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(mine, value) if both else _plain(value)  # type: ignore[arg-type]
    return result


def _plain(value: Any) -> Any:
    """Without the read-only mappings that a catalog holds, which JSON writers do not know."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
