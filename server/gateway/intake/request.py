"""A request read as far as its route needs: its name, whether it wants a stream, and its body.

Owns where the name of the model is looked for, and the body that is sent on: the bytes as they
came, but for a variant's fields or another name.
"""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qs, quote, unquote_to_bytes

from starlette.types import Receive, Scope

from server.base.errors import InvalidRequest, NotFound, SparkError
from server.gateway.intake.body import Upload, read_body
from server.gateway.intake.document import changed, name_of, parse
from server.gateway.intake.form import LeadingParts
from server.gateway.intake.head import boundary_of, check_type, declared_length, has_body
from server.gateway.model import Operation
from server.gateway.wire import header

JSON_LIMIT = 64 << 20
_TRUE = frozenset({"true", "1", "on", "yes"})
_DOTS = frozenset({b".", b".."})
# What some servers take for one: written as `%2f` it is one to whoever decodes first.
_SLASHES = re.compile(rb"[/\\]")


class Replaced(Protocol):
    """What stands in the place of an upload, such as its copy on disk."""

    @property
    def complete(self) -> bool: ...

    @property
    def begun(self) -> bool: ...

    def chunks(
        self, fail: Callable[[SparkError], None], sent: Callable[[], None]
    ) -> AsyncIterator[bytes]: ...


@dataclass(slots=True)
class Taken:
    """`body` is whole, or an upload of which only the leading parts were read. `length` is what
    was declared of an upload."""

    body: "bytes | Upload | Replaced"
    name: str | None
    stream: bool = False
    length: int | None = None
    json: bool = False
    parts: LeadingParts | None = None

    def document(self, body: bytes, params: Mapping[str, Any], rewrite: str | None) -> bytes:
        """The whole body as it is sent on. It is read again here: what waits in a queue by the
        thousand keeps its bytes only."""
        if not self.json or not (params or rewrite is not None):
            return body
        return changed(parse(body), params, rewrite)

    def form(
        self, chunks: AsyncIterator[bytes], length: int | None, rewrite: str | None
    ) -> tuple[AsyncIterator[bytes], int | None]:
        """An upload as it is sent on; `chunks` gives it from its start.

        A model that is named after the file, or not at all, cannot be given another name.
        """
        if self.parts is None or rewrite is None:
            return chunks, length
        head, old = self.parts.renamed(rewrite), len(self.parts.head)
        return _with_head(chunks, head, old), None if length is None else length + len(head) - old


async def _with_head(chunks: AsyncIterator[bytes], head: bytes, skip: int) -> AsyncIterator[bytes]:
    """`chunks` with their first `skip` bytes replaced."""
    yield head
    async for chunk in chunks:
        rest = chunk[skip:]
        skip = max(0, skip - len(chunk))
        if rest:
            yield rest


def taken(body: bytes) -> Taken:
    """A whole JSON body, read."""
    parsed = parse(body)
    name = parsed.get("model")
    stream = parsed.get("stream") is True
    return Taken(body, None if name is None else name_of(name), stream, json=True)


async def take(
    operation: Operation,
    scope: Scope,
    receive: Receive,
    limit: int,
    arriving: Callable[[Upload], None],
) -> Taken:
    """Read as far as needed; `arriving` is told of a body that was not read to its end."""
    headers = scope["headers"]
    if operation.body == "json":
        check_type(headers)
        return taken(await read_body(headers, receive, limit))
    length = declared_length(headers, limit)
    name = named(operation, scope)
    if operation.body == "any" and not has_body(headers):
        return Taken(b"", name)
    upload = Upload(receive, limit)
    arriving(upload)
    if operation.body == "any":
        return Taken(upload, name, length=length)
    parts = LeadingParts(boundary_of(headers))
    await _lead(parts, upload)
    inside = name_of(parts.fields.get("model"))
    stream = parts.fields.get("stream", "").strip().lower() in _TRUE
    return Taken(upload, name if inside is None else inside, stream, length, parts=parts)


async def _lead(parts: LeadingParts, upload: Upload) -> None:
    """Read the leading parts and put back what was read."""
    while not parts.done:
        if upload.complete:
            parts.end()
        parts.feed(await upload.take())
    upload.held.append(bytes(parts.head))


def named(operation: Operation, scope: Scope) -> str | None:
    """The name outside the body: in the path, else `?model=`, else `X-Model`."""
    if operation.named:
        first = _below(operation, scope).split(b"/", 1)[0]
        if not first:
            raise NotFound(f"{operation.path}/ is followed by the name of a service or a model.")
        return name_of(_unquoted(first))
    if operation.prefix:
        return None
    query = scope["query_string"]
    if b"model=" in query:
        asked = parse_qs(query.decode("latin-1")).get("model")
        if asked:
            return name_of(asked[0])
    given = header(scope["headers"], b"x-model")
    return name_of(given.decode("utf-8", "replace")) if given else None


def target(operation: Operation, scope: Scope) -> str:
    """Path and query as the upstream is asked. Raises `InvalidRequest` for a path with dots, which
    could leave the part of the upstream that is meant."""
    path = operation.upstream_path or operation.path
    if operation.prefix:
        below = _below(operation, scope)
        if operation.named:
            below = below.partition(b"/")[2]
        if any(segment in _DOTS for segment in _SLASHES.split(unquote_to_bytes(below))):
            raise InvalidRequest("The path has a segment that is only dots.")
        path = "/" + below.decode("latin-1")
    query = scope["query_string"]
    return f"{path}?{query.decode('latin-1')}" if query else path


def _below(operation: Operation, scope: Scope) -> bytes:
    """The path after the operation's own, as it was sent."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return raw.partition(b"?")[0][1:].partition(b"/")[2]


def _unquoted(segment: bytes) -> str:
    return unquote_to_bytes(segment).decode("utf-8", "replace")
