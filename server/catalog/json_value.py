"""JSON knobs (`speculative_config`, `hf_overrides`, …): small, finite, naming no code and no files.

vLLM resolves some strings inside these objects to Python classes, plugin files or addresses. Keys
and values that could are refused; a draft model must be a Hugging Face repository.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from server.catalog.text import bad_repo, not_ascii, shown, words

MAX_TEXT = 8192
MAX_DEPTH = 8
_CODE_WORDS = words(
    "path paths file files filename dir directory folder plugin plugins module modules cls class "
    "classes url uri urls host hosts port ports addr address ip socket import script command cmd "
    "endpoint backend compiler connector pass passes inductor token key secret password environ env"
)
_CODE_KEYS = frozenset({"auto_map", "trust_remote_code", "_name_or_path", "name_or_path", "code"})
_MODEL_KEYS = frozenset({"model", "tokenizer", "draft_model"})
_SAFE_KEYS = frozenset({"moe_backend", "attention_backend", "pass_config"})


def parse_json(value: object) -> tuple[str | None, str | None]:
    """(canonical text, None) or (None, a sentence). Takes an object or the text of one."""
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            return None, f"is longer than {MAX_TEXT} characters"
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            return None, f"is not JSON: {_cause(error)}"
    if not isinstance(value, Mapping):
        return None, 'must be a JSON object, e.g. {"image": 4}'
    problem = next(_problems(value, "", 0), None)
    if problem:
        return None, problem
    text = json.dumps(_plain(value), separators=(",", ":"), sort_keys=True, allow_nan=False)
    if len(text) > MAX_TEXT:
        return None, f"is longer than {MAX_TEXT} characters"
    return text, None


def _cause(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos + 1}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _problems(value: object, where: str, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        yield f"is nested deeper than {MAX_DEPTH} levels"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entry_problems(key, item, where, depth)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _problems(item, where, depth + 1)
    elif isinstance(value, str):
        problem = _bad_text(value)
        if problem:
            yield f"{where or 'value'} {problem}"
    elif isinstance(value, int | float) and not -(2**63) <= value < 2**64:
        yield f"{where} must be a finite number of ordinary size"
    elif value is not None and not isinstance(value, bool | int | float):
        yield f"{where} must be a text, a number, true, false or null"


def _entry_problems(key: object, item: object, where: str, depth: int) -> Iterator[str]:
    if not isinstance(key, str):
        yield f"has the key {shown(str(key))}, which must be a text"
        return
    if not_ascii(key) or not key or len(key) > 128:
        yield f"has the key {shown(key)}, which is not a plain word"
        return
    here = f"{where}.{key}" if where else key
    parts = set(key.lower().replace("-", "_").replace(".", "_").split("_"))
    if key.lower() in _MODEL_KEYS:
        problem = bad_repo(item) if isinstance(item, str) else "must be a repository 'org/name'"
        if problem:
            yield f"{here} {problem}"
        return
    if key.lower() in _CODE_KEYS or (parts & _CODE_WORDS and key.lower() not in _SAFE_KEYS):
        yield f"{here} is refused, because it can name code, files or addresses"
        return
    yield from _problems(item, here, depth + 1)


def _bad_text(value: str) -> str | None:
    problem = not_ascii(value)
    if problem:
        return problem
    if any(char in value for char in "/\\~`$;|&<>"):
        return "must be a plain word: no paths, addresses or shell characters"
    parts = value.split(".")
    if len(parts) > 1 and all(part.isidentifier() for part in parts):
        return "must be a plain word: it reads like the name of a Python object"
    return None
