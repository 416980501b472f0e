"""The socket between the docker command of a host and its daemon.

Owns framing: the client sends its open files and one JSON object, the daemon one JSON line, and a
second one when a followed container ends. A client that leaves is forgotten; what it started goes
on, as with docker. Refuses every fault but the one of the scenario: `hang` never answers.
"""

import asyncio
import json
import os
import socket
import struct
from pathlib import Path
from typing import Any

from server.sim.docker.call import Answer, Call, encode
from server.sim.docker.daemon import Daemon
from server.sim.docker.words import DockerError

HEAD = struct.Struct("!I")


def short_address(directory: int) -> str:
    """A path to the socket that is short whatever the directory: 108 bytes is all there is."""
    return f"/proc/self/fd/{directory}/docker.sock"


class DockerSocket:
    """Listens at `directory`/docker.sock."""

    def __init__(self, daemon: Daemon, directory: Path) -> None:
        self._daemon = daemon
        self._directory = directory
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def open(self) -> None:
        (self._directory / "docker.sock").unlink(missing_ok=True)
        handle = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._socket.bind(short_address(handle))
        finally:
            os.close(handle)
        self._socket.listen(128)
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        for task in tuple(self._tasks):
            task.cancel()
        (self._directory / "docker.sock").unlink(missing_ok=True)

    def _accept(self) -> None:
        try:
            client, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        client.setblocking(False)
        task = asyncio.create_task(self._serve(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        files: list[int] = []
        try:
            body, files = await self._receive(client)
            if self._daemon.host.scenario.docker == "hang":
                _let_go(files)
                await asyncio.Event().wait()
            answer = await self._answer(body, files)
            await loop.sock_sendall(client, encode(answer))
            if answer.container is not None:
                await answer.container.ended.wait()
                code = {"exit": answer.container.exit_code}
                await loop.sock_sendall(client, json.dumps(code).encode() + b"\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client was killed; docker does not mind
        finally:
            _let_go(files)
            client.close()

    async def _answer(self, body: dict[str, Any], files: list[int]) -> Answer:
        call = Call(
            argv=tuple(body["argv"]),
            environ=body["environ"],
            cwd=Path(body["cwd"]),
            files=files,
        )
        try:
            return await self._daemon.call(call)
        except DockerError as problem:
            return Answer(err=problem.text, code=problem.code)

    async def _receive(self, client: socket.socket) -> tuple[dict[str, Any], list[int]]:
        await _readable(client)
        head, files, _, _ = socket.recv_fds(client, HEAD.size, 3)
        if len(head) < HEAD.size or len(files) != 3:
            for file in files:
                os.close(file)
            raise ConnectionResetError("not a docker client of the simulator")
        (size,) = HEAD.unpack(head)
        body = bytearray()
        while len(body) < size:
            piece = await asyncio.get_running_loop().sock_recv(client, size - len(body))
            if not piece:
                raise ConnectionResetError("the client left")
            body += piece
        parsed: dict[str, Any] = json.loads(body)
        return parsed, files


def _let_go(files: list[int]) -> None:
    while files:
        os.close(files.pop())


async def _readable(client: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(client, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(client)
