"""Settings from the environment: `SPARK_CONTROL_<SECTION>__<KEY>`, names in any case.

Pure. The rules are those of pydantic-settings: a value is taken as text and converted by the
schema, lists and whole sections (`SPARK_CONTROL_HOSTS`, `SPARK_CONTROL_ENGINE`) are JSON, a key
named on its own wins over its section, an empty value counts as not set, `null` empties a key that
may be empty. A name that cannot be a setting is a mistake when it holds `__`, and somebody else's
when not.
"""

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from server.config.model import Settings, Where
from server.config.schema import (
    ENV_DELIMITER,
    ENV_PREFIX,
    env_name,
    field_at,
    keys_at,
    may_be_empty,
    takes_json,
)


@dataclass(slots=True)
class Overlay:
    """`values` by location, whole sections first; `names` the variable each came from."""

    values: dict[Where, Any] = field(default_factory=dict)
    names: dict[Where, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def name(self, where: Where) -> str | None:
        """The variable that gave this setting (or something around it); None: the file's own."""
        for end in range(len(where), 0, -1):
            if where[:end] in self.names:
                return self.names[where[:end]]
        return None

    def merged(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """`data` with the overlay on top; neither is changed."""
        result = dict(data)
        for where, value in self.values.items():
            section = str(where[0])
            below = result.get(section)
            if len(where) == 1 and not isinstance(value, Mapping):
                result[section] = value
                continue
            if below is not None and not isinstance(below, Mapping):
                continue  # the file's mistake is reported as such
            changes = value if len(where) == 1 else {str(where[1]): value}
            result[section] = {**(below or {}), **changes}
        return result


def overlay(environ: Mapping[str, str]) -> Overlay:
    """What `environ` says about settings. Never raises: what is wrong is in `problems`."""
    result = Overlay()
    found = sorted(_ours(environ), key=lambda item: (len(item[1]), item[0] == item[0].upper()))
    for name, parts, text in found:
        if len(parts) > 2 or field_at(parts) is None:
            result.problems.append(f"{name}: {_unknown(parts)}")
        elif text.strip():
            _take(result, name, parts, text)
    return result


def _ours(environ: Mapping[str, str]) -> Iterable[tuple[str, tuple[str, ...], str]]:
    for name, text in environ.items():
        if not name.upper().startswith(ENV_PREFIX):
            continue
        parts = tuple(name[len(ENV_PREFIX) :].lower().split(ENV_DELIMITER))
        if len(parts) > 1 or parts[0] in Settings.model_fields:
            yield name, parts, text


def _take(result: Overlay, name: str, where: tuple[str, ...], text: str) -> None:
    target = field_at(where)
    if target is None:
        raise KeyError(name)
    value: Any = text
    if len(where) == 1 or takes_json(target.annotation):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            result.problems.append(f"{name}: is not valid JSON: write it like {_example(where)}")
            return
        if len(where) == 1 and isinstance(value, Mapping):
            for key in value:
                result.names[(*where, str(key))] = name
        else:
            result.names[where] = name
    else:
        if may_be_empty(target) and text.strip().lower() == "null":
            value = None
        result.names[where] = name
    result.values[where] = value


def _example(where: tuple[str, ...]) -> str:
    if where == ("hosts",):
        return '[{"name": "spark-1", "address": "192.0.2.11"}]'
    if where == ("services",):
        return '[{"name": "kokoro", "kind": "tts", "host": "spark-1", "port": 8880}]'
    if where == ("links",):
        return '[{"name": "Open WebUI", "url": "http://spark-1:3000"}]'
    if len(where) == 1:
        return f'{{"{keys_at(where)[0]}": …}}'
    return '["first", "second"]'


def _unknown(parts: tuple[str, ...]) -> str:
    section = parts[0]
    if section not in Settings.model_fields:
        near = difflib.get_close_matches(section, list(Settings.model_fields), 1)
        better = env_name((*near, *parts[1:])) if near else ""
        known = ", ".join(Settings.model_fields)
        return f"there is no section {section!r} (known: {known})" + _meant(better)
    if takes_json(Settings.model_fields[section].annotation):
        return f"{section} is a list: give all of it as JSON in {env_name((section,))}"
    near = difflib.get_close_matches(parts[1], keys_at((section,)), 1)
    better = env_name((section, *near)) if near else ""
    return f"{section} has no setting {parts[1]!r}" + _meant(better)


def _meant(name: str) -> str:
    return f"; did you mean {name}?" if name else ": remove it"
