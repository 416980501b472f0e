"""A connection's writing end that sends the head of an answer together with what follows it.

The server writes a head and a body by two calls. Sent as they come they are two packets, and the
client is woken twice for one answer: with small answers that is a tenth of what a request costs.
Owns nothing but that pause: a head waits for the next write, and for the next turn of the loop at
most. All else goes at once and in order.
"""

import asyncio
from typing import Any

_HEAD = b"HTTP/1.1 "
_JOINED_BYTES = 64 * 1024


class Joined(asyncio.Transport):
    """In front of `inner`, the transport of the socket."""

    def __init__(self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._inner = inner
        self._loop = loop
        self._held = b""
        self._later: asyncio.Handle | None = None

    def write(self, data: Any) -> None:
        held = self._held
        if held:
            self._held = b""
            if self._later is not None:
                self._later.cancel()
            if len(data) < _JOINED_BYTES:
                self._inner.write(held + data)
            else:
                self._inner.writelines((held, data))
        elif data[:9] == _HEAD:
            self._held = data
            self._later = self._loop.call_soon(self.flush)
        else:
            self._inner.write(data)

    def flush(self) -> None:
        held, self._held = self._held, b""
        if held and not self._inner.is_closing():
            self._inner.write(held)

    def close(self) -> None:
        self.flush()
        self._inner.close()

    def abort(self) -> None:
        self._held = b""
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
        return len(self._held) + self._inner.get_write_buffer_size()

    def can_write_eof(self) -> bool:
        return self._inner.can_write_eof()

    def write_eof(self) -> None:
        self.flush()
        self._inner.write_eof()
