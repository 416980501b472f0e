"""The file of a form, handed on while it comes."""

import pytest
from fastapi import Request
from starlette.types import Message

from server.base.errors import InvalidRequest, InvalidValue, SparkError
from server.web.pages.settings.upload import file_of

FILE = b'--x\r\nContent-Disposition: form-data; name="archive"; filename="a.gz"\r\n\r\n'
END = b"\r\n--x--\r\n"


async def read(body: bytes, kind: str = "multipart/form-data; boundary=x") -> bytes:
    """In pieces that fall anywhere."""
    pieces = [body[at : at + 700] for at in range(0, len(body), 700)]

    async def receive() -> Message:
        body = pieces.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(pieces)}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind.encode())]}
    return b"".join([piece async for piece in file_of(Request(scope, receive), "archive")])


async def test_the_bytes_of_the_file_are_what_was_chosen() -> None:
    """Other fields are passed over."""
    note = b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
    assert await read(note + FILE + b"DATA" * 1000 + END) == b"DATA" * 1000


@pytest.mark.parametrize(
    ("body", "error", "word"),
    [
        (FILE + b"DATA", InvalidRequest, "too early"),
        (FILE + b"ONE\r\n" + FILE + b"TWO" + END, InvalidValue, "one file"),
        (b"--x\r\nA: " + b"b" * 100_000, InvalidRequest, "cannot be read"),
        (b"--x\r\n" + b"A" * 100_000, InvalidRequest, "cannot be read"),
        (b"--x\r\n" + b"A: b\r\n" * 1000 + b"\r\nq" + END, InvalidRequest, "cannot be read"),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nq' + END, InvalidValue, "Choose"),
        (b"no form", InvalidRequest, "cannot be read"),
    ],
)
async def test_what_is_not_one_whole_file_is_refused(
    body: bytes, error: type[SparkError], word: str
) -> None:
    """Nor is anything kept of what stands in front of a part without end."""
    with pytest.raises(error, match=word):
        await read(body)
