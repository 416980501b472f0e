"""A real SSH server for the tests: asyncssh on a loopback port, running real processes.

As OpenSSH's sshd it hands the command to the login shell in a session of its own, tells the exit
status when the shell ends and closes the channel when its output does. When the channel or the
connection goes away it closes its ends of the pipes and leaves the processes alone.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
from asyncssh.packet import Boolean, String, UInt32


def new_host_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@dataclass
class FarSide:
    """The server, its knobs and what it saw. `port` stays the same over `stop` and `start`."""

    home: Path
    authorized: str
    login_shell: tuple[str, ...] = ("sh", "-c")
    host_keys: list[asyncssh.SSHKey] = field(default_factory=lambda: [new_host_key()])
    users: frozenset[str] = frozenset({"ubuntu", "audio"})
    max_sessions: int = 10
    port: int = 0
    connections: int = 0
    commands: list[str] = field(default_factory=list)
    open_connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    children: dict[asyncio.Task[None], int] = field(default_factory=dict)
    _acceptor: asyncssh.SSHAcceptor | None = None

    async def start(self) -> None:
        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=lambda: _Server(self),
            server_host_keys=self.host_keys,
            encoding=None,
            line_editor=False,
            gss_host=None,
        )
        self.port = self._acceptor.get_port()

    async def stop(self) -> None:
        """As `systemctl stop ssh` with all its connections; processes live on."""
        if self._acceptor is not None:
            self._acceptor.close()
            await self._acceptor.wait_closed()
            self._acceptor = None
        await self.cut()

    async def cut(self) -> None:
        """Every connection is lost at once, the server goes on."""
        connections, self.open_connections = self.open_connections, []
        for connection in connections:
            connection.abort()
        for connection in connections:
            await connection.wait_closed()

    async def serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        task = asyncio.create_task(self._run(process))
        self.children[task] = 0
        task.add_done_callback(self.children.pop)
        await task

    async def finish(self) -> None:
        """The end of the test: no child of ours is left."""
        await self.stop()
        for pid in self.children.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.children:
            await asyncio.wait(set(self.children), timeout=10)

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self.commands.append(process.command or "")
        loop = asyncio.get_running_loop()
        transport, child = await loop.subprocess_exec(
            lambda: _Child(loop),
            *self.login_shell,
            process.command or "",
            cwd=self.home,
            env={"HOME": str(self.home), "PATH": os.environ["PATH"]},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self.children[asyncio.current_task()] = transport.get_pid()
        channel = process.channel
        closed = asyncio.create_task(channel.wait_closed())
        ended = child.exited
        pumps = [
            asyncio.create_task(_pump(child.stdout, process.stdout)),
            asyncio.create_task(_pump(child.stderr, process.stderr)),
        ]
        feed = asyncio.create_task(_feed(process.stdin, child.stdin))
        await asyncio.wait([closed, ended], return_when=asyncio.FIRST_COMPLETED)
        if not closed.done():
            _tell(channel, transport.get_returncode())
            output = asyncio.gather(*pumps)
            await asyncio.wait([closed, output], return_when=asyncio.FIRST_COMPLETED)
            channel.close()
        for task in (*pumps, feed):
            task.cancel()
        for number in (0, 1, 2):
            transport.get_pipe_transport(number).close()
        await asyncio.wait([closed, ended, feed, *pumps])
        transport.close()


class _Child(asyncio.subprocess.SubprocessStreamProtocol):
    """Tells the exit of the process itself, whoever still holds its pipes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=65536, loop=loop)
        self.exited: asyncio.Future[None] = loop.create_future()

    def process_exited(self) -> None:
        super().process_exited()
        if not self.exited.done():
            self.exited.set_result(None)


def _tell(channel: asyncssh.SSHServerChannel[bytes], status: int) -> None:
    if status < 0:
        name = signal.Signals(-status).name[3:]
        fields = (String(name), Boolean(False), String(""), String(""))
        channel._send_request(b"exit-signal", *fields)
    else:
        channel._send_request(b"exit-status", UInt32(status))


async def _pump(source: asyncio.StreamReader, sink: asyncssh.SSHWriter[bytes]) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()


async def _feed(source: asyncssh.SSHReader[bytes], sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


class _Server(asyncssh.SSHServer):
    def __init__(self, side: FarSide) -> None:
        self._side = side
        self._sessions = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._side.connections += 1
        self._side.open_connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        ours = asyncssh.import_public_key(self._side.authorized)
        return username in self._side.users and key == ours

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        if self._sessions >= self._side.max_sessions:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "open failed")
        self._sessions += 1
        return asyncssh.SSHServerProcess(self._serve, None, 3, False)

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        try:
            await self._side.serve(process)
        finally:
            self._sessions -= 1


@contextlib.asynccontextmanager
async def running(side: FarSide) -> AsyncIterator[FarSide]:
    await side.start()
    try:
        yield side
    finally:
        await side.finish()
