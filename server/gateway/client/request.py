"""The bytes of a request: where it goes and the head that is sent. Pure.

Owns framing (host, length, chunks) and refuses headers that frame as well, and everything that
would end a line early: one request of ours is never two requests of theirs.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from server.gateway.client.failure import no_address, unsendable, wrong_length
from server.gateway.model import UpstreamRequest
from server.gateway.wire import Header

_FRAMING = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect", b"te"}
)
_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TARGET = re.compile(r"[!-~]+")
_METHOD = re.compile(r"[A-Z]{1,32}")
_PRINTABLE = "".join(map(chr, range(33, 127)))
_BODYLESS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Origin:
    """One scheme, host and port; `authority` is what the `Host` header says."""

    tls: bool
    host: str
    port: int
    authority: bytes


def split(url: str) -> tuple[str, str]:
    """`http://host:port` and what follows it. Raises `ValueError` for anything else."""
    start = url.find("://") + 3
    if start < 3:
        raise ValueError("no scheme")
    end = min((at for mark in "/?#" if (at := url.find(mark, start)) >= 0), default=len(url))
    target = url[end:].partition("#")[0]
    return url[:end], target if target.startswith("/") else "/" + target


def origin_of(url: str) -> Origin:
    """`url` has no path. Raises `ValueError` for what is not a plain HTTP address."""
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc:
        raise ValueError("not an HTTP address")
    if not _TARGET.fullmatch(parts.netloc):
        raise ValueError("not a host name")
    tls = parts.scheme == "https"
    return Origin(tls, host, parts.port or (443 if tls else 80), parts.netloc.encode("ascii"))


def check_headers(headers: list[Header]) -> None:
    """Raises `InvalidRequest` for a header that would not stay one header."""
    if not headers:
        return
    names, values = zip(*headers, strict=True)
    text = b"".join(values)
    if b"\r" in text or b"\n" in text or b"\0" in text or b"" in names:
        raise unsendable("request's header")
    if b"".join(names).translate(None, _TOKEN) or not _FRAMING.isdisjoint(map(bytes.lower, names)):
        raise unsendable("request's header")


def check_line(method: str, target: str) -> str:
    """`target` as it may stand in the first line. Raises `InvalidRequest`."""
    if not target.isascii():
        target = quote(target, safe=_PRINTABLE)
    if not _TARGET.fullmatch(target) or not _METHOD.fullmatch(method):
        raise unsendable("path")
    return target


def first_lines(method: str, origin: Origin, target: str) -> bytes:
    """The first line and the host's, without the end of that. Raises `InvalidRequest`."""
    line = f"{method} {check_line(method, target)} HTTP/1.1\r\nhost: "
    return line.encode("ascii") + origin.authority


def lines_of(headers: list[Header]) -> bytes:
    """Each header with the end of the line before it. Raises `InvalidRequest`."""
    check_headers(headers)
    return b"".join([b"\r\n%b: %b" % pair for pair in headers])


def head_of(request: UpstreamRequest, origin: Origin, target: str) -> bytes:
    """The head, checked, with the empty line at its end. Raises `InvalidRequest`."""
    body = request.body
    parts = [first_lines(request.method, origin, target), lines_of(request.headers)]
    length = len(body) if isinstance(body, bytes) else request.length
    if length is None:
        parts.append(b"\r\ntransfer-encoding: chunked")
    elif length or request.method not in _BODYLESS:
        parts.append(b"\r\ncontent-length: %d" % length)
    parts.append(b"\r\n\r\n")
    return b"".join(parts)


async def measured(body: AsyncIterable[bytes], length: int | None) -> AsyncGenerator[bytes, None]:
    """The parts of `body` that are not empty. Raises `InvalidRequest` when it is not `length` long,
    before the byte too many: that would be read as the next request."""
    left = length
    async for part in body:
        if left is not None:
            left -= len(part)
            if left < 0:
                raise wrong_length()
        if part:
            yield part
    if left:
        raise wrong_length()


def address(request: UpstreamRequest) -> tuple[str, str]:
    """`split` for a request; an address that is none is the upstream's fault."""
    try:
        return split(request.url)
    except ValueError:
        raise no_address(request.name) from None
