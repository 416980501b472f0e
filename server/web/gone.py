"""Clients whose host is gone without a word: their connections end, and with them what they asked.

Neither a caller that waits nor a stream that is sent would tell: the one sends nothing, and what is
sent to the other lies in the kernel. Nor would one that left while nothing is read from it. Owns
the look at every open connection, now and then; one look costs a few microseconds, and not all are
looked at in the same turn, so that no stream waits.
"""

import socket
from collections.abc import Iterable
from typing import Any

from server.gateway.client.sockets import lost

TURNS = 50
_IP = frozenset({socket.AF_INET, socket.AF_INET6})


def end_those_gone(connections: Iterable[Any], turn: int) -> int:
    """`connections` are the server's protocols; every one has its turn within `TURNS`. How many
    were ended."""
    ended, turn = 0, turn % TURNS
    for connection in [one for one in connections if hash(one) % TURNS == turn]:
        transport = connection.transport
        sock = None if transport is None else transport.get_extra_info("socket")
        if sock is None or sock.family not in _IP or transport.is_closing():
            continue
        if lost(sock, unread=not transport.is_reading()):
            transport.abort()
            ended += 1
    return ended
