"""A connection's writing end that sends together what belongs together.

The server writes a head and a body by two calls. Sent as they come they are two packets, and the
client is woken twice for one answer. So a head waits for what follows it. The chunks of a stream
wait until everything that is ready in this turn of the loop has been looked at: many streams are
then written back to back, which costs half, because a reader that is awake need not be woken.
Owns nothing but these pauses: nothing waits longer than a turn, all goes in order.
"""

import asyncio
from typing import Any

_HEAD = b"HTTP/1.1 "
_CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
_HELD_BYTES = 64 * 1024


class Joined(asyncio.Transport):
    """In front of `inner`, the transport of the socket."""

    def __init__(self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._inner = inner
        self._loop = loop
        self._held: list[bytes] = []
        self._size = 0
        self._streams = False
        self._later: asyncio.Handle | None = None

    def write(self, data: Any) -> None:
        if data[:9] == _HEAD:
            self._streams = data.endswith(_CHUNKED)
        elif not self._streams:
            if not self._held:
                self._inner.write(data)
                return
            self._held.append(data)
            self.flush()
            return
        self._held.append(data)
        self._size += len(data)
        if self._size >= _HELD_BYTES:
            self.flush()
        elif self._later is None:
            self._later = self._loop.call_soon(self._turned)

    def now(self, data: bytes) -> None:
        """What is whole already, or comes when everything else has been looked at."""
        if self._held:
            self.flush()
        if not self._inner.is_closing():
            self._inner.write(data)

    def _turned(self) -> None:
        self._later = None
        self.flush()

    def flush(self) -> None:
        """Send what waits."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        held = self._held
        if not held:
            return
        self._held, self._size = [], 0
        if self._inner.is_closing():
            return
        if len(held) == 1:
            self._inner.write(held[0])
        else:
            self._inner.writelines(held)

    def close(self) -> None:
        self.flush()
        self._inner.close()

    def abort(self) -> None:
        self._held.clear()
        self._inner.abort()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._inner.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._inner.get_protocol()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._inner.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._inner.is_closing()

    def is_reading(self) -> bool:
        return self._inner.is_reading()

    def pause_reading(self) -> None:
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        self._inner.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._inner.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._size + self._inner.get_write_buffer_size()

    def can_write_eof(self) -> bool:
        return self._inner.can_write_eof()

    def write_eof(self) -> None:
        self.flush()
        self._inner.write_eof()
