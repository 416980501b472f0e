"""A model that is not saved yet: what is wrong with it, the commands that would start it, whether
it would fit. One answer for the JSON API and for the form that asks while somebody types. From
memory; nothing is saved and no host is asked."""

from dataclasses import dataclass
from typing import Any

from server.base.errors import SparkError
from server.catalog.homes import Outlook, Stored
from server.catalog.model import Model
from server.launch.model import PlannedCommand
from server.launch.plan import build_spec
from server.web.fitting import Fitting
from server.web.parts import Parts


@dataclass(frozen=True, slots=True)
class Check:
    """`problems` are (field, sentence). Without any there is a model; `refused` says why it could
    not be started with the settings of this moment, and then there are no commands."""

    problems: tuple[tuple[str, str], ...]
    model: Model | None = None
    commands: tuple[PlannedCommand, ...] = ()
    refused: str = ""
    fit: Outlook | None = None
    files: tuple[Stored, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "ok": not self.problems,
            "problems": [{"param": name, "message": text} for name, text in self.problems],
            "model": None if self.model is None else self.model.to_dict(),
            "commands": [
                {"name": one.name, "host": one.host, "command": one.shown} for one in self.commands
            ],
            "refused": self.refused or None,
            "fit": None if self.fit is None else self.fit.to_dict(),
            "files": [one.to_dict() for one in self.files],
        }


def checked(parts: Parts, body: object, replaces: str | None = None) -> Check:
    found = parts.catalog.check(body, replaces)
    problems = tuple((problem.field, problem.message) for problem in found.problems)
    if found.model is None:
        return Check(problems)
    commands, refused = planned(parts, found.model)
    fitting = Fitting(parts)
    outlook, files = fitting.outlook(found.model), fitting.files(found.model)
    return Check(problems, found.model, commands, refused, outlook, files)


def planned(parts: Parts, model: Model) -> tuple[tuple[PlannedCommand, ...], str]:
    """The commands that would start it now, or why it cannot be started."""
    try:
        spec = build_spec(model, parts.settings.current)
        return tuple(parts.swaps.preview(spec)), ""
    except SparkError as error:
        text = f"{error.message.removesuffix('.')}."
        return (), " ".join(filter(None, (text, error.advice)))
