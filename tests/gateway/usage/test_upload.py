"""The sound in an upload, heard while it is passed on."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.gateway.operations import OPERATIONS
from server.gateway.usage.sound import Heard
from server.gateway.usage.upload import FormSound, listener
from tests.gateway.usage.test_sound import mp3, noise, wav

FORM = [(b"content-type", b"multipart/form-data; boundary=xyz")]


def form(*parts: tuple[str, bytes]) -> bytes:
    """A name with a dot is a file."""
    body = b""
    for name, value in parts:
        file = f'; filename="{name}"' if "." in name else ""
        body += f'--xyz\r\nContent-Disposition: form-data; name="f"{file}\r\n\r\n'.encode()
        body += value + b"\r\n"
    return body + b"--xyz--\r\n"


def listened(body: bytes, by: int = 4096) -> Heard:
    sound = FormSound(b"xyz")
    for at in range(0, len(body), by):
        sound.feed(body[at : at + by])
    return sound.heard()


@pytest.mark.parametrize("by", [1, 3, 40, 4096, 1 << 20])
def test_the_file_of_a_form_is_measured(by: int) -> None:
    """Fields before and after it are none of it; how it is cut makes no difference."""
    body = form(("model", b"ears"), ("a.wav", wav(0.5)), ("language", b"de" * 9000))
    found = listened(body, by)
    assert (found.seconds, found.source) == (pytest.approx(0.5, rel=0.01), "measured")


def test_files_are_summed() -> None:
    """One that is only estimated makes the sum an estimate."""
    assert listened(form(("a.wav", wav(2)), ("b.mp3", mp3(500)))).seconds == pytest.approx(
        14.0, rel=0.01
    )
    found = listened(form(("a.wav", wav(2)), ("b.raw", noise(16_000))))
    assert (found.seconds, found.source) == (pytest.approx(3.0, rel=0.01), "estimated")


def test_a_form_without_a_file_holds_no_sound() -> None:
    """Nothing is made up."""
    assert listened(form(("model", b"x" * 50_000))).seconds == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([b"\r\n", b"--xyz", b"filename", b"--", b"ab"]), max_size=40))
def test_what_is_no_form_breaks_nothing(pieces: list[bytes]) -> None:
    """The upstream will say what it thinks of it."""
    sound = FormSound(b"xyz")
    for piece in pieces:
        sound.feed(piece)
    assert 0 <= sound.heard().seconds < 100


@pytest.mark.parametrize(
    ("path", "kind", "media", "listens"),
    [
        ("/v1/audio/transcriptions", "llm", b"multipart/form-data; boundary=xyz", True),
        ("/v1/audio/translations", "asr", b"multipart/form-data; boundary=xyz", True),
        ("/v1/audio/diarize", "diarize", b"multipart/form-data; boundary=xyz", True),
        ("/v1/audio/diarize-chunk", "diarize", b"multipart/form-data; boundary=xyz", True),
        ("/v1/audio/label-merge", "diarize", b"multipart/form-data; boundary=xyz", False),
        ("/upstream", "asr", b"multipart/form-data; boundary=xyz", True),
        ("/upstream", "asr", b"audio/wav", True),
        ("/upstream", "asr", b"application/json", False),
        ("/upstream", "other", b"multipart/form-data; boundary=xyz", False),
        ("/upstream", "asr", b"multipart/form-data", False),
        ("/qdrant", "qdrant", b"audio/wav", False),
    ],
)
def test_uploads_of_sound_are_listened_to(
    path: str, kind: str, media: bytes, *, listens: bool
) -> None:
    """`/upstream` is the way to a service of speech as well, and not the way around a limit."""
    found = listener(OPERATIONS[path], kind, [(b"content-type", media)])
    assert (found is not None) == listens
