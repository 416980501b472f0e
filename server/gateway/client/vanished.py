"""Whether the other end of a TCP connection is gone without a word, by the kernel's counts. Pure.

A host that was switched off sends no goodbye. Its kernel would acknowledge our probes even while
its program is busy or reads nothing for minutes, so the time that a program takes says nothing, and
a silent kernel says it all: several probes or repeats in a row went without any answer.
"""

import struct

SILENT_MILLISECONDS = 25_000
PROBES = 3
SIZE = 60
"""Bytes of Linux's `struct tcp_info` that are looked at."""

# retransmits, probes since the last answer; milliseconds since the last acknowledgement.
_COUNTS, _LAST_ACK = struct.Struct("BB"), struct.Struct("=I")
_COUNTS_AT, _LAST_ACK_AT = 2, 56


# The state: closed by a reset; the other end has said that it sends no more.
_LEFT = frozenset({7, 8})


def left(info: bytes) -> bool:
    """Whether the other end has said goodbye, or reset the connection. Whoever reads hears of it at
    once; whoever does not read only finds it here."""
    return len(info) >= SIZE and info[0] in _LEFT


def vanished(info: bytes) -> bool:
    """`info` is what `getsockopt(TCP_INFO)` gave; what is too short says nothing."""
    if len(info) < SIZE:
        return False
    repeats: int
    probes: int
    repeats, probes = _COUNTS.unpack_from(info, _COUNTS_AT)
    silent: int = _LAST_ACK.unpack_from(info, _LAST_ACK_AT)[0]
    return max(repeats, probes) >= PROBES and silent >= SILENT_MILLISECONDS
