"""Changes to the text of `config.yaml` that leave every other character, comments too, as it was.

Pure. The text is parsed only to learn where things stand; then pieces of it are cut, put in or
replaced. What comes out is to be parsed again by the caller and compared with what was meant, so
that a way of writing not foreseen here (anchors, say) ends in a refusal and never in a wrong file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Cut:
    """`text[start:end]` becomes `new`."""

    start: int
    end: int
    new: str


def append_item(text: str, section: str, item: Values) -> str:
    """With `item` as the last of the list `section`."""
    root, value = _root(text), _section(text, section)
    if value is None:
        return _with_new_section(text, section, [item])
    if isinstance(value, yaml.SequenceNode) and value.flow_style and value.value:
        at = _end(value.value[-1])
        return _applied(text, _Cut(at, at, f", {_flow(item)}"))
    if isinstance(value, yaml.SequenceNode) and value.value:
        last = value.value[-1]
        column = value.start_mark.column
        block = isinstance(last, yaml.MappingNode) and not last.flow_style
        inner = last.start_mark.column if block else column + 2
        at = _line_end(text, _end(last))
        lines = _item_lines(item, column, inner, block=block)
        return _applied(text, _Cut(at, at, _newline(text).join(("", *lines))))
    if root is not None and root.flow_style:
        return _with_keys(text, root, {section: [item]})
    lines = _item_lines(item, 2, 4, block=False)
    return _applied(text, _filled(text, value, lines))


def remove_item(text: str, section: str, index: int) -> str:
    """Without item `index` of the list `section`; comments on lines of their own stay."""
    value = _section(text, section)
    if not isinstance(value, yaml.SequenceNode):
        return text
    items = value.value
    item = items[index]
    if value.flow_style:
        start = _end(items[index - 1]) if index else item.start_mark.index
        first_of_many = not index and len(items) > 1
        end = items[1].start_mark.index if first_of_many else _end(item)
        return _applied(text, _Cut(start, end, ""))
    dash = text.rindex("-", 0, item.start_mark.index)
    start = text.rfind("\n", 0, dash) + 1
    end = text.find("\n", _last(text, _end(item)))
    return _applied(text, _Cut(start, len(text) if end < 0 else end + 1, ""))


def change_item(text: str, section: str, index: int, changes: Values) -> str:
    """With `changes` made to item `index` of the list `section`."""
    value = _section(text, section)
    if not isinstance(value, yaml.SequenceNode):
        return text
    item = value.value[index]
    return _with_keys(text, item, changes) if isinstance(item, yaml.MappingNode) else text


def change_section(text: str, section: str, changes: Values) -> str:
    """With `changes` made to the group `section`."""
    root, value = _root(text), _section(text, section)
    if value is None:
        return _with_new_section(text, section, changes)
    if isinstance(value, yaml.MappingNode) and value.value:
        return _with_keys(text, value, changes)
    if root is not None and root.flow_style:
        return _with_keys(text, root, {section: changes})
    lines = [f"  {key}: {_flow(new)}" for key, new in changes.items()]
    return _applied(text, _filled(text, value, lines))


def _with_keys(text: str, node: yaml.MappingNode, changes: Values) -> str:
    cuts = []
    present = {key.value for key, _ in node.value}
    for key, value in node.value:
        if key.value in changes:
            start = text.index(":", key.end_mark.index) + 1
            new = f" {_flow(changes[key.value])}"
            cuts.append(_Cut(start, max(start, _last(text, _end(value))), new))
    added = [f"{key}: {_flow(new)}" for key, new in changes.items() if key not in present]
    if added and node.flow_style:
        at = _end(node.value[-1][1]) if node.value else node.start_mark.index + 1
        cuts.append(_Cut(at, at, ", ".join((["", *added]) if node.value else added)))
    elif added:
        at = _line_end(text, _end(node))
        indent = " " * node.start_mark.column
        cuts.append(_Cut(at, at, "".join(f"{_newline(text)}{indent}{line}" for line in added)))
    return _applied(text, *cuts)


def _root(text: str) -> yaml.MappingNode | None:
    root = yaml.SafeLoader(text).get_single_node()
    return root if isinstance(root, yaml.MappingNode) else None


def _section(text: str, name: str) -> yaml.Node | None:
    root = _root(text)
    pairs = root.value if root is not None else []
    return next((value for key, value in pairs if key.value == name), None)


def _with_new_section(text: str, section: str, value: Values | list[Values]) -> str:
    root = _root(text)
    if root is not None and root.flow_style:
        return _with_keys(text, root, {section: value})
    newline = _newline(text)
    lines = [f"{section}:"]
    if isinstance(value, list):
        lines += [line for item in value for line in _item_lines(item, 2, 4, block=False)]
    else:
        lines += [f"  {key}: {_flow(new)}" for key, new in value.items()]
    start = text if not text or text.endswith("\n") else text + newline
    return start + newline.join(lines) + newline


def _filled(text: str, value: yaml.Node, lines: list[str]) -> _Cut:
    """Lines under the key of an empty value: nothing at all, `null`, `[]` or `{}`."""
    newline = _newline(text)
    start, end = value.start_mark.index, value.end_mark.index
    body = newline.join(("", *lines))
    if start == end:  # nothing was written: a comment may follow the key
        at = _line_end(text, start)
        return _Cut(at, at, body)
    while start and text[start - 1] == " ":
        start -= 1
    return _Cut(start, end, body)


def _item_lines(item: Values, column: int, inner: int, *, block: bool) -> list[str]:
    dash = " " * column + "-" + " " * (inner - column - 1)
    if not block:
        return [f"{' ' * column}- {_flow(item)}"]
    pairs = [f"{key}: {_flow(value)}" for key, value in item.items()]
    return [dash + pairs[0], *(" " * inner + pair for pair in pairs[1:])]


def _flow(value: Any) -> str:
    """`value` on one line, safe inside braces and brackets."""
    text = yaml.safe_dump(
        [value], default_flow_style=True, sort_keys=False, width=1 << 30, allow_unicode=True
    )
    return text.strip()[1:-1]


def _end(node: yaml.Node) -> int:
    """Where the last written character of a node ends (a block's own mark lies further down)."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(node, yaml.MappingNode) else last)
    return int(node.end_mark.index)


def _last(text: str, end: int) -> int:
    return end - 1 if end and text[end - 1] == "\n" else end


def _line_end(text: str, end: int) -> int:
    """The end of the line that `end` is on, after its comment and before its newline."""
    at = text.find("\n", _last(text, end))
    if at < 0:
        return len(text)
    return at - 1 if at and text[at - 1] == "\r" else at


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _applied(text: str, *cuts: _Cut) -> str:
    for cut in sorted(cuts, key=lambda cut: (cut.start, cut.end), reverse=True):
        text = text[: cut.start] + cut.new + text[cut.end :]
    return text
