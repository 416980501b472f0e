"""Questions about the schema in `model.py`: which settings there are, of what type and bounds.

Pure. One answer for the reader of the environment, the explanation of mistakes and the reference.
"""

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from server.config.model import Settings, Where

ENV_PREFIX = "SPARK_CONTROL_"
ENV_DELIMITER = "__"

_WORDS: dict[Any, str] = {str: "text", int: "whole number", float: "number", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One key. `section` is the top-level key; `many` when the section is a list of groups."""

    section: str
    key: str
    many: bool
    field: FieldInfo

    @property
    def name(self) -> str:
        return f"{self.section}[].{self.key}" if self.many else f"{self.section}.{self.key}"

    @property
    def env(self) -> str:
        """The variable that overrides it; for a list the one that replaces the whole list."""
        return env_name((self.section,) if self.many else (self.section, self.key))


def env_name(where: Where) -> str:
    return ENV_PREFIX + ENV_DELIMITER.join(str(part).upper() for part in where)


def settings() -> Iterator[Setting]:
    """Every setting there is, in the order of the schema."""
    for section, field in Settings.model_fields.items():
        group = group_of(field.annotation)
        many = takes_json(field.annotation)
        for key, inner in group.model_fields.items():
            yield Setting(section, key, many, inner)


def group_of(annotation: Any) -> type[BaseModel]:
    """The group of settings that an annotation is, or is a list of."""
    for option in (annotation, *typing.get_args(annotation)):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    raise TypeError(f"{annotation} holds no group of settings")


def field_at(where: Where) -> FieldInfo | None:
    """The field a location (as in an error) points to, or into; None when there is no such key."""
    fields = Settings.model_fields
    found: FieldInfo | None = None
    for part in where:
        if isinstance(part, int):
            continue
        if part not in fields:
            return None
        found = fields[part]
        try:
            fields = group_of(found.annotation).model_fields
        except TypeError:
            fields = {}
    return found


def keys_at(where: Where) -> tuple[str, ...]:
    """The keys known directly under a location."""
    field = field_at(where)
    if not where:
        return tuple(Settings.model_fields)
    try:
        return tuple(group_of(field.annotation).model_fields) if field else ()
    except TypeError:
        return ()


def options(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a union; the annotation alone when it is none."""
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return typing.get_args(annotation)
    return (annotation,)


def takes_json(annotation: Any) -> bool:
    """Whether the environment gives this as JSON: lists and lists of groups."""
    return any(typing.get_origin(option) in {tuple, list, dict} for option in options(annotation))


def may_be_empty(field: FieldInfo) -> bool:
    return type(None) in options(field.annotation)


def needs_restart(field: FieldInfo) -> bool:
    """Whether a change takes effect at the next start only."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and extra.get("restart") is True


def choices(field: FieldInfo) -> tuple[str, ...]:
    """The values that may be chosen from; none where anything of its type will do."""
    option = next(o for o in options(field.annotation) if o is not type(None))
    return typing.get_args(option) if typing.get_origin(option) is Literal else ()


def kind(field: FieldInfo) -> str:
    """The type in words: `whole number`, `one of open, password`, `list of text`."""
    option = next(o for o in options(field.annotation) if o is not type(None))
    origin = typing.get_origin(option)
    if origin is Literal:
        return f"one of {', '.join(typing.get_args(option))}"
    if origin is tuple:
        inner = typing.get_args(option)[0]
        return f"list of {_WORDS.get(_bare(inner), 'groups')}"
    return _WORDS.get(_bare(option), "group")


def _bare(annotation: Any) -> Any:
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    """(least, most), inclusive; None where there is none."""
    least = most = None
    for rule in _rules(field):
        if isinstance(rule, Ge):
            least = typing.cast("float", rule.ge)
        if isinstance(rule, Le):
            most = typing.cast("float", rule.le)
    return least, most


def _rules(field: FieldInfo) -> Iterator[Any]:
    yield from field.metadata
    for option in options(field.annotation):
        if typing.get_origin(option) is typing.Annotated:
            for rule in typing.get_args(option)[1:]:
                yield from rule.metadata if isinstance(rule, FieldInfo) else (rule,)
