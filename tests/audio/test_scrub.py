"""What tells who somebody is, found and replaced."""

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio.scrub import Kind, Wanted, scrub
from server.audio.scrub.find import SUREST, detectors, find
from server.audio.scrub.rules import RULES

WANTED = Wanted(names=("Ada Lovelace", "Bob"), custom=("Project Falcon",))
# Numbers that are made to be shown: reserved for fiction and documentation, or test cards.
PRIVATE = {
    "card": ["4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005"],
    "email": ["ada@example.com", "o'brien+x@mail.example.co.uk"],
    "iban": ["GB33BUKB20201555555555", "DE89 3704 0044 0532 0130 00"],
    "ip": ["192.0.2.17", "2001:db8::8a2e:370:7334"],
    "mac": ["00:1a:2b:3c:4d:5e"],
    "phone": ["+44 20 7946 0958", "(212) 555-2368", "+49 30 901820"],
    "secret": ["sk-proj-aZ09_aZ09_aZ09", "ghp_0123456789abcdefABCD", "AKIAIOSFODNN7EXAMPLE"],
    "ssn": ["219-09-9999"],
    "address": ["221 Baker Street", "1600 Pennsylvania Ave, Apt 4", "Unter den Linden Str. 77"],
    "name": ["Ada Lovelace", "ADA  LOVELACE", "bob"],
    "custom": ["project falcon"],
}
HARMLESS = [
    "We shipped 4111 1111 1111 1112 units.",  # its check digit is wrong
    "Version 1.2.3 of 2024-05-17, at 10:30:45.",
    "Order 0000000000000000 is a placeholder.",
    "GB33BUKB20201555555556 is no account.",
    "The ratio is 16:9, the range 300.400.500.600.",
    "Bobby met Adam, and nobody else.",
    "One two three, testing.",
]


def examples() -> list[tuple[str, str]]:
    return [(kind, text) for kind, texts in PRIVATE.items() for text in texts]


@pytest.mark.parametrize(("kind", "private"), examples())
def test_each_kind_is_found_whole(kind: str, private: str) -> None:
    """In the middle of a sentence, and nothing beside it."""
    text = f"please write {private} down."
    found = [(one.kind, text[one.start : one.end]) for one in find(text, WANTED)]
    assert found == [(kind, private)]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_it_stays(text: str) -> None:
    """Check digits, ranges and word borders are looked at."""
    assert scrub(text, WANTED).text == text


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("four one one one, one one one one, one one one one, one one one one", "card"),
        ("two one two five five five two three six eight", "phone"),
        ("two twelve five fifty-five twenty-three sixty-eight", "phone"),
        ("plus four nine three zero nine zero one eight two zero", "phone"),
        ("two one two triple five two three six eight", "phone"),
        ("four one five five five five zero one three two", "phone"),
        ("one eight hundred five five five two three six eight", "phone"),
        ("plus forty-four twenty seven nine four six oh nine five eight", "phone"),
        ("five five five oh one three two", "phone"),
        ("ada dot lovelace at mail dot example dot com", "email"),
        ("two twenty one Baker Street", "address"),
    ],
)
def test_numbers_that_were_spoken_are_found(said: str, kind: str) -> None:
    """A recogniser writes what it heard."""
    text = f"my number is {said} okay"
    found = find(text, Wanted())
    assert [one.kind for one in found] == [kind]
    assert text[found[0].start : found[0].end] == said


@pytest.mark.parametrize(
    "said",
    [
        "null drei null neunzig achtzehn zwanzig",
        "null eins sieben eins zweiundzwanzig dreiunddreißig vier vier vier",
        "plus neunundvierzig dreißig neunzig achtzehn zwanzig",
    ],
)
def test_german_numbers_are_read_as_germans_say_them(said: str) -> None:
    """The unit before the ten."""
    text = f"Sie erreichen mich unter {said}, danke"
    (found,) = find(text, Wanted(region="DE"))
    assert (found.kind, text[found.start : found.end]) == ("phone", said)


@pytest.mark.parametrize(
    ("text", "private"),
    [
        ("my social security number is two one nine, oh nine, nine nine nine nine", "ssn"),
        ("we counted two one nine, oh nine, nine nine nine nine", None),
        ("call me at five five five oh one three two", "phone"),
        ("it took five five five oh one three two", None),
        ("call me. five five five oh one three two", None),
        ("look at example dot com", None),
    ],
)
def test_digits_that_could_be_anything_are_what_the_words_before_say(
    text: str, private: str | None
) -> None:
    """Within one sentence."""
    assert [one.kind for one in find(text, Wanted())] == ([private] if private else [])


