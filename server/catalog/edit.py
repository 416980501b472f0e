"""Changes `models.override.yaml` as text: one entry, and nothing else. Comments and order stay.

Pure: text in, text out. An entry is changed in place by a round-trip parser; removing one cuts its
lines, because the parser would take the comment that introduces the next entry along.
"""

import io
import re
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from server.catalog.document import compose

HEADER = """\
# Your own models, and your changes to the shipped ones. Written by Spark Control and by hand:
# an entry with the id of a shipped model changes only what it names; null switches a knob off.
"""


class _Representer(RoundTripRepresenter):
    """Writes `null` in full, because an empty place looks like a mistake."""

    def null(self, data: None) -> ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.null)


def put_entry(text: str, entry: Mapping[str, Any]) -> str:
    """Add the entry, or make the one with its id equal to it."""
    editor = _editor(text)
    root = _load(editor, text)
    models = root.get("models")
    if not isinstance(models, list):
        models = CommentedSeq()
        root["models"] = models
    present = next((m for m in models if isinstance(m, dict) and m.get("id") == entry["id"]), None)
    if present is None:
        models.append(_new(entry))
        models.fa.set_block_style()
    else:
        _make_equal(present, entry)
    return _dump(editor, root)


def drop_entry(text: str, model_id: str) -> str:
    """Remove every entry with this id. The text is unchanged when there is none."""
    spans = _spans(text, model_id)
    if spans is None:
        return _drop_parsed(text, model_id)
    lines = text.splitlines(keepends=True)
    for first, last in reversed(spans):
        del lines[first:last]
    return "".join(lines)


def _editor(text: str) -> YAML:
    editor = YAML(typ="rt")
    editor.Representer = _Representer
    editor.preserve_quotes = True
    editor.width = 4096
    item = re.search(r"^models:[^\n]*\n(?:[ \t]*(?:#[^\n]*)?\n)*( *)- ", text, re.MULTILINE)
    dash = len(item.group(1)) if item else 2
    editor.indent(mapping=2, sequence=dash + 2, offset=dash)
    return editor


def _load(editor: YAML, text: str) -> Any:
    """The document as a mapping. A text of comments only keeps them."""
    root = editor.load(text)
    if root is None:
        head = text.rstrip("\n") + "\n" if text.strip() else HEADER
        root = editor.load(head.replace("---\n", "") + "models: []\n")
    return root


def _dump(editor: YAML, root: Any) -> str:
    out = io.StringIO()
    editor.dump(root, out)
    return out.getvalue()


def _new(value: Any) -> Any:
    """Plain data as round-trip data. Texts that another reader could take for something else are
    quoted; so are all values of env."""
    if isinstance(value, Mapping):
        return CommentedMap({key: _new(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        items = CommentedSeq([_new(item) for item in value])
        if all(isinstance(item, str | int | float) for item in value):
            items.fa.set_flow_style()
        return items
    if isinstance(value, str) and not re.fullmatch(
        r"[A-Za-z/][A-Za-z0-9 ./_+-]*[A-Za-z0-9]", value
    ):
        return DoubleQuotedScalarString(value)
    if isinstance(value, str) and value.lower() in {
        "yes",
        "no",
        "on",
        "off",
        "true",
        "false",
        "null",
    }:
        return DoubleQuotedScalarString(value)
    return value


def _make_equal(present: Any, wanted: Mapping[str, Any]) -> None:
    for key in [key for key in present if key not in wanted]:
        del present[key]
    for key, value in wanted.items():
        old = present.get(key)
        if isinstance(old, dict) and isinstance(value, Mapping):
            _make_equal(old, value)
        elif key not in present or not _equal(old, value):
            present[key] = _new(value)


def _equal(old: Any, new: Any) -> bool:
    if isinstance(new, list | tuple):
        if not isinstance(old, list) or len(old) != len(new):
            return False
        return all(map(_equal, old, new))
    if isinstance(old, dict) and isinstance(new, Mapping):
        return old.keys() == new.keys() and all(_equal(old[key], new[key]) for key in new)
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    return bool(old == new)


def _spans(text: str, model_id: str) -> list[tuple[int, int]] | None:
    """Line ranges of the entries, or None when they cannot be cut by whole lines."""
    models = _models_node(text)
    if models is None:
        return []
    if models.flow_style:
        return None
    lines = text.splitlines(keepends=True)
    starts = [_dash_line(lines, int(node.start_mark.line)) for node in models.value]
    if None in starts or len(set(starts)) != len(starts):
        return None
    firsts = [start for start in starts if start is not None]
    ends = [*firsts[1:], int(models.end_mark.line)]
    return [
        (first, _without_introduction(lines, first, end))
        for node, first, end in zip(models.value, firsts, ends, strict=True)
        if _id_of(node) == model_id
    ]


def _models_node(text: str) -> SequenceNode | None:
    root, _ = compose(text)
    if not isinstance(root, MappingNode):
        return None
    for key, node in root.value:
        if isinstance(key, ScalarNode) and key.value == "models" and isinstance(node, SequenceNode):
            return node
    return None


def _id_of(node: Node) -> str | None:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if isinstance(key, ScalarNode) and key.value == "id" and isinstance(value, ScalarNode):
                return str(value.value)
    return None


def _dash_line(lines: list[str], start: int) -> int | None:
    """The line of the item's own dash: where it starts, or above when the dash stands alone."""
    for number in range(start, -1, -1):
        stripped = lines[number].strip()
        if stripped.startswith("-"):
            return number
        if stripped and not stripped.startswith("#") and number != start:
            return None
    return None


def _without_introduction(lines: list[str], first: int, end: int) -> int:
    """Comments and blank lines right before the next entry belong to it."""
    end = min(end, len(lines))
    while end > first + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip()[0] == "#"):
        end -= 1
    return end


def _drop_parsed(text: str, model_id: str) -> str:
    editor = _editor(text)
    root = _load(editor, text)
    models = root.get("models")
    for number in range(len(models) - 1, -1, -1):
        if isinstance(models[number], dict) and models[number].get("id") == model_id:
            del models[number]
    return _dump(editor, root)
