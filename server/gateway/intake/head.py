"""What the head of a request tells before its body is read: size, media type, boundary. Pure.

Owns the limits of headers. Refuses media types that a page of somebody else could send unasked, and
a form whose boundary two readers could understand differently.
"""

import re
from collections.abc import Sequence

from server.base.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from server.gateway.wire import Header, header

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024

_PARAMETER = re.compile(
    rb';[ \t]*([^=;"\s]+)=(?:"((?:[^"\\\r\n]|\\[^\r\n])*)"|([^;"\s]*))(?=[ \t]*(?:;|$))'
)
# RFC 2046: at most 70 of these, and no space at the end.
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")


class HeadersTooLarge(InvalidRequest):
    """More headers than anybody needs, or larger ones."""

    status = 431


def check_headers(headers: Sequence[Header]) -> None:
    """At most `MAX_HEADERS`, at most `MAX_HEADER_BYTES` together."""
    size = 0
    for name, value in headers:
        size += len(name) + len(value)
    if size > MAX_HEADER_BYTES or len(headers) > MAX_HEADERS:
        raise HeadersTooLarge(
            f"The request has more than {MAX_HEADERS} headers or {MAX_HEADER_BYTES} bytes of them.",
            advice="Send long values in the body.",
        )


def check_type(headers: Sequence[Header]) -> None:
    """Only JSON: a form or plain text is what a web page of somebody else could send unasked."""
    value = header(headers, b"content-type") or b""
    if value == b"application/json":
        return
    media = value.split(b";", 1)[0].strip().lower()
    if media != b"application/json" and not (
        media.startswith(b"application/") and media.endswith(b"+json")
    ):
        raise UnsupportedMediaType(
            "The body must be JSON: send it with Content-Type: application/json."
        )


def boundary_of(headers: Sequence[Header]) -> bytes:
    """The boundary of a form. 415 when it is no form, 400 when its boundary is none."""
    values = [value for name, value in headers if name == b"content-type"]
    if len(values) != 1 or not values[0].lstrip()[:19].lower() == b"multipart/form-data":
        raise UnsupportedMediaType(
            "The body must be a form with the file in it: send it as multipart/form-data."
        )
    found = [
        plain or _unquoted(quoted)
        for name, quoted, plain in parameters(values[0])
        if name.lower() == b"boundary"
    ]
    if len(found) != 1 or not _BOUNDARY.fullmatch(found[0]):
        raise InvalidRequest(
            "The Content-Type of a form must name one boundary of 1 to 70 plain characters.",
            advice="Let your HTTP client write the header; a Content-Type set by hand lacks it.",
        )
    return found[0]


def parameters(value: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """(name, quoted value, plain value) of each parameter of a header; one value is empty."""
    return [(m[1], m[2] or b"", m[3] or b"") for m in _PARAMETER.finditer(value)]


def _unquoted(quoted: bytes) -> bytes:
    return re.sub(rb"\\(.)", rb"\1", quoted)


def declared_length(headers: Sequence[Header], limit: int) -> int | None:
    """The declared length of the body; 413 when it is above the limit."""
    value = header(headers, b"content-length")
    if value is None or not value.isdigit():
        return None
    length = int(value)
    if length > limit:
        raise too_large(limit)
    return length


def too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than the {limit} bytes that are accepted here.")


def has_body(headers: Sequence[Header]) -> bool:
    """Whether a body follows; a length of 0 is none."""
    for name, value in headers:
        if name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0")):
            return True
    return False
