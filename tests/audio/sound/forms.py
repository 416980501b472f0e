"""Multipart forms, written as clients write them."""

from collections.abc import AsyncIterator, Iterable

BOUNDARY = b"----WebKitFormBoundary7MA4YWxk"
HEADERS = [(b"content-type", b"multipart/form-data; boundary=" + BOUNDARY)]


def part(name: str, value: bytes, filename: str | None = None, extra: bytes = b"") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        head += f'; filename="{filename}"\r\nContent-Type: audio/wav'
    return b"--" + BOUNDARY + b"\r\n" + head.encode() + extra + b"\r\n\r\n" + value + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


async def arriving(body: bytes, *sizes: int) -> AsyncIterator[bytes]:
    """In pieces of these sizes, then the rest."""
    for piece in pieces_of(body, sizes):
        yield piece


def pieces_of(body: bytes, sizes: Iterable[int]) -> Iterable[bytes]:
    at = 0
    for size in sizes:
        yield body[at : at + size]
        at += size
    yield body[at:]
