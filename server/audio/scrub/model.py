"""The words of the scrubbing."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

Kind = Literal[
    "email", "phone", "card", "iban", "address", "ip", "mac", "ssn", "secret", "name", "custom"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
Language = Literal["en", "de"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
"""Whose street addresses and number words are known. Everything else is the same everywhere."""


Detector = Literal["patterns", "checksums", "telephones", "spoken", "listed", "people"]
"""What looked: the forms of things, their check digits, the numbering plans of all countries,
numbers that were said in words, what the caller listed, a model that knows names."""


class Private(NamedTuple):
    """`text[start:end]` of the document, in Python's own letters (code points)."""

    kind: Kind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for. `region` (ISO 3166, such as `US`) is where telephone numbers without a
    country code are from. `names` and `custom` are found as whole words, whatever their case.
    `find_names`: a language model looks for names of people as well (`people`)."""

    kinds: frozenset[Kind] = frozenset(KINDS)
    languages: tuple[Language, ...] = LANGUAGES
    region: str = "US"
    names: tuple[str, ...] = ()
    custom: tuple[str, ...] = ()
    find_names: bool = False


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """`spans` are of the text that was given, `placed` (same order) of the new one. `values` is
    what each placeholder stands for, the first time it was seen: whoever holds it can undo it."""

    text: str
    spans: tuple[Private, ...]
    placed: tuple[tuple[int, int, str], ...]
    values: "MappingProxyType[str, str]"
