"""A recipe file of spark-vllm-docker or sparkrun -> the body of a model entry. Pure.

Owns both formats (version 1 and 2 share most keys); the flags in them are `recipe_flags`'s. What
was not carried over is told with the reason. Refuses hostile YAML (aliases, tags, size, depth), and
to run, expand or download anything. What an entry may hold is decided by the catalog, not here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from server.base.errors import InvalidValue
from server.catalog.document import UnreadableError, read_mapping
from server.catalog.environment import bad_name, bad_value
from server.catalog.recipe_flags import Note, Reading, cut, read_command, read_defaults
from server.catalog.text import bad_id, bad_repo, shown
from server.config.words import IMAGE

MAX_RECIPE = 64 * 1024
MAX_NOTES = 100
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


@dataclass(frozen=True, slots=True)
class Recipe:
    """`body` is what `POST /api/v1/models` takes; it may still lack something."""

    body: Mapping[str, Any]
    understood: tuple[Note, ...]
    left_out: tuple[Note, ...]


def read_recipe(text: str) -> Recipe:
    """Raises `InvalidValue` that says where, for what is no recipe at all."""
    if len(text.encode(errors="replace")) > MAX_RECIPE:
        raise InvalidValue(f"text: a recipe has at most {MAX_RECIPE // 1024} KiB", param="text")
    if not text.strip():
        raise InvalidValue("text: paste a recipe, or choose its file", param="text")
    if text.lstrip().startswith("vllm "):
        return _read(Reading({"command": text.strip()}))
    try:
        raw, faults = read_mapping(text)
    except UnreadableError as error:
        line = f" (line {error.line})" if error.line else ""
        raise InvalidValue(f"text: {error.message}{line}", param="text") from None
    if not raw.keys() & {"model", "command", "defaults", "recipe_version"}:
        raise InvalidValue(
            "text: this is not a recipe: it has none of model, command and defaults", param="text"
        )
    reading = Reading(raw)
    for where, why in faults:
        reading.leave(".".join(map(str, where)) or "the file", why)
    return _read(reading)


def _read(reading: Reading) -> Recipe:
    raw = reading.raw
    _names(reading)
    if isinstance(raw.get("command"), str):
        read_command(reading, raw["command"])
    else:
        read_defaults(reading)
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
        MappingProxyType(reading.body), _some(reading.understood), _some(reading.left_out)
    )


def _some(notes: list[Note]) -> tuple[Note, ...]:
    """As many as a person reads."""
    more = len(notes) - MAX_NOTES
    return (*notes[:MAX_NOTES], *([Note("…", f"and {more} more")] if more > 0 else []))


def _names(reading: Reading) -> None:
    name = reading.raw.get("name")
    if isinstance(name, str) and name.strip():
        reading.body["name"] = " ".join(name.split())[:120]
        reading.take("name", reading.body["name"])
    metadata = reading.raw.get("metadata")
    told = metadata.get("description") if isinstance(metadata, Mapping) else None
    description = reading.raw.get("description") or told
    if isinstance(description, str) and description.strip():
        reading.body["description"] = " ".join(description.split())[:2000]
        reading.take("description", cut(reading.body["description"], 80))
    if isinstance(metadata, Mapping) and metadata.keys() - {"description"}:
        others = ", ".join(sorted(map(str, metadata.keys() - {"description"})))
        reading.leave(f"metadata: {others}", "told by the model's own files instead")


def _source(reading: Reading) -> None:
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


def _image(reading: Reading) -> None:
    image = reading.raw.get("container")
    if image is None:
        return
    if isinstance(image, str) and IMAGE.fullmatch(image):
        reading.body["image"] = image
        reading.take("container", f"image: {image}")
    else:
        reading.leave("container", f"{shown(str(image))} is not an image reference")


def _env(reading: Reading) -> None:
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


def _nodes(reading: Reading) -> None:
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


def _rest(reading: Reading) -> None:
    handled = {
        *("name", "description", "metadata", "model", "model_revision", "container", "env"),
        *("command", "defaults", "min_nodes", "cluster_only", "solo_only"),
    }
    for key, value in reading.raw.items():
        if key in handled | _QUIET or value in (None, [], {}, ""):
            continue
        reading.leave(str(key), _UNUSED.get(key, "is not a key that Spark Control knows"))
