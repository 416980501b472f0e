"""One remote command seen from its channel: its process group, its bytes, its end.

Owns the callbacks asyncssh makes, and turns them into futures. Reads in chunks as they come, so
that a line costs no task switch. Refuses to decide what to do about an end: `remote.py` does.
"""

import asyncio
import contextlib
import re
import signal
from collections import deque
from collections.abc import AsyncIterable
from dataclasses import dataclass

import asyncssh

from server.ssh.lines import LineSplitter
from server.ssh.model import Limits
from server.ssh.slots import Slot

_MARK = re.compile(rb"@spark-control (\d+) (\d*)\n")
_NOISE_CAP = 64 * 1024
_HIGH_WATER = 1024 * 1024
_LOW_WATER = 256 * 1024


@dataclass(frozen=True, slots=True)
class Group:
    """The process group of a remote command: its number, and the start ticks of its leader."""

    number: int
    ticks: str


class Session(asyncssh.SSHClientSession[bytes]):
    """`group` is None when the login shell never started our wrapper; `ended` is done when no more
    will come: the channel closed, or the command ended and its output fell silent."""

    def __init__(self, limits: Limits) -> None:
        loop = asyncio.get_running_loop()
        self.limits = limits
        self.group: asyncio.Future[Group | None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.opening: asyncio.Task[None] | None = None
        self.channel: asyncssh.SSHClientChannel[bytes] | None = None
        self.status: int | None = None
        self.closed = False
        self.lost: Exception | None = None
        self.noise = b""
        # Whether the receiver tells a broken-off input from a whole one: then it may get the end
        # of the file before the signal, and is sure not to wait for more.
        self.input_is_proved = False
        self._slot: Slot | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._paused = False
        self._writable = asyncio.Event()
        self._writable.set()

    def hold(self, slot: Slot) -> None:
        self._slot = slot

    def let_go(self) -> None:
        if self._slot is not None:
            self._slot.release()

    # --- what asyncssh calls -------------------------------------------------------------------

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self.channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if self._silence is not None:
            self._watch_silence()
        if datatype is None and not self.group.done():
            data = self._behind_mark(data)
        if data:
            self.received(data, datatype is not None)

    def exit_status_received(self, status: int) -> None:
        self.status = status
        self._watch_silence()

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self.status = 128 + _signal_number(signal)
        self._watch_silence()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.lost = exc
        self.let_go()
        if not self.group.done():
            self.group.set_result(None)
        self.finish()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    @property
    def said(self) -> str:
        """What came instead of our mark."""
        return self.noise.decode("utf-8", "replace")

    # --- what we call --------------------------------------------------------------------------

    def received(self, data: bytes, is_stderr: bool) -> None:
        """Bytes of the command itself."""
        raise NotImplementedError

    def finish(self) -> None:
        self._stop_watching()
        self._writable.set()
        if not self.ended.done():
            self.ended.set_result(None)

    async def feed(self, data: bytes | AsyncIterable[bytes] | None) -> None:
        """Send `data` and close the remote stdin. Ends early when the command does."""
        if self.channel is None:
            return
        with contextlib.suppress(OSError):  # the command ended without reading all of it
            if isinstance(data, bytes):
                self.channel.write(data)
            elif data is not None:
                async for chunk in data:
                    self.channel.write(chunk)
                    await self._writable.wait()
            self.channel.write_eof()

    def break_off_input(self) -> None:
        """Close the remote stdin in the middle, where that is safe."""
        if self.input_is_proved and self.channel is not None and not self.closed:
            with contextlib.suppress(OSError):
                self.channel.write_eof()

    def close(self) -> None:
        """Close the channel; what runs behind it is not stopped by that."""
        self._stop_watching()
        if self.channel is not None:
            self.channel.abort()

    def _behind_mark(self, data: bytes) -> bytes:
        """Swallow what the login shell's start files print, up to our mark."""
        self.noise += data
        mark = _MARK.search(self.noise)
        if mark is None:
            self.noise = self.noise[-_NOISE_CAP:]
            return b""
        data = self.noise[mark.end() :]
        self.noise = b""
        self.group.set_result(Group(int(mark[1]), mark[2].decode()))
        return data

    def _watch_silence(self) -> None:
        """A child of the ended command may hold its output open for ever: wait for silence only."""
        self._stop_watching()
        if self._paused:
            return  # silent because we do not listen
        loop = asyncio.get_running_loop()
        self._silence = loop.call_later(self.limits.linger, self.finish)

    def _stop_watching(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None


def _signal_number(name: str) -> int:
    try:
        return signal.Signals[f"SIG{name}"].value
    except KeyError:
        return 127


class Collected(Session):
    """Keeps the whole output, up to the cap; beyond it the command is given up."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.truncated = False
        self._out = bytearray()
        self._err = bytearray()

    def received(self, data: bytes, is_stderr: bool) -> None:
        kept = self._err if is_stderr else self._out
        room = self.limits.output_cap - len(kept)
        kept += data[:room]
        if len(data) > room:
            self.truncated = True
            self.finish()

    @property
    def said(self) -> str:
        return super().said + self.stderr

    @property
    def stdout(self) -> str:
        return self._out.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        return self._err.decode("utf-8", "replace")


class Followed(Session):
    """Hands out lines as they come. A reader that falls behind stops the remote side."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._splitter = LineSplitter(limits.line_cap)
        self._lines: deque[str] = deque()
        self._size = 0
        self._wake: asyncio.Future[None] | None = None

    def received(self, data: bytes, is_stderr: bool) -> None:
        self._add(self._splitter.feed(data))
        if self._size > _HIGH_WATER and not self._paused and self.channel is not None:
            self._paused = True
            self._stop_watching()
            self.channel.pause_reading()

    def finish(self) -> None:
        self._add(self._splitter.flush())
        super().finish()
        self._rouse()

    async def next_line(self) -> str | None:
        """The next line, or None at the end."""
        while not self._lines:
            if self.ended.done():
                return None
            self._wake = asyncio.get_running_loop().create_future()
            try:
                await self._wake
            finally:
                self._wake = None
        line = self._lines.popleft()
        self._size -= len(line) + 1
        if self._paused and self._size < _LOW_WATER:
            self._resume()
        return line

    def _resume(self) -> None:
        self._paused = False
        if self.status is not None and not self.closed:
            self._watch_silence()
        if self.channel is not None:
            self.channel.resume_reading()

    def _add(self, lines: list[str]) -> None:
        if lines:
            self._lines.extend(lines)
            self._size += sum(map(len, lines)) + len(lines)
            self._rouse()

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
