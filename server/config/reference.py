"""The rows of `docs/configuration.md` and the lines of `.env.example`, made from the schema.

Pure. A test compares both files with these, and prints what to paste when one is missing.
"""

import json
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticUndefined

from server.config.schema import Setting, bounds, env_name, keys_at, kind, may_be_empty, settings

HEADER = (
    "| setting | type | default | bounds | environment | meaning |",
    "|---|---|---|---|---|---|",
)


@dataclass(frozen=True, slots=True)
class Place:
    """A variable that says where things are, and is therefore no setting of `config.yaml`."""

    env: str
    default: str
    meaning: str


PLACES = (
    Place("SPARK_CONTROL_DATA", "./data", "The data directory; `/data` in the container."),
    Place("MODELS_OVERRIDES", "", "Custom models; empty: `models.override.yaml` in it."),
    Place(
        "SPARK_CONTROL_DATABASE_URL",
        "",
        "`postgresql+asyncpg://…`; empty: SQLite, `spark-control.db` in it.",
    ),
    Place("SPARK_CONTROL_URL", "http://127.0.0.1:9999", "Where the command line finds the app."),
)


def row(setting: Setting) -> str:
    """The row of one setting in the table of its section."""
    variable = "" if setting.many else f"`{setting.env}`"
    cells = (
        f"`{setting.name}`",
        kind(setting.field),
        _default(setting),
        _bounds(setting),
        variable,
        setting.field.description or "",
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def place_row(place: Place) -> str:
    default = f"`{place.default}`" if place.default else ""
    return f"| `{place.env}` | {default} | {place.meaning} |"


def env_lines() -> list[str]:
    """One commented-out line for every variable, in the order of the schema."""
    lines = [f"# {place.env}={place.default}" for place in PLACES]
    lists: set[str] = set()
    for setting in settings():
        if not setting.many:
            default = setting.field.default
            lines.append(f"# {setting.env}={'' if default is None else _plain(default)}")
        elif setting.section not in lists:
            lists.add(setting.section)
            lines.append(f"# {setting.env}=[]")
    return lines


def sections() -> dict[str, list[Setting]]:
    """The settings by section, in the order of the schema."""
    found: dict[str, list[Setting]] = {section: [] for section in keys_at(())}
    for setting in settings():
        found[setting.section].append(setting)
    return found


def list_variable(section: str) -> str:
    return env_name((section,))


def _default(setting: Setting) -> str:
    default = setting.field.default
    if default is PydanticUndefined:
        return "required"
    return "empty" if default is None else f"`{_plain(default)}`"


def _plain(default: Any) -> str:
    if isinstance(default, tuple | bool):
        return json.dumps(default)
    return str(default)


def _bounds(setting: Setting) -> str:
    least, most = bounds(setting.field)
    parts = []
    if least is not None:
        parts.append(f"≥ {least:.10g}")
    if most is not None:
        parts.append(f"≤ {most:.10g}" if most < 1 << 40 else f"≤ {most:.0f}")
    if may_be_empty(setting.field):
        parts.append("may be empty")
    return ", ".join(parts)
