"""An upload on its way: to disk, hashed as it comes, and back from there to an upstream.

Owns the temporary file and the digest of the form. When the disk takes no more, what came so far
is given out from the file, then what was in hand, then the rest of the source: the request goes on
as if it had never been spooled.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from server.base.errors import Unavailable
from server.gateway.cache.form import FormDigest
from server.gateway.cache.key import certain

BATCH = 1 << 20
PIECE = 256 * 1024
_LOST = "The upload could not be read back from the disk of the data directory: send it again."


class Spool:
    """`released` is called once, when the file is gone."""

    def __init__(
        self,
        folder: Path,
        boundary: bytes,
        source: AsyncIterable[bytes],
        released: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._source = aiter(source)
        self._form = FormDigest(boundary)
        self._released = released
        self._file: BinaryIO | None = None
        self._size = 0
        self._pending = b""
        self._whole = False
        self._ended = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()  # it has no name any more: closing is removing
        self._released()
        self._released = lambda: None

    @property
    def length(self) -> int | None:
        return self._size if self._whole else None

    async def fill(self) -> None:
        batch: list[bytes] = []
        size = 0
        async for chunk in self._source:
            batch.append(chunk)
            size += len(chunk)
            if size >= BATCH:
                data, batch, size = b"".join(batch), [], 0
                if not await self._take(data):
                    return
        self._ended = True
        self._whole = await self._take(b"".join(batch))

    async def _take(self, data: bytes) -> bool:
        try:
            await asyncio.to_thread(self._write, data)
        except OSError:
            self._pending = data
            return False
        return True

    def _write(self, data: bytes) -> None:
        """In a thread. What the disk did not take whole is as if it had not been written."""
        if self._file is None:
            descriptor, name = tempfile.mkstemp(dir=self._folder, prefix="upload.")
            self._file = os.fdopen(descriptor, "wb+", buffering=0)
            with suppress(OSError):
                Path(name).unlink()
        written = 0
        view = memoryview(data)
        while written < len(view):
            written += self._file.write(view[written:]) or 0
        self._size += len(data)
        self._form.feed(data)

    def _read(self, file: BinaryIO, at: int) -> bytes:
        """In a thread. Raises `Unavailable`: half an upload must not look like a whole one."""
        try:
            piece = os.pread(file.fileno(), min(PIECE, self._size - at), at)
        except OSError as error:
            raise Unavailable(_LOST) from error
        if not piece:
            raise Unavailable(_LOST)
        return piece

    def digest(self) -> str | None:
        if not self._whole:
            return None
        form = self._form
        same = certain(form.value("temperature"), form.value("stream"))
        return form.digest() if same else None

    async def chunks(self) -> AsyncIterator[bytes]:
        at = 0
        while self._file is not None and at < self._size:
            piece = await asyncio.to_thread(self._read, self._file, at)
            at += len(piece)
            yield piece
        if self._pending:
            pending, self._pending = self._pending, b""
            yield pending
        if not self._ended:
            async for chunk in self._source:
                yield chunk
            self._ended = True
