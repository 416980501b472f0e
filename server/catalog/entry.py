"""One model entry: what each field may hold. The same rules for both files, the API and the page.

Pure. `read_fields` keeps only what was given, so that an override can be laid over a shipped entry;
`assemble` turns the fields into a `Model` and checks what only the whole can tell.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from server.catalog import knobs as knob_rules
from server.catalog.environment import check_env
from server.catalog.model import Model, Origin, Source
from server.catalog.paths import check_local_path
from server.catalog.text import (
    bad_alias,
    bad_id,
    bad_repo,
    bad_revision,
    bad_title,
    not_ascii,
    plain,
    shown,
)
from server.catalog.variants import check_variants
from server.config.words import HOST_NAME, IMAGE

MAX_NODES = 8
MAX_ALIASES = 16
MAX_TTL = 30 * 24 * 3600
SWAP_POLICIES = ("auto", "ask", "never")
LAUNCHERS = ("docker", "launch-cluster", "bare")
SHOWN_ONLY = frozenset({"origin", "provenance"})
_UNSET = frozenset({"launcher", "image", "swap"})

Where = tuple[str | int, ...]
Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong, and where in the entry: `("knobs", "max_model_len")`."""

    where: Where
    message: str

    @property
    def field(self) -> str:
        return ".".join(plain(str(part)) for part in self.where)

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.where else self.message


class _WrongError(Exception):
    def __init__(self, message: str, *where: str | int) -> None:
        super().__init__(message)
        self.where = where


def read_fields(raw: Mapping[str, Any], roots: Sequence[str]) -> tuple[Fields, list[FieldProblem]]:
    """The fields that were given and hold, and every problem. None means 'as if not given'."""
    fields: Fields = {}
    problems: list[FieldProblem] = []
    for name, value in raw.items():
        if name in SHOWN_ONLY:
            continue
        if value is None and name in _READERS and name != "id":
            if name in _UNSET:
                fields[name] = None
            continue
        if name in {"knobs", "env"}:
            fields[name] = _pairs(name, value, problems)
            continue
        reader = _READERS.get(name)
        if reader is None:
            problems.append(FieldProblem((name,), "is not a field of a model"))
            continue
        try:
            fields[name] = reader(value, roots)
        except _WrongError as error:
            problems.append(FieldProblem((name, *error.where), str(error)))
    return fields, problems


def _pairs(name: str, value: object, problems: list[FieldProblem]) -> dict[str, Any]:
    """Knobs and env: what holds, and None for each key that is switched off on purpose."""
    given = value if isinstance(value, Mapping) else {}
    if name == "knobs":
        clean, wrong = knob_rules.check_each(value)
        off = [key for key, item in given.items() if item is None and key in knob_rules.KNOBS]
    else:
        kept = {k: v for k, v in given.items() if v is not None}
        env, wrong = check_env(kept if isinstance(value, Mapping) else value)
        clean = dict(env)
        off = [key for key, item in given.items() if item is None and isinstance(key, str)]
    problems += [FieldProblem((name, key) if key else (name,), text) for key, text in wrong]
    return clean | dict.fromkeys(off)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _WrongError("must be a text; put it in quotes")
    return value


def _checked(value: object, rule: Callable[[str], str | None]) -> str:
    text = _text(value)
    problem = rule(text)
    if problem:
        raise _WrongError(problem)
    return text


