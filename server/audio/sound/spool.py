"""An upload on disk: the body as it came, and where in it each file lies.

Owns the folder of one request below the temporary directory (`audio-…`, what a crash leaves there
is swept at the next start) and that it is gone when the request is over, however it ends. Nothing
is written twice: a file is a place in the body, and the body can be given out again unchanged.
Refuses to hold more than a batch of it, more or longer fields than anybody needs, and a disk that
would be filled to its end.
"""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from starlette.types import Receive

from server.gateway.wire import Header


@dataclass(frozen=True, slots=True)
class FormRules:
    """What a form may have. `fields_bytes` is all values and headers together."""

    files: int = 2
    fields: int = 64
    field_bytes: int = 64 << 10
    fields_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file within the body at `path`. `name` is that of its field; what else its sender says of
    it (`filename`, `media_type`) is a hint at most."""

    name: str
    path: Path
    offset: int
    length: int
    filename: str = ""
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """`fields` are in the order they came; a name may come more than once."""

    fields: tuple[tuple[str, str], ...]
    files: tuple[FilePart, ...]

    def every(self, *names: str) -> tuple[str, ...]:
        """The values under any of these names, in order."""
        return tuple(value for name, value in self.fields if name in names)


class Spool:
    """Use it as `async with Spool(tmp, limit) as spool:`; then `form` or `recording`, once."""

    folder: Path
    size: int

    def __init__(
        self, tmp: Path, limit: int, rules: FormRules | None = None, *, idle_seconds: float = 60.0
    ) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        raise NotImplementedError

    async def form(self, headers: Sequence[Header], pieces: AsyncIterable[bytes]) -> Form:
        """Read a multipart form to its end. `pieces(receive, limit)` makes the second argument.

        Raises `InvalidRequest`, `UnsupportedMediaType`, `PayloadTooLarge`, `InsufficientStorage`.
        """
        raise NotImplementedError

    async def recording(self, headers: Sequence[Header], pieces: AsyncIterable[bytes]) -> FilePart:
        """Read a body that is the recording itself."""
        raise NotImplementedError

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it came, as often as it is asked for."""
        raise NotImplementedError

    def replayed(self, receive: Receive) -> Receive:
        """The body as it came in messages of ASGI, then whatever `receive` still gives."""
        raise NotImplementedError


def pieces(receive: Receive, limit: int) -> AsyncIterator[bytes]:
    """The body of a request as it comes. Raises `ClientClosed` when the caller leaves."""
    raise NotImplementedError
