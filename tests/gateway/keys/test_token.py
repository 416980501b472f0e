"""The text of a key: made, taken apart, found in a request."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.base.redact import redact
from server.gateway.keys import token
from server.gateway.wire import Header

ID, SECRET = bytes(range(6)), bytes(range(32))
KEY = token.written(token.minted(ID, SECRET))
RAW = KEY.encode()


@given(st.binary(min_size=6, max_size=6), st.binary(min_size=32, max_size=32))
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read_back(id_bytes: bytes, secret: bytes) -> None:
    """Whatever the bytes: the secret may hold - and _, the id may not."""
    made = token.minted(id_bytes, secret)
    text = token.written(made)
    assert token.parsed(text) == made
    assert text.isascii()
    assert token.is_secret_of(made.secret, token.digest(made.secret))
    assert secret.hex() not in token.digest(made.secret)


@given(st.text(max_size=80))
@settings(max_examples=200, deadline=None)
def test_nothing_else_is_a_key(text: str) -> None:
    """No text breaks the reader."""
    assert token.parsed(text) is None
    assert token.parsed("sk-spark-" + text) is None


@given(st.integers(0, len(KEY) - 1), st.characters(codec="utf-8"))
@settings(max_examples=200, deadline=None)
def test_a_changed_letter_makes_another_key_or_none(place: int, letter: str) -> None:
    """Of id or secret; the last letter of the base64 counts as well."""
    text = KEY[:place] + letter + KEY[place + 1 :]
    made = token.parsed(text)
    right = made is not None and (
        made.id == ID.hex() and token.is_secret_of(made.secret, token.digest(token.parsed(KEY)[1]))  # type: ignore[index]
    )
    assert right == (text == KEY)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer " + RAW)],
        [(b"authorization", b"bearer   " + RAW + b" ")],
        [(b"x-api-key", RAW)],
        [(b"api-key", RAW)],
        [(b"authorization", b"Bearer none"), (b"x-api-key", RAW)],
        [(b"authorization", b"Basic dXNlcjpwYXNz"), (b"api-key", RAW)],
        [(b"sec-websocket-protocol", b"realtime, openai-insecure-api-key." + RAW)],
    ],
)
def test_a_key_is_found_where_clients_put_it(headers: list[Header]) -> None:
    """OpenAI, Anthropic, Azure, browsers; one of ours goes before what an SDK made up."""
    assert token.presented([(b"host", b"box"), *headers, (b"accept", b"*/*")]) == KEY


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([], None),
        ([(b"authorization", b"Basic dXNlcjpwYXNz")], None),
        ([(b"authorization", b"Bearer ")], None),
        ([(b"cookie", RAW)], None),
        ([(b"sec-websocket-protocol", b"realtime")], None),
        ([(b"authorization", b"Bearer sk-whatever")], "sk-whatever"),
        ([(b"x-api-key", b"\xff\xfe")], "\xff\xfe"),
    ],
)
def test_what_is_no_key_of_ours_is_told_apart(headers: list[Header], found: str | None) -> None:
    """The login of a proxy in front is not read; odd bytes break nothing."""
    assert token.presented(headers) == found
    assert found is None or not token.is_ours(found)


def test_a_key_never_gets_into_a_log() -> None:
    """The redaction of every log line and error text knows its shape, in any place."""
    for text in (
        KEY,
        f"key={KEY}",
        f"Authorization: Bearer {KEY}",
        f"openai-insecure-api-key.{KEY}",
    ):
        shown = redact(f"before {text} after")
        assert KEY.rpartition("-")[2] not in shown
        assert token.parsed(KEY)[1] not in shown  # type: ignore[index]


def test_the_upstream_is_not_told_the_key_of_a_websocket() -> None:
    """The other subprotocols go on as they are."""
    asked = ["realtime", f"openai-insecure-api-key.{KEY}", "openai-beta.realtime-v1"]
    assert token.without_key(asked) == ("realtime", "openai-beta.realtime-v1")
