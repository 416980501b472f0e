"""An upload on disk: the body as it came, and where in it each file lies.

Owns the folder of one request below the temporary directory (`audio-…`, what a crash leaves there
is swept at the next start) and that it is gone when the request is over, however it ends. Nothing
is written twice: a file is a place in the body, and the body can be given out again unchanged.
Refuses to hold more than a batch of it, more or longer fields than anybody needs, and a disk that
would be filled to its end.
"""

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from starlette.types import Message, Receive

from server.audio.sound.form import FormReader, FormRules
from server.base.errors import InsufficientStorage, InvalidRequest, Unavailable
from server.base.files import storage_errors
from server.gateway.intake.body import Upload
from server.gateway.intake.head import boundary_of, declared_length, too_large
from server.gateway.wire import Header

PREFIX = "audio-"
BATCH = 1 << 20
PIECE = 256 * 1024
SPARE_BYTES = 64 << 20
"""What an upload leaves free on the disk: the settings and the database live there too."""

__all__ = ["FilePart", "Form", "FormRules", "Spool", "pieces"]


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
    """Use it as `async with Spool(tmp, limit) as spool:`; then `form` or `recording`, once.

    `folder` is for what is made of the upload as well: it is removed whole. `size` is what came.
    """

    def __init__(
        self,
        tmp: Path,
        limit: int,
        rules: FormRules | None = None,
        *,
        idle_seconds: float = 60.0,
        spare_bytes: int = SPARE_BYTES,
    ) -> None:
        self.folder = tmp
        self.size = 0
        self._tmp = tmp
        self._limit = limit
        self._rules = rules or FormRules()
        self._idle = idle_seconds
        self._spare = spare_bytes
        self._file: BinaryIO | None = None
        # Held by the thread that writes: whoever cancels us must not close the file under it.
        self._writing = threading.Lock()

    async def __aenter__(self) -> Self:
        # Not in a thread: a cancellation could leave a folder behind that nobody knows of.
        with storage_errors("The upload"):
            self.folder = Path(tempfile.mkdtemp(dir=self._tmp, prefix=PREFIX))
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
                self._file = os.fdopen(os.open(self._body, flags, 0o600), "wb", buffering=0)
            except BaseException:
                shutil.rmtree(self.folder, ignore_errors=True)
                raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A future and not a task: it goes on when we are cancelled here, also at the very end.
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self._remove))

    @property
    def _body(self) -> Path:
        return self.folder / "body"

    async def form(self, headers: Sequence[Header], source: AsyncIterable[bytes]) -> Form:
        """Read a multipart form to its end. `pieces(receive, limit)` makes the second argument.

        Raises `InvalidRequest`, `UnsupportedMediaType`, `PayloadTooLarge`, `InsufficientStorage`.
        """
        reader = FormReader(boundary_of(headers), self._rules)
        await self._fill(headers, source, reader.feed)
        reader.end()
        files = tuple(
            FilePart(one.name, self._body, one.offset, one.length, one.filename, one.media_type)
            for one in reader.places
        )
        return Form(tuple(reader.fields), files)

    async def recording(self, headers: Sequence[Header], source: AsyncIterable[bytes]) -> FilePart:
        """Read a body that is the recording itself."""
        await self._fill(headers, source, lambda _piece: None)
        return FilePart("", self._body, 0, self.size)

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it came, as often as it is asked for. Raises `Unavailable` when the disk
        does not give it back: half an upload must not look like a whole one."""
        return read(self._body, 0, self.size)

    def replayed(self, receive: Receive) -> Receive:
        """The body as it came in messages of ASGI, then whatever `receive` still gives."""
        return _Replay(self._body, self.size, receive)

    # -- inside

    async def _fill(
        self,
        headers: Sequence[Header],
        source: AsyncIterable[bytes],
        seen: Callable[[bytes], None],
    ) -> None:
        length = declared_length(headers, self._limit)
        self._room(length or 0)
        batch: list[bytes] = []
        held = 0
        arriving = aiter(source)
        while (piece := await self._next(arriving)) is not None:
            self.size += len(piece)
            if self.size > self._limit:
                raise too_large(self._limit)
            seen(piece)
            batch.append(piece)
            held += len(piece)
            if held >= BATCH:
                await asyncio.to_thread(self._write, b"".join(batch))
                batch, held = [], 0
        if held:
            await asyncio.to_thread(self._write, b"".join(batch))

    async def _next(self, arriving: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout(self._idle):
                return await anext(arriving)
        except StopAsyncIteration:
            return None
        except TimeoutError:
            raise InvalidRequest(
                f"Nothing more of the upload came for {self._idle:g} s.", advice="Send it again."
            ) from None

    def _room(self, wanted: int) -> None:
        """Raises `InsufficientStorage` when there would be less than the spare left."""
        with storage_errors("The upload"):
            free = shutil.disk_usage(self.folder).free
        if free < wanted + self._spare:
            raise InsufficientStorage(
                "The upload could not be saved: the disk of the data directory is almost full.",
                advice="Free space in the data directory (or raise its quota) and try again.",
            )

    def _write(self, data: bytes) -> None:
        """In a thread."""
        self._room(len(data))
        with self._writing, storage_errors("The upload"):
            view = memoryview(data)
            while view and self._file is not None:
                view = view[self._file.write(view) or 0 :]

    def _remove(self) -> None:
        """In a thread. What cannot be removed now is swept at the next start."""
        with self._writing:
            file, self._file = self._file, None
            if file is not None:
                file.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class _Replay:
    """A position is only left when its piece was handed over: who asks may be called away."""

    def __init__(self, path: Path, size: int, receive: Receive) -> None:
        self._path = path
        self._size = size
        self._receive = receive
        self._at = 0
        self._done = False

    async def __call__(self) -> Message:
        if self._done:
            return await self._receive()
        piece = b""
        if self._at < self._size:
            wanted = min(PIECE, self._size - self._at)
            piece = await asyncio.to_thread(_piece, self._path, self._at, wanted)
        self._at += len(piece)
        self._done = self._at >= self._size
        return {"type": "http.request", "body": piece, "more_body": not self._done}


async def read(path: Path, offset: int, length: int) -> AsyncIterator[bytes]:
    """These bytes of a file, a piece at a time. Raises `Unavailable` when they are not there."""
    at, end = offset, offset + length
    while at < end:
        piece = await asyncio.to_thread(_piece, path, at, min(PIECE, end - at))
        at += len(piece)
        yield piece


def _piece(path: Path, at: int, size: int) -> bytes:
    """In a thread."""
    try:
        with path.open("rb", buffering=0) as file:
            found = os.pread(file.fileno(), size, at)
    except OSError as error:
        raise Unavailable(_LOST, advice="Send it again.") from error
    if not found:
        raise Unavailable(_LOST, advice="Send it again.")
    return found


_LOST = "The recording could not be read back from the disk of the data directory."


async def pieces(receive: Receive, limit: int) -> AsyncIterator[bytes]:
    """The body of a request as it comes. Raises `ClientClosed` when the caller leaves."""
    upload = Upload(receive, limit)
    while not upload.complete:
        yield await upload.take()
