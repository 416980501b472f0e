"""Text of others, made safe to print: what a host or a log says never steers the terminal.

Owns the set of characters that a terminal or a reader's eye would obey: control characters (C0, C1,
DEL), line separators, and the invisible ones that reorder or hide text.
"""

import re

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def inert(value: object) -> str:
    """Several lines stay several lines; every other control character is drawn, not obeyed."""
    return _UNSAFE.sub(_escape, str(value).replace("\r\n", "\n"))


def one_line(value: object, limit: int | None = None) -> str:
    """For a cell or a bar: newlines and tabs are drawn too, and a long text ends in an ellipsis."""
    text = inert(value).replace("\n", "\\n").replace("\t", " ")
    if limit is not None and len(text) > limit:
        return text[: max(limit - 1, 0)] + "…"
    return text


def inert_json(text: str) -> str:
    """Encoded JSON with the same characters escaped, which may only stand inside its strings."""

    def escape(match: re.Match[str]) -> str:
        raw = match[0].encode("utf-16-be", "surrogatepass").hex()
        return "".join(f"\\u{raw[i : i + 4]}" for i in range(0, len(raw), 4))

    return _UNSAFE.sub(escape, text)
