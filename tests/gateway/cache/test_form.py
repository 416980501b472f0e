"""The digest of a form is that of what it says, however it comes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.gateway.cache.form import FormDigest

SOUND = bytes(range(256)) * 40


def form(
    boundary: str = "one", *, sound: bytes = SOUND, name: str = "talk.wav", **values: str
) -> bytes:
    """As an HTTP client writes it: values, then the file."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in values.items()
    ]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
    parts.append(head.encode() + b"Content-Type: audio/wav\r\n\r\n" + sound + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


def digest(body: bytes, boundary: str = "one", step: int = 1 << 20) -> str | None:
    made = FormDigest(boundary.encode())
    for at in range(0, len(body), step):
        made.feed(body[at : at + step])
    return made.digest()


def test_neither_boundary_nor_file_name_nor_order_matters() -> None:
    """Only what is said: the same recording sent by two programs is one."""
    same = digest(form(model="whisper-1", language="en"))
    assert same is not None
    assert digest(form("other", model="whisper-1", language="en"), "other") == same
    assert digest(form(name="rec-2026.WAV", model="whisper-1", language="en")) == same
    assert digest(form(language="en", model="whisper-1")) == same


@pytest.mark.parametrize(
    "body",
    [
        form(model="whisper-2"),
        form(model="whisper-1", language="en"),
        form(model="whisper-1", sound=SOUND[:-1]),
        form(model="whisper-1", sound=SOUND + b"\r\n"),
        form(model="whisper-1", name="talk.mp3"),
    ],
)
def test_what_is_said_matters(body: bytes) -> None:
    """Another model, one more field, one byte more or less, another format."""
    assert digest(body) not in {None, digest(form(model="whisper-1"))}


@given(st.binary(max_size=400), st.integers(1, 50))
@settings(max_examples=200)
def test_how_it_is_cut_into_pieces_does_not_matter(sound: bytes, step: int) -> None:
    """Also when a piece ends within a delimiter."""
    body = form("b", sound=sound, model="m")
    assert digest(body, "b", step) == digest(body, "b")


@given(st.lists(st.sampled_from([b"\r\n", b"--", b"one", b"\r\n--on", b"x"]), max_size=30))
@settings(max_examples=200)
def test_content_that_looks_like_a_delimiter_is_content(pieces: list[bytes]) -> None:
    """A near miss of the boundary belongs to the file."""
    sound = b"".join(pieces)
    if b"\r\n--one" in b"\r\n" + sound + b"\r\n":
        return
    whole = digest(form(sound=sound), step=3)
    assert whole is not None
    assert whole == digest(form(sound=sound))
    assert whole != digest(form(sound=sound + b"x"))


@pytest.mark.parametrize(
    "body",
    [
        form(model="m")[:-6],
        b"no form at all",
        b"",
        b"--one--\r\n",
        b'--one\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--one--\r\n',
        b"--one\r\nContent-Type: audio/wav\r\n\r\nx\r\n--one--\r\n",
        b"--one\r\n" + b"X-Long: " + b"a" * 20_000 + b"\r\n\r\nx\r\n--one--\r\n",
        b"--one garbage\r\n\r\n",
    ],
)
def test_what_cannot_be_read_has_no_digest(body: bytes) -> None:
    """Cut off, empty, without a file, without a name, endless headers: not kept, never wrong."""
    assert digest(body, step=100) is None


def test_short_values_can_be_looked_at() -> None:
    """The last of a name; a file is no value."""
    made = FormDigest(b"one")
    made.feed(form(temperature=" 0.2 ", stream="true"))
    assert made.value("temperature") == b"0.2"
    assert made.value("stream") == b"true"
    assert made.value("file") is None
    assert made.value("prompt") is None


@pytest.mark.parametrize(
    "given", ['name="fi;le"; filename="a;b.wav"', 'filename="x.wav"; name="fi;le"']
)
def test_quotes_may_hold_a_semicolon(given: str) -> None:
    """Parameters are cut at semicolons outside of quotes."""
    body = f"--b\r\ncontent-disposition: form-data; {given}\r\n\r\nx\r\n--b--".encode()
    assert digest(body, "b") is not None
