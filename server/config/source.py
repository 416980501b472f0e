"""YAML text as plain data, with the line of every setting and every mistake of the writing.

Pure. Owns what PyYAML passes over in silence: keys given twice, keys that are not text, loops and
explosions through anchors. Refuses to know what the settings mean.
"""

from dataclasses import dataclass, field
from typing import Any

import yaml

from server.base.redact import one_line
from server.config.model import Where

MAX_BYTES = 1 << 20
MAX_NODES = 50_000


@dataclass(slots=True)
class Source:
    """`data` is None when the text could not be read at all; `problems` are (line, where, what)."""

    data: dict[str, Any] | None = None
    lines: dict[Where, int] = field(default_factory=dict)
    problems: list[tuple[int | None, Where, str]] = field(default_factory=list)

    def line(self, where: Where) -> int | None:
        """The line of the setting, or of the nearest thing around it."""
        for end in range(len(where), 0, -1):
            if where[:end] in self.lines:
                return self.lines[where[:end]]
        return None


def parse(raw: bytes) -> Source:
    """Never raises: what is wrong is in `problems`."""
    source = Source()
    if len(raw) > MAX_BYTES:
        source.problems.append((None, (), f"is larger than {MAX_BYTES >> 20} MiB: make it smaller"))
        return source
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        source.problems.append((line, (), "is not UTF-8 text: save it in that encoding"))
        return source
    try:
        _Reader(source, yaml.SafeLoader(text)).read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = one_line(error.problem or error.context or "unknown error", 200)
        source.data = None
        source.problems = [
            (
                mark.line + 1 if mark else None,
                (),
                f"is not valid YAML: {what}. Check indentation and quotes",
            )
        ]
    except yaml.reader.ReaderError as error:
        source.data = None
        at = text.count("\n", 0, error.position) + 1
        source.problems = [(at, (), "holds a control character: remove it")]
    except RecursionError:
        source.data = None
        source.problems = [(None, (), "is nested too deeply: make it flatter")]
    return source


class _Reader:
    """Walks the nodes of one document, so that nothing is lost on the way to plain data."""

    def __init__(self, source: Source, loader: yaml.SafeLoader) -> None:
        self._source = source
        self._loader = loader
        self._open: set[int] = set()
        self._nodes = 0

    def read(self) -> None:
        node = self._loader.get_single_node()
        if node is None:
            self._source.data = {}
            return
        data = self._value(node, ())
        if isinstance(data, dict):
            self._source.data = data
        elif data is None:
            self._source.data = {}
        else:
            self._problem(node, (), "must be settings written as `name: value`")

    def _problem(self, node: yaml.Node, where: Where, what: str) -> None:
        self._source.problems.append((node.start_mark.line + 1, where, what))

    def _value(self, node: yaml.Node, where: Where) -> Any:
        self._nodes += 1
        if id(node) in self._open or self._nodes > MAX_NODES:
            if self._nodes <= MAX_NODES + 1:
                self._problem(node, where, "repeats itself without end: write it without anchors")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, where)
            if isinstance(node, yaml.SequenceNode):
                return self._sequence(node, where)
            return self._scalar(node, where)
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: yaml.Node, where: Where) -> Any:
        try:
            return self._loader.construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError):
            self._problem(node, where, "is not a value that YAML knows: put it in quotes")
            return None

    def _sequence(self, node: yaml.SequenceNode, where: Where) -> list[Any]:
        items = []
        for index, item in enumerate(node.value):
            self._source.lines[(*where, index)] = item.start_mark.line + 1
            items.append(self._value(item, (*where, index)))
        return items

    def _mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, Any]:
        self._find_twice(node, where)
        self._loader.flatten_mapping(node)  # `<<: *anchor`
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key is None:
                self._problem(key_node, where, "has a key that is not text: put it in quotes")
                continue
            self._source.lines[(*where, key)] = key_node.start_mark.line + 1
            data[key] = self._value(value_node, (*where, key))
        return data

    def _find_twice(self, node: yaml.MappingNode, where: Where) -> None:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            key = self._key(key_node)
            if key is None:
                continue
            if key in seen:
                self._problem(
                    key_node,
                    (*where, key),
                    f"is given twice (first on line {seen[key]}): keep one of them",
                )
            else:
                seen[key] = key_node.start_mark.line + 1

    @staticmethod
    def _key(node: yaml.Node) -> str | None:
        return node.value if isinstance(node, yaml.ScalarNode) else None
