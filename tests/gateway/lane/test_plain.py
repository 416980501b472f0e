"""Which heads are plain. Everything else is for the ordinary way, which knows what to say."""

import pytest

from server.gateway.lane.plain import LONGEST, read
from server.gateway.wire import Header

URL = b"/v1/chat/completions"
HEAD: list[Header] = [
    (b"host", b"x"),
    (b"content-type", b"application/json"),
    (b"content-length", b"10"),
    (b"authorization", b"Bearer sk-1"),
    (b"cookie", b"a=b"),
    (b"x-a", b"\xe4"),
]


def with_(*more: Header, but: bytes = b"") -> list[Header]:
    return [pair for pair in HEAD if pair[0] != but] + list(more)


def test_a_plain_head_tells_what_the_upstream_hears_and_no_more() -> None:
    """No cookie, no key, no length of ours."""
    plain = read(URL, with_((b"x-request-id", b"me")))
    assert plain is not None
    assert plain.operation.path == URL.decode()
    assert plain.key == "sk-1"
    assert plain.given == b"me"
    assert plain.lines == (
        b"\r\ncontent-type: application/json\r\nx-a: \xe4\r\naccept-encoding: identity"
    )


NOT_PLAIN = {
    "a query": (URL + b"?a=b", HEAD),
    "another path": (b"/v1/models", HEAD),
    "a form": (b"/v1/audio/transcriptions", HEAD),
    "below a prefix": (b"/upstream/tiny/v1", HEAD),
    "no length": (URL, with_(but=b"content-length")),
    "two lengths": (URL, with_((b"content-length", b"10"))),
    "no body": (URL, with_((b"content-length", b"0"), but=b"content-length")),
    "a sign": (URL, with_((b"content-length", b"+1"), but=b"content-length")),
    "too long": (URL, with_((b"content-length", b"%d" % (LONGEST + 1)), but=b"content-length")),
    "beyond all": (URL, with_((b"content-length", b"9" * 5000), but=b"content-length")),
    "chunks": (URL, with_((b"transfer-encoding", b"chunked"))),
    "a wish to go on": (URL, with_((b"expect", b"100-continue"))),
    "another protocol": (URL, with_((b"upgrade", b"h2c"))),
    "an end": (URL, with_((b"connection", b"close"))),
    "headers of this hop": (URL, with_((b"connection", b"keep-alive, x-a"))),
    "trailers to come": (URL, with_((b"trailer", b"x-a"))),
    "no type": (URL, with_(but=b"content-type")),
    "two types": (URL, with_((b"content-type", b"application/json"))),
    "another type": (URL, with_((b"content-type", b"text/plain"), but=b"content-type")),
    "too many": (URL, with_(*[(b"x-b", b"c")] * 100)),
    "too large": (URL, with_((b"x-b", b"c" * 40_000))),
    "a line that ends early": (URL, with_((b"x-b", b"c\r\nx-d: e"))),
}


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_what_is_not_plain_is_left_alone(name: str) -> None:
    url, headers = NOT_PLAIN[name]
    assert read(url, headers) is None


def test_a_head_is_known_again_by_everything_but_the_length_of_its_body() -> None:
    """Any other difference makes another head of it, to be looked at as if it were the first."""
    plain = read(URL, HEAD)
    assert plain is not None
    assert plain.is_again(URL, list(HEAD))
    longer = [(b"content-length", b"11") if key == b"content-length" else (key, value)
              for key, value in HEAD]  # fmt: skip
    assert plain.is_again(URL, longer)
    assert not plain.is_again(b"/v1/completions", HEAD)
    assert not plain.is_again(URL, with_((b"x-b", b"c")))
    assert not plain.is_again(URL, HEAD[1:])
    assert not plain.is_again(URL, HEAD[::-1])
    for at, (key, value) in enumerate(HEAD):
        if key != b"content-length":
            other = [*HEAD[:at], (key, value + b"x"), *HEAD[at + 1 :]]
            assert not plain.is_again(URL, other)
    for length in (b"0", b"x", b"-1", b"%d" % (LONGEST + 1)):
        other = [(key, length if key == b"content-length" else value) for key, value in HEAD]
        assert not plain.is_again(URL, other)
