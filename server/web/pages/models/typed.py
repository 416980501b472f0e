"""The fields of the form <-> the body of an entry. Pure.

Owns what an empty field means (not set) and where in the form a fault of the entry is shown.
Refuses to judge: a text that is no number goes to the catalog as it was typed, which says so.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from server.catalog.entry import LAUNCHERS, SWAP_POLICIES
from server.catalog.knobs import KNOBS
from server.catalog.model import Model

KNOB = "knob."
EXTRA = "extra_args"
LINES = {"yes": True, "on": True, "off": False}
PAGES = frozenset({"new", "import"})
"""Ids that would have no page of their own: these addresses are taken."""
_LISTS = ("aliases", "hosts")
_NUMBERS = ("nodes", "ttl")
_WORDS = ("name", "description", "launcher", "image", "swap")


def body_of(given: Mapping[str, str]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The body, and what the form itself cannot read, by form field."""
    wrong: list[tuple[str, str]] = []
    body: dict[str, Any] = {"id": given.get("id", "").strip(), "source": _source(given)}
    for name in _WORDS:
        if given.get(name, "").strip():
            body[name] = given[name].strip()
    for name in _NUMBERS:
        if given.get(name, "").strip():
            body[name] = _number(given[name].strip())
    for name in _LISTS:
        words = given.get(name, "").replace(",", " ").split()
        if words:
            body[name] = words
    body["pinned"] = given.get("pinned") == "yes"
    body["enabled"] = given.get("enabled") == "yes"
    body["env"] = _env(given.get("env", ""), wrong)
    body["knobs"] = _knobs(given)
    if given.get("variants", "").strip():
        try:
            body["variants"] = json.loads(given["variants"])
        except (ValueError, RecursionError):
            wrong.append(("variants", 'is not JSON, like {"high": {"reasoning_effort": "high"}}'))
    return body, wrong


def _source(given: Mapping[str, str]) -> dict[str, str]:
    if given.get("kind") == "path":
        return {"path": given.get("path", "").strip()}
    source = {"hf": given.get("hf", "").strip()}
    revision = given.get("revision", "").strip()
    return source | ({"revision": revision} if revision else {})


def _number(text: str) -> int | float | str:
    """The number, or the text as it was typed: what is wrong with it is said at its field."""
    if len(text) > 32 or not text.isascii():
        return text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _env(text: str, wrong: list[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = line.strip().partition("=")
        if not name or name.startswith("#"):
            continue
        if not equals:
            wrong.append(("env", f"line {number} is not NAME=value"))
        elif name.strip() in found:
            wrong.append(("env", f"line {number} sets {name.strip()} again"))
        else:
            found[name.strip()] = value.strip()
    return found


def _knobs(given: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for knob in KNOBS.values():
        text = given.get(KNOB + knob.name, "").strip()
        if not text or knob.type == "args":
            continue
        if knob.type == "bool":
            found[knob.name] = LINES.get(text, text)
        elif knob.type in {"int", "float"}:
            found[knob.name] = _number(text)
        else:
            found[knob.name] = text
    extra = [line.strip() for line in given.get(EXTRA, "").splitlines() if line.strip()]
    if extra:
        found[EXTRA] = [word for line in extra for word in _line(line)]
    return found


def _line(line: str) -> list[str]:
    """`--flag value` on one line is two words; a value with spaces in it stands alone."""
    flag, space, value = line.partition(" ")
    return [flag, value.strip()] if space and flag.startswith("--") else [line]


def values_of(model: Model) -> dict[str, str]:
    """What stands in every field of the form of a model that is edited; empty: not set."""
    unset = {KNOB + name: "" for name in KNOBS if name != EXTRA}
    return unset | values_from(model.to_dict())


def values_from(body: Mapping[str, Any]) -> dict[str, str]:
    """What stands in the form of a body, which may lack anything (a recipe, a found model)."""
    source = body.get("source") or {}
    knobs = dict(body.get("knobs") or {})
    extra = knobs.pop(EXTRA, ())
    values = {
        "id": str(body.get("id", "")),
        "kind": "path" if source.get("path") else "hf",
        "hf": source.get("hf") or "",
        "revision": source.get("revision") or "",
        "path": source.get("path") or "",
        "nodes": str(body.get("nodes", 1)),
        "ttl": str(body.get("ttl", 0)),
        "aliases": ", ".join(body.get("aliases") or ()),
        "hosts": ", ".join(body.get("hosts") or ()),
        "pinned": "yes" if body.get("pinned") else "",
        "enabled": "yes" if body.get("enabled", True) else "",
        "env": "\n".join(f"{name}={value}" for name, value in (body.get("env") or {}).items()),
        "variants": json.dumps(body["variants"], indent=1) if body.get("variants") else "",
        EXTRA: "\n".join(_paired(extra)),
    }
    values |= {name: str(body.get(name) or "") for name in _WORDS}
    return values | {KNOB + name: _shown(value) for name, value in knobs.items()}


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _paired(words: Iterable[str]) -> list[str]:
    """A flag and its one value on one line."""
    lines: list[str] = []
    for word in words:
        alone = bool(lines) and lines[-1].startswith("--") and not {" ", "="} & set(lines[-1])
        if alone and not word.startswith("--"):
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def at_field(param: str) -> str:
    """The form field at which a fault of the entry is shown; empty when there is none."""
    group, _, rest = param.partition(".")
    if group == "source":
        return rest if rest in {"hf", "path", "revision"} else "hf"
    if group == "knobs":
        name = rest.partition(".")[0]
        return EXTRA if name == EXTRA else KNOB + name if name in KNOBS else ""
    plain = {"id", "env", "variants", "pinned", "enabled", *_WORDS, *_NUMBERS, *_LISTS}
    return group if group in plain else ""


def choices() -> dict[str, tuple[str, ...]]:
    """Of the fields that have a few fixed answers."""
    return {"swap": SWAP_POLICIES, "launcher": LAUNCHERS}
