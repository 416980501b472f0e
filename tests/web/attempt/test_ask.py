"""Forms read and checked: every wrong field is told, and nothing else gets through."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.web.errors import InvalidFields
from server.web.pages.attempt import ask
from server.web.pages.attempt.address import UNKNOWN, base
from server.web.pages.attempt.ask import LONGEST_SPOKEN, MOST_TURNS, Turn

NAMES = ("model", "message", "history", "system", "temperature", "max_tokens", "text", "voice")
MORE = ("speed", "response_format", "first", "second", "task", "language", "words", "filename")
GIVEN = st.dictionaries(st.sampled_from(NAMES + MORE), st.text(max_size=30))


def wrong(fields: dict[str, str], read: str = "chat") -> dict[str, str]:
    with pytest.raises(InvalidFields) as caught:
        getattr(ask, read)(fields)
    return dict(caught.value.fields)


@given(GIVEN, st.sampled_from(["chat", "speak", "compare", "hear"]))
@settings(max_examples=200)
def test_any_fields_are_read_or_refused_by_name(fields: dict[str, str], read: str) -> None:
    """Never with anything else than what is wrong with which field."""
    problems: Sequence[tuple[str, str]] = ()
    try:
        getattr(ask, read)(fields)
    except InvalidFields as error:
        problems = error.fields
    assert all(name and words for name, words in problems)


def test_all_wrong_fields_are_told_at_once() -> None:
    """So that a form is filled in twice at most."""
    given = {"temperature": "hot", "max_tokens": "0", "history": "{"}
    assert set(wrong(given)) == {"model", "message", "temperature", "max_tokens", "history"}


@pytest.mark.parametrize(
    ("text", "value"), [("", None), ("0", 0.0), ("0,7", 0.7), (" 1.5 ", 1.5), ("2", 2.0)]
)
def test_a_temperature_may_be_written_as_people_write(text: str, value: float | None) -> None:
    """With a comma too; empty is not sent."""
    asked = ask.chat({"model": "m", "message": "x", "temperature": text})
    assert asked.temperature == value
    assert ("temperature" in asked.body(stream=False)) is (value is not None)


@pytest.mark.parametrize("text", ["2.1", "-1", "nan", "inf", "1e9", "٣", "0x1"])
def test_a_temperature_is_a_plain_number_in_bounds(text: str) -> None:
    """What Python would take for a number is not always one."""
    assert set(wrong({"model": "m", "message": "x", "temperature": text})) == {"temperature"}


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "{}x",
        '[{"role": "user"}]',
        '["x"]',
        "7",
        '[{"role": "system", "content": "x"}]',
        '[{"role": "user", "content": "\\ud800"}]',
        "[" * 100_000,
    ],
)
def test_a_conversation_that_cannot_be_read_is_told(text: str) -> None:
    """It comes back from the page, where it may have been changed."""
    assert set(wrong({"model": "m", "message": "x", "history": text})) == {"history"}


def test_a_conversation_comes_back_as_it_was_written() -> None:
    """And has an end."""
    one = {"role": "user", "content": "é\u202e\n"}
    read = ask.chat({"model": "m", "message": "x", "history": json.dumps([one])})
    assert read.history == (Turn("user", "é\u202e\n"),)
    many = json.dumps([one] * (MOST_TURNS + 1))
    assert set(wrong({"model": "m", "message": "x", "history": many})) == {"history"}


def test_line_breaks_are_those_of_the_text() -> None:
    """Browsers send two letters for one."""
    assert ask.chat({"model": "m", "message": "a\r\nb"}).message == "a\nb"


def test_what_is_said_aloud_has_a_length() -> None:
    """4096 letters, as at OpenAI."""
    good = {"model": "kokoro", "voice": "af", "text": "x" * LONGEST_SPOKEN}
    assert ask.speak(good).body["response_format"] == "mp3"
    assert set(wrong(good | {"text": "x" * (LONGEST_SPOKEN + 1)}, "speak")) == {"text"}
    assert set(wrong(good | {"speed": "5", "voice": ""}, "speak")) == {"speed", "voice"}


def test_a_speed_of_one_is_not_sent() -> None:
    """Services that know no speed answer all the same."""
    good = {"model": "kokoro", "voice": "af", "text": "x"}
    assert "speed" not in ask.speak(good | {"speed": "1"}).body
    assert ask.speak(good | {"speed": "1,25"}).body["speed"] == 1.25


@pytest.mark.parametrize(
    ("headers", "scheme", "found"),
    [
        ({"host": "box:9999"}, "http", "http://box:9999"),
        ({"host": "box", "origin": "https://box"}, "http", "https://box"),
        ({"host": "box", "origin": "https://evil.example"}, "http", "http://box"),
        ({"host": "box", "x-forwarded-proto": "https"}, "http", "https://box"),
        ({"host": "box", "x-forwarded-proto": "$(id)"}, "http", "http://box"),
        ({"host": "[::1]:9999"}, "http", "http://[::1]:9999"),
        ({"host": "box';id"}, "http", UNKNOWN),
        ({}, "http", UNKNOWN),
    ],
)
def test_the_code_names_the_address_the_browser_uses(
    headers: dict[str, str], scheme: str, found: str
) -> None:
    """Also behind a proxy with TLS, and nothing that is no address."""
    assert base(headers, scheme) == found
