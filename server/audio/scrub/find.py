"""Where in a text something private is: every rule once, then one answer for each letter."""

import re
from collections.abc import Iterator, Sequence

from phonenumbers import Leniency, PhoneNumberMatcher, is_valid_number, parse
from phonenumbers.phonenumberutil import NumberParseException

from server.audio.scrub.model import Detector, Kind, Private, Wanted
from server.audio.scrub.numbers import Digits, spoken_digits
from server.audio.scrub.rules import (
    CARD_DIGITS,
    LANGUAGE_RULES,
    RULES,
    Rule,
    card,
    luhn,
    social_security,
)

PHONE_DIGITS = range(7, 16)
SSN_DIGITS = 9
_LEFT_OVER = 4
_NUMBERS: frozenset[Kind] = frozenset({"phone", "card", "ssn"})
_CUE_LETTERS = 60
_PHONE_CUE = re.compile(
    r"(?i)\b(?:(?:tele)?phone|number|cell|mobile|call|dial|reach|text|fax|nummer|handy|telefon"
    r"|anrufen|erreichbar|erreichen)\b[^\d.?!]*$"
)
_SSN_CUE = re.compile(r"(?i)\b(?:social(?: security)?|ssn)\b[^\d.?!]*$")
# Of two that begin at the same letter and are equally long, the surer one: with a check digit, then
# with a form of its own, then what is only a number.
SUREST: tuple[Kind, ...] = (
    "custom", "name", "secret", "email", "iban", "card", "ssn", "mac", "ip", "phone", "address",
)  # fmt: skip


def find(text: str, wanted: Wanted, people: Sequence[tuple[int, int]] = ()) -> list[Private]:
    """In order, none touching another. Of two that overlap the longer one stays. `people` are where
    names were found by who knows names."""
    every = (*_all(text, wanted), *(Private("name", *span) for span in people))
    found = [one for one in every if one.kind in wanted.kinds and one.end > one.start]
    found.sort(key=lambda one: (one.start - one.end, SUREST.index(one.kind), one.start))
    kept: list[Private] = []
    taken = bytearray(len(text))
    for one in found:
        if not any(taken[one.start : one.end]):
            kept.append(one)
            taken[one.start : one.end] = b"\x01" * (one.end - one.start)
    return sorted(kept, key=lambda one: one.start)


def detectors(wanted: Wanted) -> tuple[Detector, ...]:
    """Those that look when this is wanted."""
    kinds = wanted.kinds
    looking: dict[Detector, bool] = {
        "patterns": bool(kinds & {rule.kind for rule in _rules(wanted)}),
        "checksums": bool(kinds & {"card", "iban"}),
        "telephones": "phone" in kinds,
        "spoken": bool(wanted.languages) and bool(kinds & {"phone", "card", "ssn", "email"}),
        "listed": ("name" in kinds and bool(wanted.names))
        or ("custom" in kinds and bool(wanted.custom)),
        "people": wanted.find_names and "name" in kinds,
    }
    return tuple(name for name, looks in looking.items() if looks)


def _rules(wanted: Wanted) -> tuple[Rule, ...]:
    return (*RULES, *(rule for one in wanted.languages for rule in LANGUAGE_RULES[one]))


def _all(text: str, wanted: Wanted) -> Iterator[Private]:
    written: list[tuple[int, int]] = []
    for rule in _rules(wanted):
        if rule.kind in wanted.kinds:
            for start, end in rule.spans(text):
                yield Private(rule.kind, start, end)
                if rule.kind in _NUMBERS:
                    written.append((start, end))
    if "phone" in wanted.kinds:
        for match in PhoneNumberMatcher(text, wanted.region, leniency=Leniency.VALID):
            yield Private("phone", match.start, match.end)
            written.append((match.start, match.end))
    if not wanted.kinds.isdisjoint(_NUMBERS):
        for run in spoken_digits(text, wanted.languages, sorted(written)):
            yield from _spoken(text, run, wanted)
    yield from listed(text, "name", wanted.names)
    yield from listed(text, "custom", wanted.custom)


def listed(
    text: str, kind: Kind, words: Sequence[str], *, any_case: bool = True
) -> Iterator[Private]:
    """Whole words; runs of white space in them are all alike."""
    patterns = [
        r"\s+".join(map(re.escape, word.split()))
        for word in sorted(words, key=len, reverse=True)
        if word.strip()
    ]
    if patterns:
        flags = re.IGNORECASE if any_case else re.NOFLAG
        for found in re.finditer(rf"(?<!\w)(?:{'|'.join(patterns)})(?!\w)", text, flags):
            yield Private(kind, *found.span())


def _spoken(text: str, run: Digits, wanted: Wanted) -> Iterator[Private]:
    """A card, a social security number or a telephone number anywhere in what was said. Digits that
    are no valid number are one all the same where the words before call them so, and where they
    stand beside one that is: then one of them was misheard."""
    found: list[tuple[Kind, int, int]] = []
    begin = rest = 0
    while begin < len(run.digits):
        kind, length = _number(run, begin, wanted.region)
        if kind is None:
            begin += 1
            continue
        if begin - rest >= _LEFT_OVER:
            found.append((kind, rest, begin))
        found.append((kind, begin, begin + length))
        begin = rest = begin + length
    if not found:
        yield from _called(text, run)
    elif len(run.digits) - rest >= _LEFT_OVER:
        found.append((found[-1][0], rest, len(run.digits)))
    for kind, first, after in found:
        start = run.places[first][0] if first or run.plus is None else run.plus
        yield Private(kind, start, run.places[after - 1][1])


def _called(text: str, run: Digits) -> Iterator[Private]:
    start = run.places[0][0] if run.plus is None else run.plus
    before = text[max(0, start - _CUE_LETTERS) : start]
    whole = slice(start, run.places[-1][1])
    if len(run.digits) in PHONE_DIGITS and _PHONE_CUE.search(before):
        yield Private("phone", whole.start, whole.stop)
    if len(run.digits) == SSN_DIGITS and _SSN_CUE.search(before):
        digits = run.digits
        if social_security(f"{digits[:3]}-{digits[3:5]}-{digits[5:]}"):
            yield Private("ssn", whole.start, whole.stop)


def _number(run: Digits, begin: int, region: str) -> tuple[Kind | None, int]:
    for length in reversed(CARD_DIGITS):
        number = run.digits[begin : begin + length]
        # One of ten numbers has the right check digit: amid others it must begin like a card too.
        if len(number) == length and (length == len(run.digits) or card(number)) and luhn(number):
            return "card", length
    plus = "+" if begin == 0 and run.plus is not None else ""
    for length in reversed(PHONE_DIGITS):
        number = run.digits[begin : begin + length]
        if len(number) == length and _telephone(plus + number, region):
            return "phone", length
    return None, 0


def _telephone(number: str, region: str) -> bool:
    try:
        return is_valid_number(parse(number, region))
    except NumberParseException:
        return False
