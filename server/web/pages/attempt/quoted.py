"""Texts as literals of JSON, Python and the shell, in letters that can all be seen. Pure.

The one place where quoting is decided. What a template would have to make visible (controls,
direction marks) is written as an escape of its language: so the code on the page is, letter by
letter, the code that runs.
"""

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

NEXT_LINE = " \\\n  "
_KEY = '"Authorization: Bearer $SPARK_KEY"'


def json_text(value: Any) -> str:
    """Indented JSON. Line breaks are only between its members."""
    return _visible(json.dumps(value, indent=2, ensure_ascii=False))


def json_line(value: Any) -> str:
    return _visible(json.dumps(value, ensure_ascii=False))


def _visible(written: str) -> str:
    if written.isascii() and "\x7f" not in written:
        return written
    return "".join(
        letter if letter.isprintable() or letter == "\n" else _escaped(letter) for letter in written
    )


def _escaped(letter: str) -> str:
    return json.dumps(letter)[1:-1] if letter != "\x7f" else "\\u007f"


def python_text(value: Any, indent: int = 0) -> str:
    """A literal; a list, and an object beside others, over several lines."""
    if not isinstance(value, list) or not value or not isinstance(value[0], Mapping):
        return repr(value)
    inner = " " * (indent + 4)
    lines = "".join(f"{inner}{one!r},\n" for one in value)
    return f"[\n{lines}{' ' * indent}]"


def call(function: str, arguments: Mapping[str, str]) -> str:
    """`function(name=literal, …)`, one argument a line."""
    lines = "".join(f"    {name}={literal},\n" for name, literal in arguments.items())
    return f"{function}(\n{lines})"


def curl(url: str, options: Iterable[tuple[str, str]]) -> str:
    """One command. Each option is a flag and its value; the key is left to the shell."""
    words = [f"curl {shlex.quote(url)}", f"-H {_KEY}"]
    words += [f"{flag} {shlex.quote(value)}" if value else flag for flag, value in options]
    return NEXT_LINE.join(words)


def form_file(name: str, field: str = "file") -> str:
    """What `curl -F` is given for a file; `;` and `,` would end its name."""
    if any(letter in name for letter in ';,"\\') or name != name.strip():
        inside = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'{field}=@"{inside}"'
    return f"{field}=@{name}"
