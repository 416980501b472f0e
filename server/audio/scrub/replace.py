"""Placeholders instead of what is private: the same one for the same thing, in one document."""

import re
from types import MappingProxyType

from server.audio.scrub.find import find
from server.audio.scrub.model import Kind, Private, Scrubbed, Wanted
from server.audio.scrub.numbers import spoken_digits

_NUMBERS: frozenset[Kind] = frozenset({"phone", "card", "ssn"})


def scrub(text: str, wanted: Wanted) -> Scrubbed:
    """`[EMAIL_1]` and so on, counted in order of their first mention. A placeholder that the text
    holds already is not used, so that undoing it gives back the very text."""
    spans = find(text, wanted)
    given: dict[tuple[Kind, str], str] = {}
    values: dict[str, str] = {}
    counts: dict[Kind, int] = {}
    pieces: list[str] = []
    placed: list[tuple[int, int, str]] = []
    at = length = 0
    for one in spans:
        said = text[one.start : one.end]
        same = (one.kind, _same(one, said, wanted))
        name = given.get(same)
        if name is None:
            name = given[same] = _name(one.kind, counts, text)
            values[name] = said
        pieces += [text[at : one.start], name]
        length += one.start - at
        placed.append((length, length + len(name), name))
        length += len(name)
        at = one.end
    pieces.append(text[at:])
    return Scrubbed("".join(pieces), tuple(spans), tuple(placed), MappingProxyType(values))


def _name(kind: Kind, counts: dict[Kind, int], text: str) -> str:
    while True:
        counts[kind] = counts.get(kind, 0) + 1
        name = f"[{kind.upper()}_{counts[kind]}]"
        if name not in text:
            return name


def _same(one: Private, said: str, wanted: Wanted) -> str:
    """What is equal in two ways of saying one thing: spaces and case, for numbers the digits."""
    if one.kind in _NUMBERS:
        spoken = spoken_digits(said, wanted.languages)
        return "".join(run.digits for run in spoken) or re.sub(r"\D", "", said)
    return " ".join(said.split()).casefold()
