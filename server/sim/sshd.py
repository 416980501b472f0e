"""The SSH server of one simulated host, on asyncssh.

Owns authentication by the one key and the start of commands through the login shell, each in a
session of its own. Refuses passwords, forwarding and PTYs, and, like a real sshd, never kills a
process because its channel closed.
"""

import asyncio
import os
import socket

import asyncssh

from server.sim import kit
from server.sim.layout import HostDir, write
from server.sim.reaper import Reaper, spawn

USERS = frozenset({"ubuntu", "audio"})


class _Login(asyncssh.SSHServer):
    """Only the one public key, only known users."""

    def __init__(self, authorized: asyncssh.SSHKey) -> None:
        self._authorized = authorized

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username in USERS and key.public_data == self._authorized.public_data

    def password_auth_supported(self) -> bool:
        return False

    def kbdint_auth_supported(self) -> bool:
        return False


class Sshd:
    """One host. `key` is the host key; it can be swapped."""

    def __init__(self, host: HostDir, authorized: asyncssh.SSHKey, reaper: Reaper) -> None:
        self._host = host
        self._reaper = reaper
        self._authorized = authorized
        self._file = host.root / "ssh_host_ed25519_key"
        self.key = asyncssh.read_private_key(self._file) if self._file.exists() else self.new_key()

    def new_key(self) -> asyncssh.SSHKey:
        """Another host key, from the next connection on; kept over restarts of the simulator."""
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write(self._file, self.key.export_private_key().decode(), 0o600)
        return self.key

    async def serve(self, sock: socket.socket) -> None:
        """SSH over one connection, until it ends."""
        try:
            connection = await asyncssh.run_server(
                sock,
                server_factory=lambda: _Login(self._authorized),
                server_host_keys=[self.key],
                process_factory=self._run,
                encoding=None,
                allow_pty=False,
                allow_scp=False,
                agent_forwarding=False,
                x11_forwarding=False,
                server_version="SimulatedSpark",
                compression_algs=None,
                login_timeout=30,
                keepalive_interval=0,
                gss_host=None,
            )
        except (OSError, asyncssh.Error):
            return  # the client left or had no right to come: its side knows why
        try:
            await connection.wait_closed()
        finally:
            connection.abort()

    async def _run(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        user = process.get_extra_info("username")
        command = process.command
        argv = [kit.LOGIN_SHELL, "-c", command] if command else [kit.LOGIN_SHELL]
        pipes = [os.pipe() for _ in range(3)]
        (in_read, in_write), (out_read, out_write), (err_read, err_write) = pipes
        try:
            pid = spawn(
                argv,
                env=kit.environment(self._host, user),
                cwd=self._host.home,
                files=(in_read, out_write, err_write),
            )
            ended = self._reaper.wait(pid)
        finally:
            for descriptor in (in_read, out_write, err_write):
                os.close(descriptor)
        try:
            await self._connect(process, ended, (in_write, out_read, err_read))
        except (OSError, asyncssh.Error):
            pass  # the channel is gone; the process goes on
        finally:
            await process.wait_closed()

    async def _connect(
        self,
        process: "asyncssh.SSHServerProcess[bytes]",
        ended: "asyncio.Future[int]",
        pipes: tuple[int, int, int],
    ) -> None:
        """Channel and process, until the process has ended and all it wrote was sent."""
        in_write, out_read, err_read = pipes
        await process.redirect(
            stdin=os.fdopen(in_write, "wb", 0),
            stdout=os.fdopen(out_read, "rb", 0),
            stderr=os.fdopen(err_read, "rb", 0),
            send_eof=False,  # EOF is the channel's: the first stream to end must not end the other
        )
        code = await ended
        await process.stdout.drain()
        await process.stderr.drain()
        if code < 0:
            process.channel.exit_with_signal(_signal_name(-code))
        else:
            process.exit(code)


def _signal_name(number: int) -> str:
    names = {1: "HUP", 2: "INT", 3: "QUIT", 6: "ABRT", 9: "KILL", 13: "PIPE", 15: "TERM"}
    return names.get(number, f"SIG{number}@simulated")
