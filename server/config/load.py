"""Settings from `config.yaml` and the environment: all right, or every mistake in one error.

Owns the precedence (environment, then file, then defaults) and the `ConfigError`. Reads the file
once per call; watching it is `config.store`'s.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from server.base.errors import InvalidValue
from server.base.redact import one_line
from server.config import source
from server.config.environ import Overlay, overlay
from server.config.explain import explain
from server.config.model import Settings, Where, disagreements
from server.config.paths import DATABASE_URL, DataDir, database_url_problem
from server.config.schema import field_at, takes_json

FILE = "config.yaml"


class ConfigError(InvalidValue):
    """Settings with mistakes. Each of `problems` names where, which setting, what to do; `found`
    has the same as (the setting, what is wrong with it), for a form that shows it at the field."""

    def __init__(
        self, problems: tuple[str, ...], found: tuple[tuple[Where, str], ...] = ()
    ) -> None:
        count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"The settings have {count}:\n{lines}")
        self.problems = problems
        self.found = found

    def to_dict(self, request_id: str | None = None) -> dict[str, Any]:
        listed = [{"param": _dotted(where), "message": what} for where, what in self.found]
        return super().to_dict(request_id) | {"errors": listed}


def load(data: Path, environ: Mapping[str, str]) -> Settings:
    """The settings of the data directory `data`. Raises `ConfigError` with every mistake."""
    return settle(read(DataDir(data).config), environ)


def read(path: Path) -> bytes:
    """The bytes of the file, none when it does not exist. Raises `ConfigError`."""
    try:
        with path.open("rb") as file:
            return file.read(source.MAX_BYTES + 1)
    except FileNotFoundError:
        return b""
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise ConfigError(
            (f"{path.name}: cannot be read ({reason}): make it a file that our user may read",)
        ) from error


def settle(raw: bytes, environ: Mapping[str, str]) -> Settings:
    """Settings from the text of the file and the environment. Pure. Raises `ConfigError`."""
    parsed = source.parse(raw)
    above = overlay(environ)
    problems = _Problems(parsed, above)
    body = above.merged(_groups(parsed.data or {}, problems))
    try:
        settings = Settings.model_validate(body)
    except ValidationError as error:
        for entry in error.errors(include_url=False):
            if entry["loc"]:  # the cross-check as a whole; its parts follow below
                problems.add(*explain(entry))
    url = environ.get(DATABASE_URL)
    if url and (problem := database_url_problem(url)):
        problems.add_variable(DATABASE_URL, problem)
    if parsed.data is not None:
        for where, what in disagreements(body):
            problems.add(where, what)
    if problems.all:
        raise ConfigError(problems.sorted(), tuple(dict.fromkeys(problems.found)))
    return settings


def _groups(data: dict[str, Any], problems: "_Problems") -> dict[str, Any]:
    """The file's sections that have the right shape, so that the rest is checked all the same.

    A section whose lines are all commented out is as good as absent.
    """
    kept: dict[str, Any] = {}
    for section, value in data.items():
        field = field_at((section,))
        group = field is not None and not takes_json(field.annotation)
        if group and value is not None and not isinstance(value, dict):
            problems.add(*explain({"loc": (section,), "type": "model_type", "input": value}))
        elif value is not None:
            kept[section] = value
    return kept


class _Problems:
    """Collects mistakes with the place each came from: file and line, or variable."""

    def __init__(self, parsed: source.Source, above: Overlay) -> None:
        self._parsed = parsed
        self._above = above
        self.all: list[tuple[tuple[int, int], str]] = []
        self.found: list[tuple[Where, str]] = []
        for line, where, what in parsed.problems:
            self._add_to_file(line, where, what)
        for text in above.problems:
            self._keep((1, 0), text)

    def add_variable(self, name: str, what: str) -> None:
        self._keep((1, 2), f"{name}: {what}")

    def add(self, where: Where, what: str) -> None:
        self.found.append((where, one_line(what, 600)))
        variable = self._above.name(where)
        if variable is None:
            self._add_to_file(self._parsed.line(where), where, what)
            return
        exact = where in self._above.values
        self._keep(
            (1, 1), f"{variable}: {what}" if exact else f"{variable}: {_dotted(where)}: {what}"
        )

    def _add_to_file(self, line: int | None, where: Where, what: str) -> None:
        place = FILE if line is None else f"{FILE} line {line}"
        setting = f"{_dotted(where)}: " if where else ""
        self._keep((0, line or 0), f"{place}: {setting}{what}")

    def _keep(self, order: tuple[int, int], text: str) -> None:
        self.all.append((order, one_line(text, 600)))

    def sorted(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(text for _, text in sorted(self.all, key=lambda item: item[0])))


def _dotted(where: Where) -> str:
    return ".".join(str(part) for part in where)
