"""Sockets that notice a lost host (without this a stream from it would hang for hours), those of
our own clients as well, and the way to a name that has several addresses.
"""

import asyncio
import socket
from typing import Protocol

from aiohappyeyeballs import AddrInfoType, start_connection

from server.gateway.client.vanished import SIZE, left, vanished

_IDLE_SECONDS = 15
_EVERY_SECONDS = 5
_TRIES = 3
_NEXT_ADDRESS_SECONDS = 0.25
_UNACKNOWLEDGED_MILLISECONDS = 30_000
# A service that works on one recording may not read the next one for minutes; to the kernel that
# looks like a lost host.
_UNREAD_MILLISECONDS = 600_000
# A client may pause its reading for a while; one that is gone, or never reads, holds a GPU.
_CLIENT_MILLISECONDS = 120_000


class _Settable(Protocol):
    def setsockopt(self, level: int, option: int, value: int, /) -> object: ...


def watch(sock: _Settable) -> None:
    """Keep-alive probes while it is quiet, and an end when what was sent is not acknowledged."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _EVERY_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _TRIES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MILLISECONDS)


def uploading(sock: _Settable) -> None:
    """More patience for what is sent on this connection from now on."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MILLISECONDS)


def accepted(sock: _Settable) -> None:
    """Of a client: a laptop that was closed sends no goodbye, and holds its place for ever."""
    watch(sock)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _CLIENT_MILLISECONDS)


def lost(sock: socket.socket, *, unread: bool = False) -> bool:
    """Whether its other end is gone without a word (`vanished`), or with one that nobody reads now
    (`left`, when `unread`). False where that is not told."""
    if not hasattr(socket, "TCP_INFO") or sock.fileno() < 0:
        return False
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, SIZE)
    except OSError:
        return False
    return vanished(info) or (unread and left(info))


def open_socket(address: AddrInfoType) -> socket.socket:
    made = socket.socket(address[0], address[1], address[2])
    made.setblocking(False)
    watch(made)
    return made


async def connected(host: str, port: int, loop: asyncio.AbstractEventLoop) -> socket.socket:
    """A socket to the first address of `host` that answers. The next address is tried while the
    one before is still silent: a name often has an IPv6 address on which nobody listens."""
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return await start_connection(
        found,
        happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS,
        loop=loop,
        socket_factory=open_socket,
    )