def test_an_address_that_was_spelled_out_is_the_one_that_was_written() -> None:
    """So is a number."""
    text = (
        "ada@example.com, ada at example dot com, "
        "212-555-2368, two one two triple five two three six eight"
    )
    assert scrub(text, WANTED).text == "[EMAIL_1], [EMAIL_1], [PHONE_1], [PHONE_1]"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("password: hunter22!", "password: [SECRET_1]"),
        ("API_KEY=abc.def-123", "API_KEY=[SECRET_1]"),
        ("Authorization: Bearer abcdefgh.ijkl", "Authorization: Bearer [SECRET_1]"),
        ("postgres://ada:pw123@db/x", "postgres://ada:[SECRET_1]@db/x"),
        ("npm_" + "a1" * 18, "[SECRET_1]"),
        ("the password is long, the token too", "the password is long, the token too"),
        ("a bearer of news", "a bearer of news"),
    ],
)
def test_what_is_called_a_secret_is_one(text: str, clean: str) -> None:
    """Whatever it looks like. What is only spoken of stays."""
    assert scrub(text, Wanted(kinds=frozenset({"secret"}))).text == clean


def test_what_stands_beside_a_number_that_was_said_goes_with_it() -> None:
    """One of its digits was misheard. One of ten numbers has the check digit of a card."""
    text = "two one two five five five two three six eight nine nine nine nine, thanks"
    assert scrub(text, WANTED).text == "[PHONE_1] [PHONE_2], thanks"
    said = "nine nine nine nine four one one one one one one one one one one one one one one one"
    assert scrub(said, WANTED).text == "[CARD_1] [CARD_2]"


def test_the_answer_can_say_what_looked() -> None:
    """What is not wanted does not look."""
    assert detectors(WANTED) == ("patterns", "checksums", "telephones", "spoken", "listed")
    assert detectors(Wanted(kinds=frozenset({"ip"}))) == ("patterns",)
    assert detectors(Wanted(kinds=frozenset({"name"}), find_names=True)) == ("people",)
    assert detectors(Wanted(kinds=frozenset({"phone"}), languages=())) == ("telephones",)


def test_the_same_thing_has_the_same_placeholder() -> None:
    """Also when it is written another way; another thing has another one."""
    text = "Call 212-555-2368 or (212) 555 2368, mail a@example.com, A@Example.com, b@example.com"
    assert scrub(text, WANTED).text == (
        "Call [PHONE_1] or [PHONE_1], mail [EMAIL_1], [EMAIL_1], [EMAIL_2]"
    )


def test_only_the_kinds_that_are_wanted_are_replaced() -> None:
    """What is not asked for is left alone."""
    text = "a@example.com 192.0.2.1"
    assert scrub(text, Wanted(kinds=frozenset({"ip"}))).text == "a@example.com [IP_1]"


def test_a_placeholder_that_the_text_holds_is_not_used() -> None:
    """Undoing would otherwise put an address where the text had the words."""
    assert scrub("[EMAIL_1] is a@example.com", WANTED).text == "[EMAIL_1] is [EMAIL_2]"


pieces = st.lists(
    st.one_of(
        st.text(max_size=15),
        st.sampled_from([text for _, text in examples()]),
        st.sampled_from([" ", "\n", ", ", " five ", " double ", "[EMAIL_1]", "0" * 20]),
    ),
    max_size=12,
).map("".join)


@given(pieces)
@settings(max_examples=100)
def test_undoing_gives_back_what_was_there(text: str) -> None:
    """Spans tell what was replaced, `placed` where its placeholder is; they do not overlap."""
    done = scrub(text, WANTED)
    again, at = "", 0
    for span, (start, end, name) in zip(done.spans, done.placed, strict=True):
        assert done.text[start:end] == name
        again += done.text[at:start] + text[span.start : span.end]
        at = end
    assert again + done.text[at:] == text
    assert all(a.end <= b.start for a, b in zip(done.spans, done.spans[1:], strict=False))
    assert set(done.values) == {name for *_, name in done.placed}


@given(st.text(alphabet="a1@.:- /+[](){}AZß\n", max_size=60), st.integers(50, 150))
@settings(max_examples=30)
def test_no_text_makes_a_rule_slow(text: str, times: int) -> None:
    """Patterns are bounded: a repeated worst case is still answered."""
    find(text * times, WANTED)


def test_every_kind_has_a_rank_and_every_rule_a_kind() -> None:
    """A kind that is forgotten would fail only when it is found."""
    assert sorted(SUREST) == sorted(get_args(Kind))
    assert {rule.kind for rule in RULES} < set(SUREST)


def test_a_long_row_of_digits_is_no_part_of_a_spoken_number() -> None:
    """Looked at from each of its digits it would take minutes."""
    said = "four one five, five five five, two six seven one"
    text = f"one {'7' * 100_000} {said}"
    (found,) = scrub(text, Wanted(kinds=frozenset({"phone"}))).spans
    assert text[found.start : found.end] == said
