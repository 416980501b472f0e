"""`POST /scrub`, as Spark Control answers it itself."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from server.audio.scrub import service
from server.base.errors import InvalidValue, PayloadTooLarge, SparkError, UnsupportedMediaType
from server.gateway.client.here import OrHere, address
from server.gateway.client.make import make_client
from server.gateway.model import UpstreamRequest

SECRET = "ada@example.com"


def request(body: Any, kind: str = "application/json") -> UpstreamRequest:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    headers = [(b"content-type", kind.encode())]
    return UpstreamRequest("POST", address("scrub") + "/scrub", headers, raw, "scrub")


async def asked(body: Any, kind: str = "application/json") -> Any:
    return orjson.loads((await service.answer(request(body, kind))).body)


async def test_a_text_comes_back_with_placeholders_and_where_they_are() -> None:
    """What they stand for is told only when it was asked for."""
    found = await asked({"text": f"Write to {SECRET}!"})
    assert found == {
        "text": "Write to [EMAIL_1]!",
        "spans": [
            {
                "kind": "email",
                "start": 9,
                "end": 24,
                "placeholder": "[EMAIL_1]",
                "placed_start": 9,
                "placed_end": 18,
            }
        ],
        "detectors": ["patterns", "checksums", "telephones", "spoken"],
        "languages": ["en", "de"],
    }
    found = await asked({"text": SECRET, "reversible": True})
    assert found["values"] == {"[EMAIL_1]": SECRET}


async def test_plain_text_comes_back_as_plain_text() -> None:
    """For a pipe: `curl --data-binary @notes.txt -H 'content-type: text/plain'`."""
    said = await service.answer(request(f"to {SECRET}".encode(), "text/plain; charset=utf-8"))
    assert (said.body, said.media_type) == (b"to [EMAIL_1]", "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("body", "kind", "error", "word"),
    [
        ({"text": SECRET, "kinds": ["emial"]}, "application/json", InvalidValue, "kinds.0"),
        ({"text": SECRET, "txt": 1}, "application/json", InvalidValue, "txt"),
        ({"text": SECRET, "region": "Utopia"}, "application/json", InvalidValue, "region"),
        ({"text": SECRET, "names": [""]}, "application/json", InvalidValue, "names.0"),
        ({"kinds": ["email"]}, "application/json", InvalidValue, "text"),
        (f'{{"text": "{SECRET}"'.encode(), "application/json", InvalidValue, "JSON"),
        ([SECRET], "application/json", InvalidValue, "body"),
        (b"\xff" + SECRET.encode(), "text/plain", InvalidValue, "UTF-8"),
        (SECRET.encode(), "audio/wav", UnsupportedMediaType, "application/json"),
        (b"x" * (service.LARGEST + 1), "text/plain", PayloadTooLarge, "KiB"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_of_the_text_is_repeated(
    body: Any, kind: str, error: type[SparkError], word: str
) -> None:
    """An error goes into logs."""
    with pytest.raises(error) as caught:
        await service.answer(request(body, kind))
    said = f"{caught.value.message} {caught.value.advice}"
    assert word in said
    assert SECRET not in said


async def test_nothing_of_the_text_is_printed_or_logged(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither here nor by the process that long texts go to, whether it works or is refused."""
    text = f"Write to {SECRET}! " * 400
    assert (await asked({"text": text}))["text"].count("[EMAIL_1]") == 400
    with pytest.raises(InvalidValue):
        await asked({"text": text, "region": SECRET})
    out, err = capfd.readouterr()
    assert SECRET not in out + err + caplog.text


async def test_a_body_that_comes_in_pieces_is_bounded_as_it_comes() -> None:
    """Nothing is read beyond the bound."""
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * (1 << 20)

    headers = [(b"content-type", b"text/plain")]
    with pytest.raises(PayloadTooLarge):
        await service.answer(UpstreamRequest("POST", "here://scrub/", headers, endless(), "scrub"))
    assert read == (service.LARGEST >> 20) + 1


async def test_the_answer_comes_through_the_door_of_every_upstream() -> None:
    """With a status, its length and one chunk."""
    client = OrHere(make_client("pooled"), {"scrub": service.answer})
    try:
        got = await client.open(request({"text": SECRET}))
        parts = [part async for part in got.chunks()]
        assert got.status == 200
        assert dict(got.headers)[b"content-length"] == str(len(b"".join(parts))).encode()
        assert orjson.loads(parts[0])["text"] == "[EMAIL_1]"
    finally:
        await client.close()
