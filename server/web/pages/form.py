"""A form with fields: what was typed, what is wrong with each field, and whether it is out of date.

Pure. Every form is drawn from a `FormView` and answered with one, so that nothing that was typed
is ever lost. `version` travels in a hidden field of that name: it says which state of the thing the
person was looking at. When that has changed meanwhile the form comes back as `stale`, with what was
typed, what is saved now beside each field that differs, and the new version, so that sending it
again is a decision. Refuses to know what the fields mean.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from server.base.errors import SparkError

VERSION = "version"
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class FormView:
    """`values` and `errors` by field; `theirs` is what others saved meanwhile. Hashable, as every
    view is: fragments are kept by their views."""

    values: Pairs = ()
    errors: Pairs = ()
    theirs: Pairs = ()
    message: str = ""
    advice: str = ""
    version: str = ""
    stale: bool = False

    def value(self, name: str, default: str = "") -> str:
        return dict(self.values).get(name, default)

    def checked(self, name: str) -> bool:
        """A box that is not checked is not sent at all."""
        return bool(self.value(name))

    def error(self, name: str) -> str:
        return dict(self.errors).get(name, "")

    def saved(self, name: str) -> str | None:
        """What is saved now, where that differs from what was typed."""
        return dict(self.theirs).get(name)

    @property
    def refused(self) -> bool:
        return bool(self.errors or self.message)


def version_of(thing: Any) -> str:
    """Ten letters that change when `thing` (anything JSON can hold) does."""
    text = json.dumps(thing, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def fresh(values: Mapping[str, str], version: str = "") -> FormView:
    """A form as it is opened."""
    return FormView(_pairs(values), version=version)


def refused(given: Mapping[str, str], error: SparkError, known: Collection[str] = ()) -> FormView:
    """What was typed, with the error at its field. An error of no field of the form (`known`; the
    given fields where it is empty) is its `message`."""
    listed: Collection[tuple[str, str]] = getattr(error, "fields", ()) or (
        (error.param or "", error.message),
    )
    fields = frozenset(known) or frozenset(given)
    at_fields = tuple((name, _bare(name, said)) for name, said in listed if name in fields)
    elsewhere = [f"{name}: {said}" if name else said for name, said in listed if name not in fields]
    return FormView(
        _pairs(given),
        errors=at_fields,
        message=" ".join(elsewhere) or ("" if at_fields else error.message),
        advice=error.advice or "",
        version=given.get(VERSION, ""),
    )


def outdated(given: Mapping[str, str], saved: Mapping[str, str], version: str) -> FormView:
    """The thing was changed since the form was opened: `saved` is its state now."""
    return FormView(
        _pairs(given),
        theirs=tuple(
            (name, value) for name, value in saved.items() if given.get(name, "") != value
        ),
        message="This was changed meanwhile. What you typed is still here and is not saved.",
        advice="Compare it with what is saved now, then send it again to overwrite that.",
        version=version,
        stale=True,
    )


def is_stale(given: Mapping[str, str], version: str) -> bool:
    """A form without a version (a script, an old page) is not held up."""
    return bool(given.get(VERSION)) and given[VERSION] != version


def _pairs(values: Mapping[str, str]) -> Pairs:
    return tuple((name, value) for name, value in values.items() if name != VERSION)


def _bare(name: str, message: str) -> str:
    """`port: use a number` stands beside the field already."""
    return message.removeprefix(f"{name}:").strip()
