"""A recipe file of spark-vllm-docker or sparkrun -> the body of a model entry. Pure.

Owns both formats (version 1 and 2 share most keys) and the flags of a `vllm serve` line in them.
Whatever was not carried over is told with the reason. Refuses hostile YAML (aliases, tags, size,
depth) and to run, expand or download anything; what the entry may hold is decided by the rules of
the catalog, not here.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from server.base.errors import InvalidValue
from server.catalog.document import UnreadableError, read_mapping
from server.catalog.environment import bad_name, bad_value
from server.catalog.extra_args import REFUSED, check_extra_args
from server.catalog.knobs import KNOBS, check_each
from server.catalog.text import bad_id, bad_repo, shown
from server.config.model import IMAGE

MAX_RECIPE = 64 * 1024
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
_QUIET = frozenset({"recipe_version", "runtime", "runtime_version"})
_UNUSED = MappingProxyType(
    {
        "mods": "patches of the launcher are not applied by Spark Control",
        "build_args": "build the image beforehand, on every host",
        "builder": "build the image beforehand, on every host",
        "builder_config": "build the image beforehand, on every host",
        "pre_exec": "Spark Control runs no commands of a recipe",
        "post_exec": "Spark Control runs no commands of a recipe",
        "post_commands": "Spark Control runs no commands of a recipe",
        "stop_after_post": "Spark Control runs no commands of a recipe",
        "executor_config": "Spark Control starts its containers in its own way",
        "benchmark": "a measurement is not part of a model",
        "readiness": "Spark Control waits for /health and a real answer",
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


@dataclass(frozen=True, slots=True)
class Recipe:
    """`body` is what `POST /api/v1/models` takes; it may still lack something."""

    body: Mapping[str, Any]
    understood: tuple[Note, ...]
    left_out: tuple[Note, ...]


@dataclass(slots=True)
class _Reading:
    """A recipe on its way into an entry."""

    raw: Mapping[str, Any]
    body: dict[str, Any] = field(default_factory=dict)
    knobs: dict[str, Any] = field(default_factory=dict)
    extra: list[str] = field(default_factory=list)
    understood: list[Note] = field(default_factory=list)
    left_out: list[Note] = field(default_factory=list)

    def take(self, what: str, note: str) -> None:
        self.understood.append(Note(_cut(what), note))

    def leave(self, what: str, note: str) -> None:
        self.left_out.append(Note(_cut(what), note))


def read_recipe(text: str) -> Recipe:
    """Raises `InvalidValue` that says where, for what is no recipe at all."""
    if len(text.encode(errors="replace")) > MAX_RECIPE:
        raise InvalidValue(f"text: a recipe has at most {MAX_RECIPE // 1024} KiB", param="text")
    if not text.strip():
        raise InvalidValue("text: paste a recipe, or choose its file", param="text")
    if text.lstrip().startswith("vllm "):
        return _read(_Reading({"command": text.strip()}))
    try:
        raw, faults = read_mapping(text)
    except UnreadableError as error:
        line = f" (line {error.line})" if error.line else ""
        raise InvalidValue(f"text: {error.message}{line}", param="text") from None
    if not raw.keys() & {"model", "command", "defaults", "recipe_version"}:
        raise InvalidValue(
            "text: this is not a recipe: it has none of model, command and defaults", param="text"
        )
    reading = _Reading(raw)
    for where, why in faults:
        reading.leave(".".join(map(str, where)) or "the file", why)
    return _read(reading)


def _read(reading: _Reading) -> Recipe:
    raw = reading.raw
    _names(reading)
    if isinstance(raw.get("command"), str):
        _command(reading, raw["command"])
    else:
        _defaults(reading)
    _source(reading)
    _image(reading)
    _env(reading)
    _nodes(reading)
    _rest(reading)
    if reading.extra:
        reading.knobs["extra_args"] = reading.extra
    if reading.knobs:
        reading.body["knobs"] = reading.knobs
    return Recipe(
        MappingProxyType(reading.body), tuple(reading.understood), tuple(reading.left_out)
    )


def _names(reading: _Reading) -> None:
    name = reading.raw.get("name")
    if isinstance(name, str) and name.strip():
        reading.body["name"] = " ".join(name.split())[:120]
        reading.take("name", reading.body["name"])
    metadata = reading.raw.get("metadata")
    told = metadata.get("description") if isinstance(metadata, Mapping) else None
    description = reading.raw.get("description") or told
    if isinstance(description, str) and description.strip():
        reading.body["description"] = " ".join(description.split())[:2000]
        reading.take("description", _cut(reading.body["description"], 80))
    if isinstance(metadata, Mapping) and metadata.keys() - {"description"}:
        others = ", ".join(sorted(map(str, metadata.keys() - {"description"})))
        reading.leave(f"metadata: {others}", "told by the model's own files instead")


def _source(reading: _Reading) -> None:
    model = reading.body.pop("source", None) or reading.raw.get("model")
    if not isinstance(model, str) or not model.strip():
        reading.leave("model", "the recipe names none: fill in the source")
        return
    ref, _, quant = model.strip().partition(":")
    if model.strip().startswith("/"):
        reading.body["source"] = {"path": model.strip()}
    else:
        reading.body["source"] = {"hf": ref}
        if quant:
            reading.leave(f"model: …:{quant}", "one file of a repository cannot be chosen")
    revision = reading.raw.get("model_revision")
    if isinstance(revision, str | int) and "hf" in reading.body["source"]:
        reading.body["source"]["revision"] = str(revision)
    reading.take("model", model.strip())
    reading.body["id"] = _id(reading.body.get("name") or ref)
    if bad_repo(ref) is None:
        reading.body["id"] = _id(ref.split("/")[1])


def _id(text: str) -> str:
    stem = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:56]
    stem = re.sub(r"\.\.+", ".", stem)
    return stem if stem and bad_id(stem) is None else "model"


def _image(reading: _Reading) -> None:
    image = reading.raw.get("container")
    if image is None:
        return
    if isinstance(image, str) and IMAGE.fullmatch(image):
        reading.body["image"] = image
        reading.take("container", f"image: {image}")
    else:
        reading.leave("container", f"{shown(str(image))} is not an image reference")


def _env(reading: _Reading) -> None:
    given = reading.raw.get("env")
    kept: dict[str, str] = {}
    for name, value in given.items() if isinstance(given, Mapping) else ():
        text = (
            str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
        )
        problem = bad_name(str(name)) or bad_value(text)
        if "$" in text and not problem:
            problem = "holds a variable of the machine that read the recipe: write the value"
        if problem:
            reading.leave(f"env: {name}", problem)
        else:
            kept[str(name)] = text
            reading.take(f"env: {name}", text)
    if kept:
        reading.body["env"] = kept


def _nodes(reading: _Reading) -> None:
    """The number of nodes; a split that follows from it is not written down."""
    raw, knobs = reading.raw, reading.knobs
    split = _whole(knobs.get("tensor_parallel_size"))
    stages = _whole(knobs.get("pipeline_parallel_size"))
    nodes = max(split * stages, _whole(raw.get("min_nodes")), 2 if raw.get("cluster_only") else 1)
    if raw.get("solo_only") is True:
        nodes = 1
        for name in ("tensor_parallel_size", "pipeline_parallel_size"):
            knobs.pop(name, None)
    if split == nodes:
        knobs.pop("tensor_parallel_size", None)
    if nodes > 1:
        reading.body["nodes"] = nodes
        reading.take("nodes", f"{nodes} Sparks")


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 1


def _rest(reading: _Reading) -> None:
    handled = {
        *("name", "description", "metadata", "model", "model_revision", "container", "env"),
        *("command", "defaults", "min_nodes", "cluster_only", "solo_only"),
    }
    for key, value in reading.raw.items():
        if key in handled | _QUIET or value in (None, [], {}, ""):
            continue
        reading.leave(str(key), _UNUSED.get(key, "is not a key that Spark Control knows"))


# ---- the flags


def _defaults(reading: _Reading) -> None:
    """A recipe without a command: its defaults and runtime_config are the flags."""
    for group in ("defaults", "runtime_config"):
        given = reading.raw.get(group)
        for name, value in given.items() if isinstance(given, Mapping) else ():
            folded = str(name).replace("-", "_")
            _flag(reading, _SHORT.get(folded, folded), f"{group}: {name}", value)


def _command(reading: _Reading, command: str) -> None:
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


def _words(reading: _Reading, words: list[str]) -> None:
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


def _flag(reading: _Reading, name: str, what: str, value: object) -> None:
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


def _further(reading: _Reading, words: list[str], what: str) -> None:
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


def _cut(text: str, limit: int = 160) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
