"""Coloured terminal text as plain text and spans that name what they look like. Pure.

Owns which sequences mean something: colours and weights. All others are taken out, and what cannot
be seen is made visible, so that `text` is inert everywhere and `looks` are words of a fixed list.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from server.base.redact import ANSI, escape_controls, redact, strip_ansi

_SGR = re.compile(r"(?:\x1b\[|\x9b)([0-9;:]{0,64})m")
_HUES = ("dark", "red", "green", "yellow", "blue", "magenta", "cyan", "light")
_ON = {1: "bold", 2: "dim", 3: "italic", 4: "underline"}
_OFF = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",)}
LOOKS = frozenset({*_HUES, *_ON.values()})
_TAB = "    "
MOST_SEQUENCES = 200
"""In one line; from there on it is plain. No engine writes so many, and each costs time."""

Span = tuple[int, int, str]
"""From, to (exclusive), and what it looks like: words of `LOOKS` with a space between."""


@dataclass(frozen=True, slots=True)
class Styled:
    """One line. Where `spans` say nothing the text is plain."""

    text: str
    spans: tuple[Span, ...] = ()


def styled(raw: str, limit: int) -> Styled:
    """One inert line of at most `limit` characters, without secrets."""
    part = raw[: limit * 4 + 64]
    text, spans = _read(part, limit + 1)
    shown = redact(text)
    if shown != text:
        spans = []  # they count letters of another text
    if len(shown) > limit or len(part) < len(raw):
        shown = shown[: limit - 1] + "…"
    kept = ((begin, min(end, len(shown)), look) for begin, end, look in spans)
    return Styled(shown, tuple(span for span in kept if span[0] < span[1]))


def _read(raw: str, enough: int) -> tuple[str, list[Span]]:
    """The text, of which no more than `enough` letters are wanted."""
    if "\x1b" not in raw and "\x9b" not in raw:
        return _plain(raw[:enough]), []
    spans: list[Span] = []
    text, look, at = "", "", 0
    for number, found in enumerate(ANSI.finditer(raw)):
        text = _extend(text, _plain(raw[at : found.start()][:enough]), look, spans)
        at = found.end()
        if number == MOST_SEQUENCES or len(text) >= enough:
            break
        colours = _SGR.fullmatch(found[0])
        if colours:
            look = _after(look, colours[1])
    return _extend(text, _plain(strip_ansi(raw[at:])[:enough]), look, spans), spans


def _extend(text: str, more: str, look: str, spans: list[Span]) -> str:
    if more and look:
        begin, end = len(text), len(text) + len(more)
        if spans and spans[-1][1:] == (begin, look):
            begin = spans.pop()[0]
        spans.append((begin, end, look))
    return text + more


def _plain(text: str) -> str:
    return escape_controls(text.replace("\t", _TAB))


def _after(look: str, codes: str) -> str:
    """The look after one sequence; what is not known changes nothing."""
    words = set(look.split())
    for code in _codes(codes):
        if code == 0:
            words.clear()
        elif code in _ON:
            words.add(_ON[code])
        elif code in _OFF:
            words.difference_update(_OFF[code])
        elif code == 39 or 30 <= code <= 37 or 90 <= code <= 97:
            words.difference_update(_HUES)
            if code != 39:
                words.add(_HUES[code % 10])
    return " ".join(sorted(words))


def _codes(text: str) -> Iterator[int]:
    """The codes one after another; a colour of a palette becomes the plain one it stands for,
    or none."""
    numbers = [int(part) if part.isdecimal() and len(part) < 4 else 0
               for part in text.replace(":", ";").split(";")]  # fmt: skip
    while numbers:
        code = numbers.pop(0)
        if code not in {38, 48}:
            yield code
            continue
        kind = numbers.pop(0) if numbers else 0
        given, numbers = numbers[: 1 if kind == 5 else 3], numbers[1 if kind == 5 else 3 :]
        if code == 38:
            plain = kind == 5 and given and given[0] < 16
            yield given[0] % 8 + 30 if plain else 39