def _whole(value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _WrongError(f"must be a whole number between {low} and {high}")
    return value


def _list(value: object, rule: Callable[[str], str | None], most: int) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _WrongError("must be a list")
    if len(value) > most:
        raise _WrongError(f"has {len(value)} items; {most} at most")
    for number, item in enumerate(value):
        problem = rule(item) if isinstance(item, str) else "must be a text"
        if problem:
            raise _WrongError(problem, number)
        if item in value[:number]:
            raise _WrongError(f"{shown(item)} is given twice", number)
    return tuple(value)


def _source(value: object, roots: Sequence[str]) -> Source:
    if not isinstance(value, Mapping):
        raise _WrongError("must be {hf: org/name} or {path: /absolute/path}")
    for key in value:
        if key not in {"hf", "path", "revision"}:
            raise _WrongError("is not known; use hf or path", str(key))
    given = {key: item for key, item in value.items() if item is not None}
    hf, path, revision = given.get("hf"), given.get("path"), given.get("revision")
    if (hf is None) == (path is None):
        raise _WrongError("needs exactly one of hf and path")
    rules: dict[str, Callable[[str], str | None]] = {
        "hf": bad_repo,
        "path": lambda text: check_local_path(text, roots),
        "revision": bad_revision,
    }
    for key, item in given.items():
        problem = rules[key](item) if isinstance(item, str) else "must be a text"
        if problem:
            raise _WrongError(problem, key)
    if path is not None and revision is not None:
        raise _WrongError("goes with hf only", "revision")
    return Source(hf=hf, path=path, revision=revision)


def _image(text: str) -> str | None:
    problem = not_ascii(text)
    return problem or (None if IMAGE.fullmatch(text) else "is not an image reference")


def _host(text: str) -> str | None:
    problem = not_ascii(text)
    return problem or (None if HOST_NAME.fullmatch(text) else "is not a host name")


def _launcher(text: str) -> str | None:
    return None if text in LAUNCHERS else f"must be one of {', '.join(LAUNCHERS)}"


def _policy(text: str) -> str | None:
    return None if text in SWAP_POLICIES else f"must be one of {', '.join(SWAP_POLICIES)}"


def _variants(value: object) -> dict[str, dict[str, Any]]:
    clean, problem = check_variants(value)
    if problem:
        where, text = problem
        raise _WrongError(text, *where)
    return clean


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _WrongError("must be true or false")
    return value


def _same(value: object, _roots: Sequence[str]) -> object:
    return value


_READERS: Mapping[str, Callable[[Any, Sequence[str]], Any]] = MappingProxyType(
    {
        "id": lambda value, _: _checked(value, bad_id),
        "name": lambda value, _: _checked(value, lambda text: bad_title(text, 120)),
        "description": lambda value, _: (
            _checked(value, lambda text: bad_title(text, 2000)) if value != "" else ""
        ),
        "source": _source,
        "nodes": lambda value, _: _whole(value, 1, MAX_NODES),
        "aliases": lambda value, _: _list(value, bad_alias, MAX_ALIASES),
        "ttl": lambda value, _: _whole(value, 0, MAX_TTL),
        "pinned": lambda value, _: _flag(value),
        "swap": lambda value, _: _checked(value, _policy),
        "variants": lambda value, _: _variants(value),
        "launcher": lambda value, _: _checked(value, _launcher),
        "image": lambda value, _: _checked(value, _image),
        "hosts": lambda value, _: _list(value, _host, 64),
        "enabled": lambda value, _: _flag(value),
        "remove": lambda value, _: _flag(value),
        "knobs": _same,
        "env": _same,
    }
)


def lay_over(base: Fields, top: Fields) -> Fields:
    """The fields of an override on top of a shipped entry. Knobs and env go key by key."""
    merged = base | {name: value for name, value in top.items() if name not in {"knobs", "env"}}
    for name in ("knobs", "env"):
        both = base.get(name, {}) | top.get(name, {})
        merged[name] = {key: value for key, value in both.items() if value is not None}
    return merged


def _frozen(variants: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    return MappingProxyType(
        {name: MappingProxyType(dict(fields)) for name, fields in variants.items()}
    )


def assemble(
    fields: Fields, origin: Origin, provenance: Mapping[str, Origin]
) -> tuple[Model | None, list[FieldProblem]]:
    """The whole model, or what is missing or does not go together."""
    model_id = fields["id"]
    problems: list[FieldProblem] = []
    source = fields.get("source")
    if source is None:
        problems.append(FieldProblem(("source",), "is required: {hf: org/name} or {path: …}"))
    nodes = fields.get("nodes", 1)
    knobs = {key: value for key, value in fields.get("knobs", {}).items() if value is not None}
    problems += [
        FieldProblem(("knobs", name), text) for name, text in knob_rules.disagreements(knobs, nodes)
    ]
    hosts = fields.get("hosts", ())
    if hosts and len(hosts) < nodes:
        problems.append(FieldProblem(("hosts",), f"names {len(hosts)}, but nodes is {nodes}"))
    if model_id in fields.get("aliases", ()):
        problems.append(FieldProblem(("aliases",), f"{model_id!r} is the id itself"))
    if nodes > 1 and fields.get("launcher") in {"docker", "bare"}:
        problems.append(FieldProblem(("launcher",), "must be launch-cluster for several nodes"))
    if problems or source is None:
        return None, problems
    env = {key: value for key, value in fields.get("env", {}).items() if value is not None}
    return (
        Model(
            id=model_id,
            name=str(fields.get("name") or model_id),
            source=source,
            nodes=nodes,
            knobs=MappingProxyType(knobs),
            env=MappingProxyType(env),
            aliases=fields.get("aliases", ()),
            ttl=fields.get("ttl", 0),
            pinned=fields.get("pinned", False),
            swap=fields.get("swap"),
            variants=_frozen(fields.get("variants", {})),
            description=fields.get("description", ""),
            launcher=fields.get("launcher"),
            image=fields.get("image"),
            hosts=hosts,
            enabled=fields.get("enabled", True),
            origin=origin,
            provenance=MappingProxyType(dict(provenance)),
        ),
        [],
    )
