"""A multipart form is read while it streams."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio.sound.form import FormReader, FormRules
from server.base.errors import InvalidRequest
from server.gateway.intake.form import LeadingParts
from tests.audio.sound.forms import BOUNDARY, form, part, pieces_of

LIKE_A_BOUNDARY = st.sampled_from(
    [b"\r\n", b"--", b"\r\n--", b"\r\n--" + BOUNDARY[:9], BOUNDARY, b"\r", b"\n--" + BOUNDARY]
)
contents = st.lists(st.one_of(LIKE_A_BOUNDARY, st.binary(max_size=40)), max_size=8).map(b"".join)
safe = contents.filter(lambda value: b"\r\n--" + BOUNDARY not in b"\r\n" + value)
cuts = st.lists(st.integers(0, 60), max_size=60)


def read(body: bytes, sizes: list[int], rules: FormRules | None = None) -> FormReader:
    reader = FormReader(BOUNDARY, rules or FormRules())
    for piece in pieces_of(body, sizes):
        reader.feed(piece)
    reader.end()
    return reader


@settings(max_examples=100, deadline=None)
@given(safe, safe, st.text(max_size=30), cuts)
def test_a_file_is_found_where_it_lies(
    one: bytes, other: bytes, value: str, sizes: list[int]
) -> None:
    """However the body is cut into pieces, and whatever a file holds that looks like a boundary."""
    body = form(
        part("file", one, "a.wav"), part("model", value.encode("utf-8", "replace")),
        part("system", other, "b.wav"),
    )  # fmt: skip
    reader = read(body, sizes)
    found = {place.name: body[place.offset :][: place.length] for place in reader.places}
    assert found == {"file": one, "system": other}
    assert reader.fields == [("model", value.encode("utf-8", "replace").decode())]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["model", "prompt"]), safe), max_size=3), cuts)
def test_it_understands_what_the_gateway_understands(
    fields: list[tuple[str, bytes]], sizes: list[int]
) -> None:
    """Two readers of one form must not see two forms."""
    body = form(*(part(name, value) for name, value in fields), part("file", b"x", "a.wav"))
    leading = LeadingParts(BOUNDARY)
    if [name for name, _ in fields].count("model") > 1:
        return  # the gateway refuses it
    leading.feed(body)
    models = [value for name, value in read(body, sizes).fields if name == "model"]
    assert models == [value for name, value in leading.fields.items() if name == "model"]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_nothing_but_a_clear_refusal_comes_of_a_broken_form(data: st.DataObject) -> None:
    """Bytes changed, missing or doubled: it is read, or it is refused with words."""
    body = bytearray(form(part("file", b"RIFF" * 9, "a.wav"), part("model", b"whisper")))
    for at in data.draw(st.lists(st.integers(0, len(body) - 1), max_size=4)):
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    words = ""
    try:
        places = read(bytes(body), data.draw(cuts)).places
    except InvalidRequest as error:
        places, words = [], error.message
    assert not words or words.startswith("The form ")
    assert all(place.offset + place.length <= len(body) for place in places)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "ends before its closing boundary"),
        (form(part("file", b"x", "a.wav"))[:-30], "ends before its closing boundary"),
        (b"\r\n" + form(part("file", b"x", "a.wav")), "does not begin with its boundary"),
        (b"hello" + form(part("file", b"x", "a.wav")), "does not begin with its boundary"),
        (form(part("file", b"x", "a.wav", b"\r\n folded")), "does not begin as the parts"),
        (
            form(part("file", b"eA==", "a.wav", b"\r\nContent-Transfer-Encoding: base64")),
            "a part is encoded",
        ),
        (form(part("file", b"x" + (b"\r\n--" + BOUNDARY + b"x") * 999, "a.wav")), "within its pa"),
        (b"--" + BOUNDARY + b"\r\nContent-Disposition: form-data\r\n\r\nx", "no clear name"),
    ],
)
def test_what_two_readers_could_take_for_two_things_is_refused(body: bytes, why: str) -> None:
    """With words that say what it is."""
    with pytest.raises(InvalidRequest, match=why):
        read(body, [])


def test_a_form_has_no_more_than_anybody_needs() -> None:
    """Files, fields, their size and the size of all of them."""
    rules = FormRules(files=2, fields=3, field_bytes=100, fields_bytes=300)
    file, field = part("file", b"x", "a.wav"), part("model", b"x" * 90)
    read(form(file, file, field), [], rules)
    for body, why in (
        (form(file, file, file), "more than 2 files"),
        (form(*[part("a", b"")] * 4), "more than 3 fields"),
        (form(part("a", b"x" * 101)), "larger than 100 bytes"),
        (form(field, field, field), "larger than 300 bytes together"),
    ):
        with pytest.raises(InvalidRequest, match=why):
            read(body, [7] * 200, rules)


def test_hints_are_short_and_printable() -> None:
    """A filename is somebody's text; it is never used to open anything."""
    body = form(part("file", b"", "../../etc/pass\x07wd" + "x" * 999))
    (place,) = read(body, []).places
    assert place.filename.startswith("../../etc/passwd")
    assert len(place.filename) < 256
    assert place.media_type == "audio/wav"
    assert place.length == 0


def test_a_field_that_comes_twice_is_there_twice() -> None:
    """`timestamp_granularities[]` is a list."""
    body = form(part("timestamp_granularities[]", b"word"), part("timestamp_granularities[]", b"x"))
    assert [value for _, value in read(body, []).fields] == ["word", "x"]
