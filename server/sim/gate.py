"""The network in front of a simulated host's SSH server: up, cut or down.

Owns the listening socket and every open connection; SSH itself runs on the inner end of a socket
pair. Refuses to end processes: a lost link ends nothing on the host.

    up    bytes flow
    cut   packets are dropped: nothing is read, nothing answered, open connections freeze
    down  open connections are reset, new ones refused
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine

from server.sim.engine.server import reset

CHUNK = 65536


class Gate:
    """One host's port. `serve` runs SSH over a connected socket."""

    def __init__(
        self, address: str, port: int, serve: Callable[[socket.socket], Coroutine[None, None, None]]
    ) -> None:
        self._address = address
        self._port = port
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._flow = asyncio.Event()
        self._flow.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.link = "up"

    @property
    def connections(self) -> int:
        return len(self._tasks)

    async def open(self) -> None:
        self._server = await asyncio.start_server(
            self._accept, self._address, self._port, backlog=256
        )

    async def set_link(self, link: str) -> None:
        self.link = link
        if link == "cut":
            self._flow.clear()
            return
        if link == "down":
            self.drop()
            self._shut()
        elif self._server is None:
            await self.open()
        self._flow.set()

    def drop(self) -> None:
        """Reset every open connection."""
        for writer in tuple(self._writers):
            reset(writer)
        for task in tuple(self._tasks):
            task.cancel()

    def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def close(self) -> None:
        self._shut()
        self.drop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        inner, outer = socket.socketpair()
        try:
            await self._relay(reader, writer, inner, outer)
        except asyncio.CancelledError:
            pass  # dropped on purpose
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            inner.close()
            outer.close()
            writer.close()

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        inner: socket.socket,
        outer: socket.socket,
    ) -> None:
        inner.setblocking(False)
        near_reader, near_writer = await asyncio.open_connection(sock=outer)
        jobs = {
            asyncio.ensure_future(self._serve(inner)),
            asyncio.ensure_future(self._copy(reader, near_writer)),
            asyncio.ensure_future(self._copy(near_reader, writer)),
        }
        try:
            await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        finally:
            near_writer.close()
            for job in jobs:
                job.cancel()
            await asyncio.wait(jobs)
            for job in jobs:
                if not job.cancelled():
                    job.exception()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._flow.wait()
                writer.write(data)
                await writer.drain()
