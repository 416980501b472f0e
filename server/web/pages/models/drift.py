"""What would change if a model were started anew: its command now against the one that runs. Pure.

Two engines of one model differ in place (host, port, container), which a swap decides anew each
time, and in what they were told. Only the second is a difference. Refuses to show a secret.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from server.base.redact import redact, redact_argv
from server.launch.model import LaunchSpec
from server.launch.place import moved


@dataclass(frozen=True, slots=True)
class Change:
    """`runs` is what the running engine was told, `wanted` what the entry says now."""

    kind: Literal["added", "removed", "changed"]
    what: str
    runs: str
    wanted: str


def drift(running: LaunchSpec, wanted: LaunchSpec) -> tuple[Change, ...]:
    """Empty when the engine would be started as it runs."""
    there = moved(wanted, running.nodes, running.container, running.port)
    before, after = _words(running), _words(there)
    changes = [
        _change(name, before.get(name), after.get(name))
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    ]
    if len(running.nodes) != len(wanted.nodes):
        count = (str(len(running.nodes)), str(len(wanted.nodes)))
        changes.append(Change("changed", "nodes", *count))
    return tuple(changes)


def _change(name: str, runs: str | None, wanted: str | None) -> Change:
    kind: Literal["added", "removed", "changed"] = (
        "added" if runs is None else "removed" if wanted is None else "changed"
    )
    return Change(kind, name, runs or "", wanted or "")


def _words(spec: LaunchSpec) -> dict[str, str]:
    """Everything that was told, by name, redacted."""
    found = {"launcher": spec.launcher, "image": spec.image, "source": spec.source}
    found |= {f"env {name}": redact(f"{name}={value}") for name, value in spec.env}
    found |= {f"mount {inside}": f"{host}:{inside}" for host, inside, _ in spec.mounts}
    found |= {f"launcher {name}": redact(value) for name, value in spec.options}
    return {name: text for name, text in found.items() if text} | flags(redact_argv(spec.argv))


def flags(argv: Sequence[str]) -> dict[str, str]:
    """`--flag value …` by flag; a flag that is given twice counts as its last."""
    found: dict[str, str] = {}
    name = ""
    for word in argv:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            found[name] = f"{name} {value}" if equals else name
        elif name:
            found[name] += f" {word}"
    return found
