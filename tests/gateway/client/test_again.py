"""A head that is known again by its bytes."""

import pytest
from httptools import HttpRequestParser
from hypothesis import given, settings
from hypothesis import strategies as st

from server.gateway.client.again import known

HEAD = b"POST /v1/x HTTP/1.1\r\nhost: a\r\nContent-Length: %d\r\naccept: */*\r\n\r\n"


def message(body: bytes) -> bytes:
    return HEAD % len(body) + body


class Heard:
    """What a parser makes of bytes."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.url = b""
        self.ended = 0

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.ended += 1


@given(st.binary(min_size=1, max_size=50), st.binary(min_size=1, max_size=200))
@settings(max_examples=150)
def test_the_same_head_gives_the_body_that_a_parser_would(first: bytes, second: bytes) -> None:
    """Whatever the bodies hold and however long they are."""
    again = known(message(first))
    assert again is not None
    heard = Heard()
    HttpRequestParser(heard).feed_data(message(second))
    assert heard.ended == 1
    assert again.body(message(second)) == heard.body == second


@given(st.binary(max_size=120), st.integers(0, 90), st.binary(max_size=6))
@settings(max_examples=200)
def test_what_is_taken_for_the_same_is_the_same_to_a_parser(
    body: bytes, at: int, put: bytes
) -> None:
    """Bytes changed anywhere: if it is known again, a parser hears one message with these very
    headers and this very body."""
    again = known(message(b"first"))
    assert again is not None
    data = message(body)
    data = data[:at] + put + data[at + len(put) :]
    found = again.body(data)
    if found is None:
        return
    heard, before = Heard(), Heard()
    HttpRequestParser(heard).feed_data(data)
    HttpRequestParser(before).feed_data(message(b"first"))
    assert (heard.ended, heard.body, heard.url) == (1, found, before.url)
    length = [(b"content-length", b"%d" % len(found))]
    assert [pair for pair in heard.headers if pair not in length] == [
        pair for pair in before.headers if pair[0] != b"content-length"
    ]


@pytest.mark.parametrize(
    "data",
    [
        HEAD % 5 + b"abcd",
        HEAD % 5 + b"abcdef",
        HEAD % 5,
        message(b"abc") + message(b"abc"),
        HEAD % 3 + b"abc" + b"\r\n",
        (HEAD % 3).replace(b" 3", b" 03") + b"abc",
        (HEAD % 3).replace(b" 3", b" +3") + b"abc",
        (HEAD % 3).replace(b" 3", b" 3 ") + b"abc",
        (HEAD % 3).replace(b"a\r\n", b"b\r\n") + b"abc",
        (HEAD % 3).replace(b"\r\n\r\n", b"\r\nx: y\r\n\r\n") + b"abc",
        (HEAD % 3).replace(b"3\r\n", b"3\r\nContent-Length: 3\r\n") + b"abc",
        HEAD % 100000000 + b"a",
        b"",
    ],
)
def test_anything_else_is_left_to_the_parser(data: bytes) -> None:
    """More, less, two at once, another number, another header."""
    again = known(message(b"first"))
    assert again is not None
    assert again.body(data) is None


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nx-content-length: 3\r\ncontent-length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nab",
        b"POST / HTTP/1.1\ncontent-length: 3\n\nabc",
        b"",
    ],
)
def test_a_head_without_one_plain_length_is_never_known(data: bytes) -> None:
    """It goes through the parser each time."""
    assert known(data) is None
