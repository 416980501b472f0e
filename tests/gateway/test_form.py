"""The leading parts of a form: found however the body is cut, refused when two could differ."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.base.errors import InvalidRequest, UnsupportedMediaType
from server.gateway.intake.form import HEAD_LIMIT, LeadingParts, disposition
from server.gateway.intake.head import boundary_of


def field(name: str, value: str, boundary: str = "b") -> bytes:
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
    ).encode()


FILE = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
    b"Content-Type: audio/wav\r\n\r\n"
)
SOUND = b"\x00\xff--b model --b\r\n" * 100
END = b"\r\n--b--\r\n"


def read(*chunks: bytes) -> LeadingParts:
    parts = LeadingParts(b"b")
    for chunk in chunks:
        if parts.done:
            break
        parts.feed(chunk)
    else:
        if not parts.done:
            parts.end()
    return parts


def test_fields_before_the_file_are_found_and_the_file_is_left_alone() -> None:
    """`model`, `stream` and `response_format` decide the route; nothing else is kept."""
    parts = read(
        field("model", "whisper-1") + field("prompt", "x") + field("stream", "true") + FILE
    )
    assert parts.fields == {"model": "whisper-1", "stream": "true"}
    assert parts.done


@settings(max_examples=150, deadline=None)
@given(data=st.data(), first=st.booleans())
def test_how_a_body_is_cut_into_chunks_makes_no_difference(
    data: st.DataObject, first: bool
) -> None:
    """The same fields and the same head bytes, down to one byte at a time."""
    model = field("model", data.draw(st.text("abc/-:", max_size=8)))
    body = (model + FILE if first else FILE + model) + SOUND + END
    whole = read(body)
    chunks, rest = [], body
    while rest:
        size = data.draw(st.integers(1, 200))
        chunks.append(rest[:size])
        rest = rest[size:]
    cut = read(*chunks)
    assert cut.fields == whole.fields
    assert ("model" in cut.fields) is first
    assert body.startswith(bytes(cut.head))


def test_a_model_after_the_file_is_not_looked_for() -> None:
    """It could be behind gigabytes of sound."""
    assert read(FILE + SOUND + END + field("model", "x")).fields == {}


def test_an_endless_field_ends_the_look() -> None:
    """What is read ahead is bounded."""
    parts = LeadingParts(b"b")
    parts.feed(b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n')
    while not parts.done:
        parts.feed(b"x" * 1000)
    assert len(parts.head) <= HEAD_LIMIT + 1000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--c\r\n",
        b"preamble\r\n--b\r\n",
        b"--bb\r\n",
        b'--b \r\nContent-Disposition: form-data; name="model"\r\n\r\nx\r\n--b--',
        field("model", "x"),
        field("model", "x") + field("model", "y") + END[2:],
        b"--b\r\n\r\nx" + END,
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx" + END,
        b'--b\r\nContent-Disposition: attachment; name="model"\r\n\r\nx' + END,
        b'--b\r\nContent-Disposition: form-data; name="a"; name="model"\r\n\r\nx' + END,
        b"--b\r\nContent-Disposition: form-data; name*=utf-8''model\r\n\r\nx" + END,
        b'--b\r\nContent-Disposition: form-data;\r\n name="model"\r\n\r\nx' + END,
        b'--b\r\nContent-Disposition: form-data; name="a"\nx: y\r\n\r\nx' + END,
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n'
        b'Content-Disposition: form-data; name="model"\r\n\r\nx' + END,
    ],
)
def test_a_form_that_two_readers_could_understand_differently_is_refused(body: bytes) -> None:
    """400 before any upstream is asked."""
    with pytest.raises(InvalidRequest):
        read(body)


@pytest.mark.parametrize(
    ("block", "name", "is_file"),
    [
        (b'content-disposition: form-data; name="file"; filename="a b;c.wav"', "file", True),
        (b"Content-Disposition:form-data;name=model", "model", False),
        (b'Content-Disposition: form-data; name="mo\\"del"', 'mo"del', False),
        (b"Content-Disposition: form-data; name=f; filename*=UTF-8''a.wav", "f", True),
        (b'X: y\r\nContent-Disposition: form-data; name="a"', "a", False),
    ],
)
def test_the_headers_of_a_part(block: bytes, name: str, is_file: bool) -> None:
    """Quoted, plain and escaped names; both ways to name a file."""
    assert disposition(block) == (name, is_file)


def test_another_name_replaces_only_the_value() -> None:
    """All other bytes of the head stay."""
    parts = read(field("model", "old") + field("stream", "true") + FILE + b"abc")
    assert parts.renamed("newer") == field("model", "newer") + field("stream", "true") + FILE + (
        b"abc"
    )
    assert read(FILE).renamed("newer") == FILE


@pytest.mark.parametrize(
    ("value", "boundary"),
    [
        (b"multipart/form-data; boundary=abc", b"abc"),
        (b'Multipart/Form-Data; charset=utf-8; boundary="a b:c"', b"a b:c"),
        (
            b"multipart/form-data;boundary=----WebKitFormBoundary7MA4YWxk",
            b"----WebKitFormBoundary7MA4YWxk",
        ),
    ],
)
def test_boundaries(value: bytes, boundary: bytes) -> None:
    """As browsers, curl and Python write them."""
    assert boundary_of([(b"content-type", value)]) == boundary


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ([], UnsupportedMediaType),
        ([(b"content-type", b"application/json")], UnsupportedMediaType),
        ([(b"content-type", b"multipart/form-data")], InvalidRequest),
        ([(b"content-type", b"multipart/form-data; boundary=")], InvalidRequest),
        ([(b"content-type", b"multipart/form-data; boundary=a; boundary=b")], InvalidRequest),
        ([(b"content-type", b"multipart/form-data; boundary=" + b"a" * 71)], InvalidRequest),
        ([(b"content-type", b'multipart/form-data; boundary="a "')], InvalidRequest),
        ([(b"content-type", b"multipart/form-data; boundary=a")] * 2, UnsupportedMediaType),
    ],
)
def test_a_boundary_that_is_none_is_refused(
    headers: list[tuple[bytes, bytes]], error: type[Exception]
) -> None:
    """415 for what is no form, 400 for a form that cannot be read."""
    with pytest.raises(error):
        boundary_of(headers)
