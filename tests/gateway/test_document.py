"""A JSON body: what is accepted, and what a variant or another name makes of it."""

from types import MappingProxyType

import orjson
import pytest

from server.base.errors import InvalidRequest
from server.gateway.intake.document import (
    MAX_DEPTH,
    MAX_THINGS,
    changed,
    deeper_than,
    named_twice,
    parse,
)
from server.gateway.intake.head import MAX_HEADERS, HeadersTooLarge, check_headers, has_body


def nested(depth: int) -> bytes:
    return b'{"model": "a", "x": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_depth_is_bounded_to_the_level() -> None:
    """The outermost object is the first level."""
    assert parse(nested(MAX_DEPTH))["model"] == "a"
    with pytest.raises(InvalidRequest, match="deeper"):
        parse(nested(MAX_DEPTH + 1))
    assert not deeper_than([[]], 2)
    assert deeper_than([[]], 1)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_a_body_of_nothing_but_brackets_is_refused_and_does_no_harm(opening: bytes) -> None:
    """The parser has a limit of its own, far below the stack."""
    with pytest.raises(InvalidRequest):
        parse(b'{"x": ' + opening * 100_000)
    for thing in (b"[],", b"{},", b'"",', b"0,"):
        with pytest.raises(InvalidRequest, match="values and commas"):
            parse(b'{"x": [' + thing * MAX_THINGS + b"0]}")


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "a", "model": "b"}',
        b'{"model": "a", "x": 1, "mod\\u0065l": "b"}',
        b'{"\\u006Dodel": "a", "model": "b"}',
    ],
)
def test_a_model_named_twice_is_refused(body: bytes) -> None:
    """One reader takes the first, another the last: a key must not slip through between them."""
    with pytest.raises(InvalidRequest, match="twice") as refused:
        parse(body)
    assert refused.value.param == "model"


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "a", "tools": [{"model": 1}, {"model": 2}]}',
        b'{"model": "a", "x": "model", "y": ["model", "model"]}',
        b'{"model": "a", "content": "\\u0068\\u00e4 \\"model\\": \\"b\\""}',
    ],
)
def test_a_model_within_something_else_is_no_second_one(body: bytes) -> None:
    """Schemas of tools have fields of that name."""
    assert parse(body)["model"] == "a"
    assert not named_twice(body)


def test_a_variant_wins_and_objects_are_merged() -> None:
    """Whoever asks for `qwen:think` gets it; what it does not set stays."""
    params = MappingProxyType(
        {
            "temperature": 0,
            "chat_template_kwargs": MappingProxyType({"enable_thinking": True}),
            "stop": ("a", MappingProxyType({"b": 1})),
        }
    )
    sent = {"model": "q:t", "temperature": 1, "chat_template_kwargs": {"lang": "de"}, "n": 2}
    assert orjson.loads(changed(sent, params, "q")) == {
        "model": "q",
        "temperature": 0,
        "chat_template_kwargs": {"lang": "de", "enable_thinking": True},
        "n": 2,
        "stop": ["a", {"b": 1}],
    }
    assert sent["temperature"] == 1


def test_headers_are_bounded() -> None:
    """431: nobody needs that many, or that long ones."""
    check_headers([(b"a", b"b")] * MAX_HEADERS)
    for headers in ([(b"a", b"b")] * (MAX_HEADERS + 1), [(b"a", b"b" * 40_000)]):
        with pytest.raises(HeadersTooLarge) as refused:
            check_headers(headers)
        assert refused.value.status == 431


def test_whether_a_body_follows() -> None:
    """A length of zero is none."""
    assert not has_body([(b"content-length", b"0")])
    assert not has_body([(b"host", b"x")])
    assert has_body([(b"content-length", b"10")])
    assert has_body([(b"transfer-encoding", b"chunked")])
