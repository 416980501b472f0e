"""Frozen values of the catalog. A `Catalog` is an immutable snapshot; requests never see it change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

Origin = Literal["default", "shipped", "override"]
KnobValue = str | int | float | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Exactly one of `hf` (`org/name`, with optional `revision`) and `path` (absolute, on the hosts)."""

    hf: str | None = None
    path: str | None = None
    revision: str | None = None

    @property
    def ref(self) -> str:
        """What `vllm serve` is given."""
        return self.hf or self.path or ""


@dataclass(frozen=True, slots=True)
class Model:
    """One entry. `knobs` holds only what was set; `provenance` says where each set value came from.

    Keys of `provenance` are field names and `knobs.<name>`.
    """

    id: str
    name: str
    source: Source
    nodes: int = 1
    knobs: Mapping[str, KnobValue] = field(default_factory=lambda: MappingProxyType({}))
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    aliases: tuple[str, ...] = ()
    ttl: int = 0
    description: str = ""
    launcher: str | None = None
    image: str | None = None
    hosts: tuple[str, ...] = ()
    enabled: bool = True
    origin: Origin = "shipped"
    provenance: Mapping[str, Origin] = field(default_factory=lambda: MappingProxyType({}))

    def to_dict(self) -> dict[str, Any]:
        """The shape of `GET /api/v1/models/{id}`."""
        source = {"hf": self.source.hf, "path": self.source.path, "revision": self.source.revision}
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "source": {key: value for key, value in source.items() if value is not None},
            "nodes": self.nodes,
            "knobs": {k: list(v) if isinstance(v, tuple) else v for k, v in self.knobs.items()},
            "env": dict(self.env),
            "aliases": list(self.aliases),
            "ttl": self.ttl,
            "launcher": self.launcher,
            "image": self.image,
            "hosts": list(self.hosts),
            "enabled": self.enabled,
            "origin": self.origin,
            "provenance": dict(self.provenance),
        }


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a catalog file (or a part of it) was not taken. `line` is 1-based, None when unknown."""

    file: str
    line: int | None
    message: str

    def to_dict(self) -> dict[str, Any]:
        return {"file": self.file, "line": self.line, "message": self.message}


@dataclass(frozen=True, slots=True)
class Catalog:
    """An immutable snapshot: models by id in catalog order, and the problems seen while reading."""

    models: Mapping[str, Model]
    problems: tuple[Problem, ...] = ()
    version: int = 0

    def find(self, name: str) -> Model | None:
        """By id first, then by alias."""
        if name in self.models:
            return self.models[name]
        return next((m for m in self.models.values() if name in m.aliases), None)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """What was found of a model on one host. `None` means it could not be told.

    `weight_bytes` sums the safetensors files (each counted once); `config` is the parsed
    `config.json`; `missing` names shards of the index that are absent or dangling.
    """

    host: str
    found: bool
    complete: bool | None
    path: str | None = None
    weight_bytes: int | None = None
    config: Mapping[str, Any] | None = None
    missing: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()
    reason: str = ""
