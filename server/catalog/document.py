"""A catalog file as text -> entries whose every part knows its line. YAML 1.2, plain data only.

Owns syntax: duplicate keys, anchors, tags, size and depth. One broken entry is one problem; only a
text that is no YAML at all makes the whole file unreadable. What the fields mean is `entry`'s.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from server.catalog.model import Problem
from server.catalog.text import shown

MAX_BYTES = 1 << 20
MAX_NODES = 50_000
MAX_DEPTH = 24

Where = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class RawEntry:
    """One item of `models:`. `faults` are broken in themselves (a key twice), by their place."""

    value: Mapping[str, Any]
    line: int
    lines: Mapping[Where, int]
    faults: tuple[tuple[Where, str], ...] = ()

    def line_of(self, where: Where) -> int:
        """The line of a field, or of the nearest thing around it."""
        for end in range(len(where), 0, -1):
            if where[:end] in self.lines:
                return self.lines[where[:end]]
        return self.line


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says. `readable` False means that nothing in it could be trusted."""

    entries: tuple[RawEntry, ...] = ()
    problems: tuple[Problem, ...] = ()
    readable: bool = True


class UnreadableError(Exception):
    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@dataclass(slots=True)
class _Walk:
    """Turns nodes into plain data. `lines` and `faults` are by place within the entry."""

    loader: YAML
    seen: set[int] = field(default_factory=set)
    lines: dict[Where, int] = field(default_factory=dict)
    faults: list[tuple[Where, str]] = field(default_factory=list)

    def value(self, node: Node, where: Where = ()) -> Any:
        if id(node) in self.seen:
            self.faults.append((where, "uses a YAML alias (*); write the value out"))
            return None
        self.seen.add(id(node))
        if len(self.seen) > MAX_NODES or len(where) > MAX_DEPTH:
            raise UnreadableError("holds too much or is nested too deeply", _line(node))
        if isinstance(node, MappingNode):
            return self.mapping(node, where)
        if isinstance(node, SequenceNode):
            return [self.item(child, (*where, n)) for n, child in enumerate(node.value)]
        return self.scalar(node, where)

    def item(self, node: Node, where: Where) -> Any:
        self.lines[where] = _line(node)
        return self.value(node, where)

    def mapping(self, node: MappingNode, where: Where) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self.faults.append((where, "has a key that is not a plain word"))
                continue
            key = str(key_node.value)
            here = (*where, key)
            if key in result:
                first = self.lines[here]
                self.faults.append((here, f"is given twice (first on line {first})"))
                self.lines[here] = _line(key_node)
                continue
            self.lines[here] = _line(key_node)
            result[key] = self.value(value_node, here)
        return result

    def scalar(self, node: Node, where: Where) -> Any:
        try:
            value = self.loader.constructor.construct_object(node, deep=True)
        except (YAMLError, ValueError, OverflowError, TypeError):
            self.faults.append((where, f"cannot be read: {shown(str(node.value))}"))
            return None
        if isinstance(value, date):
            return str(node.value)
        if value is None or isinstance(value, str | int | float | bool):
            return _plain(value)
        self.faults.append((where, "is not plain text, a number, true or false"))
        return None


def _plain(value: Any) -> Any:
    """Numbers without the dress ruamel gives them."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value)
    return float(value) if isinstance(value, float) else str(value)


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def read(text: str, file: str) -> Document:
    """Every entry of `models:` in order, and every problem of syntax, by line."""
    try:
        return _read(text, file)
    except UnreadableError as error:
        return Document((), (Problem(file, error.line, error.message),), readable=False)
    except RecursionError:
        return Document((), (Problem(file, None, "is nested too deeply"),), readable=False)


def read_mapping(text: str) -> tuple[dict[str, Any], list[tuple[Where, str]]]:
    """A text that is one mapping, as plain data, and what in it is broken in itself. Raises
    `UnreadableError`."""
    try:
        root, loader = compose(text)
        if not isinstance(root, MappingNode):
            raise UnreadableError("must be a mapping of keys to values", None)
        walk = _Walk(loader)
        return walk.mapping(root, ()), walk.faults
    except RecursionError:
        raise UnreadableError("is nested too deeply", None) from None


def compose(text: str) -> tuple[Node | None, YAML]:
    """The node tree. Raises `UnreadableError` with the line."""
    loader = YAML(typ="safe", pure=True)
    try:
        return loader.compose(text), loader
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(str(error.problem or error.context or "not YAML").split())
        raise UnreadableError(f"is not YAML: {reason}", mark.line + 1 if mark else None) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UnreadableError(
            "is not YAML: it holds a character that cannot be seen", line
        ) from None
    except (YAMLError, ValueError) as error:
        raise UnreadableError(f"is not YAML: {shown(str(error), 120)}", None) from None


def _read(text: str, file: str) -> Document:
    if len(text) > MAX_BYTES:
        raise UnreadableError(f"is larger than {MAX_BYTES} bytes", None)
    root, loader = compose(text)
    if root is None:
        return Document()
    if isinstance(root, ScalarNode) and not root.value:
        return Document()
    if not isinstance(root, MappingNode):
        raise UnreadableError("must be a mapping with the key 'models'", _line(root))
    problems: list[Problem] = []
    models: Node | None = None
    for key_node, node in root.value:
        key = str(key_node.value) if isinstance(key_node, ScalarNode) else "?"
        if key != "models":
            problems.append(Problem(file, _line(key_node), f"{shown(key)} is not a known key"))
        elif models is not None:
            raise UnreadableError("the key 'models' is given twice", _line(key_node))
        else:
            models = node
    entries = tuple(_entries(models, loader, file, problems)) if models is not None else ()
    return Document(entries, tuple(problems))


def _entries(models: Node, loader: YAML, file: str, problems: list[Problem]) -> Iterator[RawEntry]:
    if isinstance(models, ScalarNode) and models.tag == "tag:yaml.org,2002:null":
        return
    if not isinstance(models, SequenceNode):
        raise UnreadableError("'models' must be a list", _line(models))
    for number, node in enumerate(models.value):
        if not isinstance(node, MappingNode):
            problems.append(Problem(file, _line(node), f"models[{number}] must be a mapping"))
            continue
        walk = _Walk(loader)
        value = walk.mapping(node, ())
        yield RawEntry(value, _line(node), walk.lines, tuple(walk.faults))
