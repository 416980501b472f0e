"""What a host is told to do: the keys of `scenario.json`, their defaults and their checks.

Owns the vocabulary of faults. Refuses unknown keys and wrong types, so that a misspelt scenario
is an error and not a test that proves nothing. Read again by every shim each time it runs.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

GIB = 1 << 30

CHOICES: Mapping[str, tuple[str, ...]] = {
    "fail": ("none", "oom", "oom-killed", "load", "kv", "crash", "hang", "arch"),
    "answer": ("ok", "error", "empty", "hang"),
    "service_answer": ("ok", "error", "busy", "hang"),
    "docker": ("ok", "absent", "denied", "down", "hang"),
    "launcher_version": ("current", "2026-01"),
    "memory_counted": ("available", "free"),
}


class ScenarioError(ValueError):
    """A scenario that cannot be played. The message names every bad key."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """How one host behaves. Times are seconds, sizes bytes. `says` is what an engine writes to its
    log before it loads, as it is: lines of any kind, however hostile."""

    load_seconds: float = 6.0
    fail: str = "none"
    only: str = ""
    crash_after_seconds: float = 1.0
    start_delay: float = 0.0
    stop_delay: float = 0.0
    release_delay: float = 0.2
    first_token_delay: float = 0.02
    token_delay: float = 0.01
    answer: str = "ok"
    service_seconds: float = 0.05
    service_answer: str = "ok"
    docker: str = "ok"
    launcher_version: str = "current"
    disk_full: bool = False
    shards_broken: bool = False
    smi_delay: float = 0.0
    download_seconds: float = 2.0
    memory_total_bytes: int = 127_611_700 * 1024
    memory_counted: str = "available"
    page_cache_bytes: int = 6 * GIB
    extra_memory_bytes: int = 0
    says: str = ""

    def changed(self, changes: Mapping[str, Any]) -> "Scenario":
        """The scenario with `changes` taken over, or ScenarioError naming all that is wrong."""
        problems: list[str] = []
        taken: dict[str, Any] = {}
        defaults = {field.name: field.default for field in fields(Scenario)}
        for key, value in changes.items():
            if key not in defaults:
                problems.append(f"{key}: no such scenario key; known are {', '.join(defaults)}")
                continue
            problem = _problem(key, value, defaults[key])
            if problem:
                problems.append(f"{key}: {problem}")
            else:
                taken[key] = float(value) if isinstance(defaults[key], float) else value
        if problems:
            raise ScenarioError("; ".join(problems))
        return replace(self, **taken)

    def told_to(self, model: str) -> "Scenario":
        """What an engine for `model` (its path or repository) hears: with `only`, the failures and
        answers are for the models whose name contains it, and all others are well."""
        if self.only in model:
            return self
        return replace(self, fail="none", answer="ok", shards_broken=False)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _problem(key: str, value: object, default: object) -> str | None:
    if isinstance(default, str):
        return _wrong_text(key, value)
    if isinstance(default, bool):
        return None if isinstance(value, bool) else "must be true or false"
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return "must be a number, 0 or more"
    if isinstance(default, int) and not isinstance(value, int):
        return "must be a whole number"
    return None


def _wrong_text(key: str, value: object) -> str | None:
    choices = CHOICES.get(key)
    if choices is None:
        return None if isinstance(value, str) else "must be text"
    return None if value in choices else f"must be one of {', '.join(choices)}"


def read(path: Path) -> Scenario:
    """The scenario in a file; the defaults when there is none. ScenarioError when it is broken."""
    try:
        body = json.loads(path.read_text())
    except FileNotFoundError:
        return Scenario()
    except ValueError as error:
        raise ScenarioError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ScenarioError(f"{path.name} must hold an object")
    return Scenario().changed(body)
