"""What each kind looks like. A rule is a pattern and, where there is one, a check of its digits.

Checks: Luhn (ISO/IEC 7812) for cards, mod 97 (ISO 7064) for IBANs, the numbering plans of the
`phonenumbers` library for telephones. Patterns are bounded, so that no text makes them slow.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from server.audio.scrub.model import Kind, Language

CARD_DIGITS = range(13, 20)
_HEX = r"[0-9A-Fa-f]{1,4}"
_STREETS_EN = (
    r"street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct|place|pl|square|sq"
    r"|terrace|way|close|crescent|parkway|pkwy|highway|hwy"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """`check` is asked with what was found; what it does not confirm is not private."""

    kind: Kind
    pattern: re.Pattern[str]
    check: Callable[[str], bool] | None = None

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        for found in self.pattern.finditer(text):
            if self.check is None or self.check(found[0]):
                yield found.span()


def luhn(number: str) -> bool:
    """Whether the last digit confirms the others. Everything that is no digit is left out."""
    digits = [int(one) for one in number if one.isdecimal()]
    if len(digits) not in CARD_DIGITS or len(set(digits)) == 1:
        return False
    doubled = [sum(divmod(2 * one, 10)) for one in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


_CARDS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3[068]\d{12}|35\d{14}"
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12,15}|62\d{14,17}|(?:50|5[6-8])\d{11,17}"
)


def card(number: str) -> bool:
    """Whether it begins like a card of a large network, and is as long as those are."""
    return _CARDS.fullmatch(number) is not None


def iban(number: str) -> bool:
    plain = "".join(number.split()).upper()
    if not 15 <= len(plain) <= 34:
        return False
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(one, 36)) for one in turned)) % 97 == 1


def octets(address: str) -> bool:
    return all(int(one) < 256 for one in address.split("."))


def social_security(number: str) -> bool:
    """As the US administration gives them out: no block is all zeros, none begins with 9 or 666."""
    area, group, serial = re.split(r"[- ]", number)
    return area not in {"000", "666"} and area < "900" and group != "00" and serial != "0000"


RULES: tuple[Rule, ...] = (
    Rule(
        "secret",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----(?:(?!-----BEGIN )[\s\S]){0,20000}?"
            r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----"
        ),
    ),
    Rule("secret", re.compile(r"(?<![\w-])eyJ[\w-]{8,4000}\.[\w-]{8,8000}\.[\w-]{8,2000}")),
    Rule("secret", re.compile(r"(?<![\w-])(?:sk|rk|pk)[-_][\w-]{12,256}")),
    Rule("secret", re.compile(r"\b(?:gh[opsu]_|github_pat_|glpat-|xox[abprs]-)[\w-]{10,255}")),
    Rule("secret", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    Rule("secret", re.compile(r"\bAIza[\w-]{35}")),
    Rule("secret", re.compile(r"\b(?:hf_[A-Za-z0-9]{20,256}|nvapi-[\w-]{16,512})")),
    Rule(
        "secret", re.compile(r"\b(?:npm_[A-Za-z0-9]{36}|pypi-[\w-]{16,512}|dckr_pat_[\w-]{20,64})")
    ),
    Rule("secret", re.compile(r"\bSG\.[\w-]{16,64}\.[\w-]{16,128}")),
    Rule("secret", re.compile(r"\bya29\.[\w-]{20,512}")),
    Rule("secret", re.compile(r"(?<!\w)\d{8,10}:AA[\w-]{33}(?![\w-])")),
    Rule("secret", re.compile(r"https://hooks\.slack\.com/services/[\w/]{20,200}")),
    # What is called a secret is one, whatever it looks like: `password: …`, `Bearer …`.
    Rule("secret", re.compile(r"(?i)(?<=\bbearer )[\w.~+/-]{12,4096}=*")),
    Rule(
        "secret",
        re.compile(
            r"(?i)(?:(?<=\bpassword[=:])|(?<=\bpassword[=:] )|(?<=\bpasswd[=:])|(?<=\bsecret[=:])"
            r"|(?<=\bsecret[=:] )|(?<=\btoken[=:])|(?<=\btoken[=:] )|(?<=\bapi[_-]key[=:])"
            r"|(?<=\bapi[_-]key[=:] ))[^\s,;'\"]{6,256}"
        ),
    ),
    # The password within an address: `postgres://user:…@host`.
    Rule("secret", re.compile(r"(?<=:)(?<!\d:)[^\s:/@]{3,128}(?=@[\w.-]{1,253}[:/]\w)")),
    Rule(
        "email",
        re.compile(r"\b[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.){1,8}[a-zA-Z]{2,24}\b"),
    ),
    Rule("iban", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b"), iban),
    Rule("card", re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])"), luhn),
    Rule("ssn", re.compile(r"(?<![\d-])\d{3}[- ]\d{2}[- ]\d{4}(?![\d-])"), social_security),
    Rule("ip", re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.]*\d)"), octets),
    Rule("ip", re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}(?![\w:])")),
    Rule(
        "ip", re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{1,4}:){1,6}(?::[0-9A-Fa-f]{1,4}){1,6}(?![\w:])")
    ),
    Rule("mac", re.compile(r"(?<![\w:-])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![\w:-])")),
)

_ADDRESSES: Mapping[Language, Rule] = MappingProxyType(
    {
        "en": Rule(
            "address",
            re.compile(
                r"\b\d{1,6}[A-Za-z]? (?:[NSEW]\.? )?(?:[A-Z][\w'.-]{0,30} ){1,4}"
                rf"(?i:{_STREETS_EN})\b\.?"
                r"(?:,? (?i:apt|apartment|suite|unit|flat|#)\.? ?\w{1,6})?"
            ),
        ),
        "de": Rule(
            "address",
            re.compile(
                r"(?<![\w.-])(?:[A-ZÄÖÜ][\w.-]{0,30} (?:de[rnms] |zu[mr] |[ai]m )?){0,3}?"
                r"[A-ZÄÖÜ]?[\w.-]{0,30}(?i:straße|strasse|str\.|weg|platz|allee|gasse|ufer|damm)"
                r" \d{1,4}(?: ?[a-z]\b)?(?:, ?\d{5} [A-ZÄÖÜ][\w-]{1,40})?"
            ),
        ),
    }
)


# ---- what is said and not written

_ENDS = r"com|net|org|edu|gov|io|dev|app|info|co|me|ai|eu|uk|us|ca|au|de|at|ch|fr|it|es|nl|se"
_NO_MAILBOX = re.compile(
    r"(?i)(?:a|about|are|arrive|available|be|began|begin|down|find|found|he|her|here|him|i|in|is|it"
    r"|look|looked|looking|made|me|meet|meeting|meets|more|on|online|or|out|page|she|site|so"
    r"|started|that|the|them|there|they|this|up|us|visit|was|we|website|were|work|works|you) "
)


def _mailbox(said: str) -> bool:
    """`look at example dot com` is no address of a person."""
    return _NO_MAILBOX.match(said) is None


def _said_email(at: str, dot: str, dash: str, line: str) -> Rule:
    between = rf"(?:[ ]?\.[ ]?| {dot} | {dash} | {line} )"
    return Rule(
        "email",
        re.compile(
            rf"(?i)(?<!\w)[\w-]{{1,40}}(?:{between}[\w-]{{1,40}}){{0,4}} {at} [\w-]{{1,40}}"
            rf"(?:(?: {dot} | {dash} )[\w-]{{1,20}}){{0,3}} {dot} (?:{_ENDS})(?!\w)"
        ),
        _mailbox,
    )


_UNITS_EN = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen"
    r"|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
    r"|hundred|zero|oh|and)"
)
_SAID_ADDRESS_EN = Rule(
    "address",
    re.compile(
        rf"\b(?i:{_UNITS_EN})(?:[ -](?i:{_UNITS_EN})){{0,5}} (?:[A-Z][\w'.-]{{0,30}} ){{1,4}}"
        rf"(?i:{_STREETS_EN})\b\.?"
    ),
)
"""Also a number in words: recognisers differ in whether they write digits."""

LANGUAGE_RULES: Mapping[Language, tuple[Rule, ...]] = MappingProxyType(
    {
        "en": (
            _ADDRESSES["en"],
            _SAID_ADDRESS_EN,
            _said_email("at", "dot", "(?:dash|hyphen|minus)", "underscore"),
        ),
        "de": (
            _ADDRESSES["de"],
            _said_email(
                "(?:at|ät|klammeraffe)",
                "(?:punkt|dot)",
                "(?:minus|bindestrich)",
                "(?:unterstrich|underscore)",
            ),
        ),
    }
)
"""Street addresses, and e-mail addresses in words ("ada at example dot com")."""
