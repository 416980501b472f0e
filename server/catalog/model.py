"""Frozen values of the catalog. A `Catalog` is an immutable snapshot: it never changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

Origin = Literal["default", "shipped", "override"]
SwapPolicy = Literal["auto", "ask", "never"]
KnobValue = str | int | float | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Exactly one of `hf` (`org/name`, perhaps with `revision`) and `path` (absolute, on hosts)."""

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

    `ttl`: seconds without a request after which it is unloaded, 0 for never. `pinned`: never
    unloaded or evicted for a program's sake. `swap`: what a request for it does when it is not
    loaded, None for what the settings say. `variants`: fields that a request by `id:variant` gets
    set in its body.
    """

    id: str
    name: str
    source: Source
    nodes: int = 1
    knobs: Mapping[str, KnobValue] = field(default_factory=lambda: MappingProxyType({}))
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    aliases: tuple[str, ...] = ()
    ttl: int = 0
    pinned: bool = False
    swap: SwapPolicy | None = None
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
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
            "pinned": self.pinned,
            "swap": self.swap,
            "variants": {name: dict(fields) for name, fields in self.variants.items()},
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
    model: str | None = None
    field: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "line": self.line,
            "message": self.message,
            "model": self.model,
            "field": self.field,
        }

    def __str__(self) -> str:
        """`models.override.yaml line 12: my-model: knobs.seed: must be …`"""
        place = f"{self.file} line {self.line}" if self.line else self.file
        return f"{place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Catalog:
    """An immutable snapshot: models by id in catalog order, and the problems seen while reading.
    `shipped` are the ids of the shipped file, also those that were removed here."""

    models: Mapping[str, Model]
    problems: tuple[Problem, ...] = ()
    version: int = 0
    shipped: frozenset[str] = frozenset()

    @property
    def hidden(self) -> tuple[str, ...]:
        """Shipped models that were removed here; a reset brings them back."""
        return tuple(sorted(self.shipped - self.models.keys()))

    def find(self, name: str) -> Model | None:
        """By id first, then by alias."""
        if name in self.models:
            return self.models[name]
        return next((m for m in self.models.values() if name in m.aliases), None)

    def resolve(self, name: str) -> tuple[Model, Mapping[str, Any]] | None:
        """The model and the fields to set in the body: by id, alias, then `id:variant` and
        `alias:variant`. A name that is one whole is never taken apart."""
        whole = self.find(name)
        if whole is not None:
            return whole, MappingProxyType({})
        base, colon, variant = name.rpartition(":")
        model = self.find(base) if colon else None
        if model is None or variant not in model.variants:
            return None
        return model, model.variants[variant]


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """What was found of a model on one host. `None` means it could not be told; `found` is False
    only when the model is certainly not there.

    `weight_bytes` sums the safetensors files (each counted once); `config` is the parsed
    `config.json`; `missing` names shards of the index that are absent or dangling, `truncated`
    files whose length is not what their header says, `outside` files whose real place is not under
    an allowed root (a container would not see them), `partial` downloads that were not finished.
    """

    host: str
    found: bool
    complete: bool | None
    path: str | None = None
    weight_bytes: int | None = None
    config: Mapping[str, Any] | None = None
    missing: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()
    truncated: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    reason: str = ""
