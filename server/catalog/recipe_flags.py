"""The flags of a recipe -> knobs and further flags, with a note on each. Pure.

Owns the words after `vllm serve`, the short forms of other launchers, and what is left to Spark
Control or to nobody. Refuses whatever is meant for a shell.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from server.catalog.extra_args import REFUSED, check_extra_args
from server.catalog.knobs import KNOBS, check_each

_SHORT = MappingProxyType(
    {
        "tp": "tensor_parallel_size",
        "tensor_parallel": "tensor_parallel_size",
        "pp": "pipeline_parallel_size",
        "pipeline_parallel": "pipeline_parallel_size",
        "q": "quantization",
        "gpu_mem": "gpu_memory_utilization",
        "O": "compilation_config",
    }
)
_OURS = MappingProxyType(
    {
        "host": "Spark Control sets it (engine.port)",
        "port": "Spark Control sets it (engine.port)",
        "served_model_name": "the id and the aliases are the names it is served under",
        "model": "it is the source",
        "distributed_executor_backend": "the launcher decides it",
        "nnodes": "the launcher decides it",
        "node_rank": "the launcher decides it",
        "master_addr": "the launcher decides it",
        "master_port": "the launcher decides it",
        "headless": "the launcher decides it",
    }
)
_OPERATOR = re.compile(r"[;&|<>`]|\$\(|\$\{?[A-Za-z_]")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Note:
    """One thing of the recipe: `what` it says and what became of it."""

    what: str
    note: str

    def to_dict(self) -> dict[str, str]:
        return {"what": self.what, "note": self.note}


@dataclass(slots=True)
class Reading:
    """A recipe on its way into an entry."""

    raw: Mapping[str, Any]
    body: dict[str, Any] = field(default_factory=dict)
    knobs: dict[str, Any] = field(default_factory=dict)
    extra: list[str] = field(default_factory=list)
    understood: list[Note] = field(default_factory=list)
    left_out: list[Note] = field(default_factory=list)

    def take(self, what: str, note: str) -> None:
        self.understood.append(Note(cut(what), note))

    def leave(self, what: str, note: str) -> None:
        self.left_out.append(Note(cut(what), note))


def read_defaults(reading: Reading) -> None:
    """A recipe without a command: its defaults and runtime_config are the flags."""
    for group in ("defaults", "runtime_config"):
        given = reading.raw.get(group)
        for name, value in given.items() if isinstance(given, Mapping) else ():
            folded = str(name).replace("-", "_")
            _flag(reading, _SHORT.get(folded, folded), f"{group}: {name}", value)


def read_command(reading: Reading, command: str) -> None:
    """The words after `vllm serve`, with the defaults put into their places."""
    used: set[str] = set()
    filled = _filled(command, reading.raw.get("defaults"), used)
    line = filled.replace("\\\n", " ").replace("\\ \n", " ")
    if "vllm serve" not in line:
        reading.leave("command", "it holds no 'vllm serve'; only vLLM is started here")
        return
    before, _, after = line.partition("vllm serve")
    if before.strip():
        reading.leave(
            f"command: {before.strip()}", "only what follows 'vllm serve' is carried over"
        )
    after, *more = [part for part in after.splitlines() if part.strip()] or [""]
    for part in more:
        reading.leave(f"command: {part.strip()}", "Spark Control runs no commands of a recipe")
    try:
        words = shlex.split(after, comments=True)
    except ValueError as error:
        reading.leave("command", f"its quotes do not add up ({error})")
        return
    _words(reading, words)
    defaults = reading.raw.get("defaults")
    for name in defaults if isinstance(defaults, Mapping) else ():
        if name not in used and name not in _OURS:
            reading.leave(f"defaults: {name}", "the command of the recipe does not use it")


def _filled(command: str, defaults: object, used: set[str]) -> str:
    """`{name}` replaced by its default and `{{` by `{`, as the recipe's own runner does. What has
    no default stays as it is."""
    known = defaults if isinstance(defaults, Mapping) else {}

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        if name not in known:
            return match[0]
        used.add(name)
        value = known[name]
        return str(value).lower() if isinstance(value, bool) else str(value)

    parts = re.split(r"(\{\{|\}\})", command)
    whole = [part[0] if part in {"{{", "}}"} else _PLACEHOLDER.sub(fill, part) for part in parts]
    return "".join(whole)


def _words(reading: Reading, words: list[str]) -> None:
    """`MODEL --flag value --switch …`."""
    if words and not words[0].startswith("-"):
        reading.body["source"] = words.pop(0)
    for token, values in _flags(words):
        name, equals, value = token.partition("=")
        given: Any = [value, *values] if equals else values
        folded = name.lstrip("-").replace("-", "_")
        folded = _SHORT.get(folded, folded)
        bad = next((word for word in [token, *values] if _OPERATOR.search(word)), None)
        if bad is not None and not bad.startswith(("{", "[")):
            reading.leave(" ".join([token, *values]), "it holds something for a shell")
        elif not given:
            negated = folded.startswith("no_") and folded[3:] in KNOBS
            _flag(reading, folded.removeprefix("no_") if negated else folded, token, not negated)
        elif len(given) == 1:
            _flag(reading, folded, f"{name} {given[0]}", _typed(given[0]))
        elif folded in _OURS:
            reading.leave(f"{name} {' '.join(given)}", _OURS[folded])
        else:
            _further(reading, [name, *given], f"{name} {' '.join(given)}")


def _flags(words: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Each flag with the words up to the next one."""
    token, values = "", list[str]()
    for word in words:
        if word.startswith("-") and not re.fullmatch(r"-[0-9.]+", word):
            if token:
                yield token, values
            token, values = word, []
        elif token:
            values.append(word)
    if token:
        yield token, values


def _typed(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _flag(reading: Reading, name: str, what: str, value: object) -> None:
    """A flag as a knob, else among the further flags, else left out with the reason."""
    if name in _OURS:
        reading.leave(what, _OURS[name])
        return
    if value is None:
        return
    if name not in KNOBS or name == "extra_args":
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            _further(reading, [flag] if value else [], what)
        else:
            _further(reading, [flag, str(value)], what)
        return
    if KNOBS[name].type == "str":
        value = str(value)
    clean, problems = check_each({name: value})
    if problems:
        reading.leave(what, f"{name} {problems[0][1]}")
    else:
        reading.knobs |= clean
        reading.take(what, f"knob {name}")


def _further(reading: Reading, words: list[str], what: str) -> None:
    if not words:
        return
    if words[0].lstrip("-") in REFUSED:
        reading.leave(what, REFUSED[words[0].lstrip("-")])
        return
    _, problems = check_extra_args([*reading.extra, *words])
    if problems:
        reading.leave(what, problems[0])
    else:
        reading.extra += words
        reading.take(what, "extra_args")


def cut(text: str, limit: int = 160) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
