"""The small part of Go templates that docker's --format is used with: fields and `json`.

Pure. Owns `{{.A.B}}`, `{{json .A}}` and `{{index .A 0}}`; refuses pipelines in docker's words.
"""

import json
import re
from typing import Any

from server.sim.docker.words import DockerError

ACTION = re.compile(r"\{\{\s*(.*?)\s*\}\}")
INDEX = re.compile(r"index\s+(\.\S*)\s+(\S+)")


def fill(template: str, value: Any) -> str:
    """The template with its actions replaced by parts of `value`."""
    text = template.replace("\\t", "\t").replace("\\n", "\n")
    return ACTION.sub(lambda match: _action(match.group(1), value), text)


def _action(action: str, value: Any) -> str:
    if action.startswith("json "):
        return json.dumps(_field(action[5:].strip(), value), separators=(",", ":"))
    if match := INDEX.fullmatch(action):
        inner = _field(match.group(1), value)
        key = match.group(2).strip('"')
        try:
            return _shown(inner[int(key)] if isinstance(inner, list) else inner.get(key, ""))
        except IndexError:
            raise DockerError(
                f"template parsing error: error calling index: index out of range: {key}\n"
            ) from None
    if action.startswith("."):
        return _shown(_field(action, value))
    raise DockerError(
        f'template parsing error: template: :1: function "{action.partition(" ")[0]}" not defined\n'
    )


def _field(path: str, value: Any) -> Any:
    for part in path.strip(".").split("."):
        if not part:
            continue
        if not isinstance(value, dict) or part not in value:
            raise DockerError(
                f'template parsing error: template: :1:2: executing "" at <{path}>: map has no '
                f'entry for key "{part}"\n'
            )
        value = value[part]
    return value


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<no value>"
    if isinstance(value, list):
        return "[" + " ".join(_shown(item) for item in value) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{_shown(v)}" for k, v in sorted(value.items())) + "]"
    return str(value)
