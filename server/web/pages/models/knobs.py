"""The part of the form that is made from the schema of the knobs. Pure.

A knob that is not set shows its default as a placeholder; what is set is sent, and an empty field
is not. A new knob in the table of the catalog is a new field here, with nothing to do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from server.web.pages.models.typed import KNOB

Kind = Literal["number", "switch", "choice", "text", "json"]

TITLES: Mapping[str, str] = MappingProxyType(
    {
        "memory": "Memory and context",
        "model": "Weights and tokens",
        "tools": "Tools and thinking",
        "speed": "Speed and nodes",
        "engine": "Engine",
    }
)
OPEN = "memory"
"""The group that nearly everybody needs."""


@dataclass(frozen=True, slots=True)
class KnobField:
    """`choices` are the whole list of answers, `suggestions` only some."""

    name: str
    label: str
    flag: str
    kind: Kind
    help: str
    placeholder: str
    choices: tuple[tuple[str, str], ...] = ()
    suggestions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KnobGroup:
    key: str
    title: str
    fields: tuple[KnobField, ...]
    open: bool
    set: int


def groups(
    schema: Sequence[Mapping[str, Any]], values: Mapping[str, str], wrong: Sequence[str]
) -> tuple[KnobGroup, ...]:
    """In the order of the schema. A group with something set, or in `wrong` (also what somebody
    else has changed), stands open."""
    found: dict[str, list[KnobField]] = {}
    for knob in schema:
        if knob["type"] != "args":
            found.setdefault(knob["group"], []).append(field(knob))
    made = []
    for key, fields in found.items():
        count = sum(bool(values.get(one.name)) for one in fields)
        bad = any(one.name in wrong for one in fields)
        title = TITLES.get(key, key.capitalize())
        made.append(KnobGroup(key, title, tuple(fields), key == OPEN or bad, count))
    return tuple(made)


def field(knob: Mapping[str, Any]) -> KnobField:
    kind, default = _kind(knob), str(knob.get("default") or "")
    choices: tuple[tuple[str, str], ...] = ()
    if kind == "switch":
        choices = (("", f"default ({default or 'off'})"), ("on", "on"), ("off", "off"))
    elif kind == "choice":
        choices = (("", f"default ({default})" if default else "default"),)
        choices += tuple((word, word) for word in knob["choices"])
    return KnobField(
        name=KNOB + knob["name"],
        label=knob["name"],
        flag=knob["flag"],
        kind=kind,
        help=_help(knob),
        placeholder=default or ("{ }" if kind == "json" else "default"),
        choices=choices,
        suggestions=tuple(knob["suggestions"]),
    )


def _kind(knob: Mapping[str, Any]) -> Kind:
    kinds: dict[str, Kind] = {"int": "number", "float": "number", "bool": "switch", "json": "json"}
    return kinds.get(knob["type"]) or ("choice" if knob["choices"] else "text")


def _exact(figure: float) -> str:
    return f"{int(figure):,}" if figure == int(figure) else f"{figure:g}"


def _help(knob: Mapping[str, Any]) -> str:
    """With the bounds, since a placeholder cannot say them."""
    low, high = knob["minimum"], knob["maximum"]
    if low is None or high is None:
        return str(knob["help"])
    return f"{knob['help']} {_exact(low)} to {_exact(high)}."
