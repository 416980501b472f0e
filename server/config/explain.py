"""What pydantic found wrong, as a sentence for people: what is wrong, what to do.

Pure. Refuses to repeat a value whose key names a secret, and to use words of the library.
"""

import difflib
from collections.abc import Mapping
from typing import Any

from server.base.redact import is_secret_name, one_line, redact
from server.config.model import Where
from server.config.schema import bounds, field_at, keys_at, kind

_NOUNS = {
    "whole number": "a whole number",
    "number": "a number",
    "text": "text",
    "true or false": "true or false",
    "group": "a group of settings written as `name: value`",
}


def explain(error: Mapping[str, Any]) -> tuple[Where, str]:
    """(the setting, the sentence) of one entry of `ValidationError.errors()`."""
    where: Where = tuple(error["loc"])
    kind_of_error = str(error["type"])
    value = error.get("input")
    if kind_of_error == "extra_forbidden":
        return where, _unknown(where)
    if kind_of_error == "missing":
        return where, f"is missing: add it ({_wanted(where)})"
    if value is None:
        return where, f"is empty: give it a value ({_wanted(where)}) or remove the line"
    if kind_of_error == "value_error":
        return where, _own(error, where, value)
    if kind_of_error == "string_pattern_mismatch":
        return where, f"has characters that are not allowed there{_not(where, value)}"
    quotes = ": put it in quotes" if kind_of_error == "string_type" else ""
    return where, f"must be {_wanted(where)}{_not(where, value)}{quotes}"


def _own(error: Mapping[str, Any], where: Where, value: Any) -> str:
    sentence = str(error.get("ctx", {}).get("error", error["msg"]))
    return f"{sentence}{_not(where, value)}" if isinstance(value, str) else sentence


def _unknown(where: Where) -> str:
    key = str(where[-1])
    known = keys_at(where[:-1])
    near = difflib.get_close_matches(key, known, 1)
    if near:
        return f"is not a setting: did you mean {near[0]!r}?"
    listed = ", ".join(known) if len(known) <= 10 else "see docs/configuration.md"
    return f"is not a setting: remove it (known here: {listed})"


def _wanted(where: Where) -> str:
    """What belongs at this location, in words, with its bounds."""
    field = field_at(where)
    if field is None:
        return "a value"
    word = kind(field)
    if word.startswith("list of"):
        inner = word.removeprefix("list of ")
        item = "a group of settings" if inner == "groups" else _NOUNS.get(inner, inner)
        return item if where and isinstance(where[-1], int) else f"a {word}, like [a, b]"
    if isinstance(where[-1], int):
        return _NOUNS["group"]
    least, most = bounds(field)
    if least is not None and most is not None:
        return f"{_NOUNS[word]} from {least:.10g} to {most:.10g}"
    if least is not None:
        return f"{_NOUNS[word]}, at least {least:.10g}"
    return _NOUNS.get(word, word)


def _not(where: Where, value: Any) -> str:
    named = next((part for part in reversed(where) if isinstance(part, str)), "")
    if is_secret_name(named):
        return ""
    if isinstance(value, Mapping):
        return ", not a group"
    if isinstance(value, list | tuple):
        return ", not a list"
    shown = f"'{value}'" if isinstance(value, str) else str(value)
    return f", not {one_line(redact(shown), 80)}"
