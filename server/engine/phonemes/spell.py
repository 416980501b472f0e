"""Text as it is spoken: numbers, money, times, abbreviations and signs become words. Pure.

Owns no pronunciation. What it does not know it leaves as it stands; the dictionary decides then.
"""

import re
from collections.abc import Callable

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
_TENS = (
    "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)  # fmt: skip
_SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"))
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_SHORT = {
    "mr.": "mister",
    "mrs.": "missus",
    "ms.": "miz",
    "dr.": "doctor",
    "prof.": "professor",
    "st.": "saint",
    "vs.": "versus",
    "etc.": "et cetera",
    "e.g.": "for example",
    "i.e.": "that is",
    "approx.": "approximately",
    "jr.": "junior",
    "sr.": "senior",
}
_NAMES = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        (
            "ay", "bee", "see", "dee", "ee", "eff", "gee", "aitch", "eye", "jay", "kay", "ell",
            "em", "en", "oh", "pee", "cue", "are", "ess", "tee", "you", "vee", "double you", "ex",
            "why", "zee",
        ),
        strict=True,
    )
)  # fmt: skip
"""The letters of a.m. and U.S., which are no words."""
_SIGNS = {"&": "and", "+": "plus", "=": "equals", "@": "at", "%": "percent", "#": "number"}
_MONEY = {"$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent")}
_QUOTES = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "`": "'", "\u2013": "—", "\u00a0": " ", "\u202f": " "}
)


def cardinal(number: int) -> str:
    """The words of a whole number; digits one by one beyond the scales."""
    if number < 0:
        return "minus " + cardinal(-number)
    if number >= 10**15:
        return " ".join(_ONES[int(digit)] for digit in str(number))
    if number < 20:
        return _ONES[number]
    if number < 100:
        ten, one = divmod(number, 10)
        return _TENS[ten] + (f" {_ONES[one]}" if one else "")
    if number < 1000:
        hundred, rest = divmod(number, 100)
        return f"{_ONES[hundred]} hundred" + (f" {cardinal(rest)}" if rest else "")
    scale, name = next(pair for pair in _SCALES if number >= pair[0])
    many, rest = divmod(number, scale)
    return f"{cardinal(many)} {name}" + (f" {cardinal(rest)}" if rest else "")


def ordinal(number: int) -> str:
    *before, last = cardinal(number).split(" ")
    if last in _ORDINALS:
        last = _ORDINALS[last]
    else:
        last = last[:-1] + "ieth" if last.endswith("y") else last + "th"
    return " ".join([*before, last])


def year(number: int) -> str:
    """As years are read: nineteen eighty four, two thousand five, twenty twenty six."""
    first, last = divmod(number, 100)
    if last == 0:
        return cardinal(number) if first % 10 == 0 else f"{cardinal(first)} hundred"
    if first % 10 == 0 and last < 10:
        return cardinal(number)
    return f"{cardinal(first)} " + (f"oh {cardinal(last)}" if last < 10 else cardinal(last))


def _digits(text: str) -> str:
    return " ".join(_ONES[int(digit)] for digit in text)


def _number(found: re.Match[str]) -> str:
    whole, part = found["whole"].replace(",", ""), found["part"]
    if part:
        return f"{cardinal(int(whole))} point {_digits(part)}"
    if len(whole) > 1 and whole.startswith("0"):
        return _digits(whole)
    number = int(whole)
    if len(whole) == 4 and "," not in found["whole"] and 1100 <= number <= 2099:
        return year(number)
    return cardinal(number) if len(whole) < 16 else _digits(whole)


def _money(found: re.Match[str]) -> str:
    one, small = _MONEY[found["sign"]]
    whole, part = int(found["whole"].replace(",", "")), found["part"]
    said = f"{cardinal(whole)} {one}" + ("" if whole == 1 else "s")
    if part and int(part):
        cents = int(part.ljust(2, "0"))
        many = small if cents == 1 else {"penny": "pence"}.get(small, f"{small}s")
        said += f" and {cardinal(cents)} {many}"
    return said


def _time(found: re.Match[str]) -> str:
    hour, minute = int(found["hour"]), int(found["minute"])
    if minute == 0:
        return f"{cardinal(hour)} o'clock"
    return f"{cardinal(hour)} " + (f"oh {cardinal(minute)}" if minute < 10 else cardinal(minute))


def _address(found: re.Match[str]) -> str:
    return " dot ".join(_digits(part) for part in found[0].split("."))


_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"\bno\.(?= ?\d)", re.IGNORECASE), lambda _: "number"),
    (re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){2,3}(?![\d.]*\d)"), _address),
    (
        re.compile(r"(?P<sign>[$£€])(?P<whole>\d[\d,]{0,14})(?:\.(?P<part>\d{1,2}))?(?!\d)"),
        _money,
    ),
    (re.compile(r"\b(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)\b"), _time),
    (
        re.compile(r"\b(?P<number>\d{1,9})(?:st|nd|rd|th)\b", re.IGNORECASE),
        lambda found: ordinal(int(found["number"])),
    ),
    (re.compile(r"(?<!\w)-(?=\d)"), lambda _: "minus "),
    (re.compile(r"(?P<whole>\d+(?:,\d{3})*)(?:\.(?P<part>\d+))?"), _number),
    (
        re.compile(r"(?<![\w.])(?:" + "|".join(map(re.escape, _SHORT)) + r")(?!\w)", re.IGNORECASE),
        lambda found: _SHORT[found[0].lower()],
    ),
    (
        re.compile(r"\b(?:[a-z]\.){2,}", re.IGNORECASE),
        lambda found: " ".join(_NAMES[letter] for letter in found[0].lower() if letter != "."),
    ),
    (re.compile(r"(?<=[a-z])\.(?=[a-z])", re.IGNORECASE), lambda _: " dot "),
    (re.compile("[" + re.escape("".join(_SIGNS)) + "]"), lambda found: f" {_SIGNS[found[0]]} "),
)


def spoken(text: str) -> str:
    """`text` with everything that is not a word written as words."""
    text = text.translate(_QUOTES)
    for pattern, say in _RULES:
        text = pattern.sub(lambda found, say=say: f"{say(found)}", text)  # type: ignore[misc]
    return re.sub(r"\s+", " ", text).strip()


_SENTENCE = re.compile(r"(?<=[.!?…])[\"')\]”]*\s+|\n+")


def sentences(text: str) -> list[str]:
    """Cut after the ends of sentences; what holds no letter and no digit is left out."""
    return [piece for piece in _SENTENCE.split(text) if any(c.isalnum() for c in piece)]
