"""Sockets that notice a lost host: without this a stream from it would hang for hours."""

import socket
from typing import Protocol

_IDLE_SECONDS = 15
_EVERY_SECONDS = 5
_TRIES = 3
_UNACKNOWLEDGED_MILLISECONDS = 30_000


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


def open_socket(family: int, kind: int, protocol: int) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    watch(made)
    return made
