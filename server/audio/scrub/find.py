"""Where in a text something private is: every rule once, then one answer for each letter."""

import re
from collections.abc import Iterator, Sequence

from phonenumbers import Leniency, PhoneNumberMatcher, is_valid_number, parse
from phonenumbers.phonenumberutil import NumberParseException

from server.audio.scrub.model import Kind, Private, Wanted
from server.audio.scrub.numbers import Digits, spoken_digits
from server.audio.scrub.rules import ADDRESSES, CARD_DIGITS, RULES, luhn

PHONE_DIGITS = range(7, 16)
# Of two that begin at the same letter and are equally long, the surer one: with a check digit, then
# with a form of its own, then what is only a number.
SUREST: tuple[Kind, ...] = (
    "custom", "name", "secret", "email", "iban", "card", "ssn", "mac", "ip", "phone", "address",
)  # fmt: skip


def find(text: str, wanted: Wanted) -> list[Private]:
    """In order, none touching another. Of two that overlap the longer one stays."""
    found = [one for one in _all(text, wanted) if one.kind in wanted.kinds and one.end > one.start]
    found.sort(key=lambda one: (one.start - one.end, SUREST.index(one.kind), one.start))
    kept: list[Private] = []
    taken = bytearray(len(text))
    for one in found:
        if not any(taken[one.start : one.end]):
            kept.append(one)
            taken[one.start : one.end] = b"\x01" * (one.end - one.start)
    return sorted(kept, key=lambda one: one.start)


def _all(text: str, wanted: Wanted) -> Iterator[Private]:
    for rule in (*RULES, *(ADDRESSES[language] for language in wanted.languages)):
        for start, end in rule.spans(text):
            yield Private(rule.kind, start, end)
    if "phone" in wanted.kinds:
        for match in PhoneNumberMatcher(text, wanted.region, leniency=Leniency.VALID):
            yield Private("phone", match.start, match.end)
    for run in spoken_digits(text, wanted.languages):
        yield from _spoken(run, wanted)
    yield from _listed(text, "name", wanted.names)
    yield from _listed(text, "custom", wanted.custom)


def _listed(text: str, kind: Kind, words: Sequence[str]) -> Iterator[Private]:
    """Whole words, whatever their case; runs of white space in them are all alike."""
    patterns = [
        r"\s+".join(map(re.escape, word.split()))
        for word in sorted(words, key=len, reverse=True)
        if word.strip()
    ]
    if patterns:
        for found in re.finditer(rf"(?i)(?<!\w)(?:{'|'.join(patterns)})(?!\w)", text):
            yield Private(kind, *found.span())


def _spoken(run: Digits, wanted: Wanted) -> Iterator[Private]:
    """A card, a social security number or a telephone number anywhere in what was said."""
    begin = 0
    while begin < len(run.digits):
        kind, length = _number(run.digits, begin, wanted.region)
        if kind is None:
            begin += 1
            continue
        yield Private(kind, run.places[begin][0], run.places[begin + length - 1][1])
        begin += length


def _number(digits: str, begin: int, region: str) -> tuple[Kind | None, int]:
    for length in reversed(CARD_DIGITS):
        number = digits[begin : begin + length]
        if len(number) == length and luhn(number):
            return "card", length
    for length in reversed(PHONE_DIGITS):
        number = digits[begin : begin + length]
        if len(number) == length and _telephone(number, region):
            return "phone", length
    return None, 0


def _telephone(number: str, region: str) -> bool:
    try:
        return is_valid_number(parse(number, region))
    except NumberParseException:
        return False
