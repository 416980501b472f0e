"""Bytes of a remote command cut into lines. Pure.

A line ends with LF, CR LF or a lone CR: progress bars redraw themselves with CR, and each drawing
is news. Empty drawings are dropped, empty lines are kept. A line longer than the cap is cut and the
rest of it thrown away: one endless line must not fill the memory.
"""

import re

_PIECE = re.compile(rb"([^\r\n]*)([\r\n]?)")


class LineSplitter:
    """Feed chunks, get the lines completed by them; `flush` returns what has no end yet."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._rest = b""
        self._drawn = False  # the last end was a CR: an LF right behind it ends nothing more

    def feed(self, data: bytes) -> list[str]:
        if self._drawn or b"\r" in data:
            return self._feed_drawn(data)
        head, end, rest = data.rpartition(b"\n")
        if not end:
            self._extend(rest)
            return []
        whole, self._rest = self._rest + head, b""
        self._extend(rest)
        if len(whole) <= self._cap:
            return whole.decode("utf-8", "replace").split("\n")
        return [self._decoded(line) for line in whole.split(b"\n")]

    def flush(self) -> list[str]:
        rest, self._rest, self._drawn = self._rest, b"", False
        return [self._decoded(rest)] if rest else []

    def _feed_drawn(self, data: bytes) -> list[str]:
        lines: list[str] = []
        for piece in _PIECE.finditer(data):
            body, end = piece.groups()
            if body:
                self._extend(body)
                self._drawn = False
            if not end:
                continue
            if end == b"\n" and self._drawn:
                self._drawn = False
                continue
            line, self._rest, self._drawn = self._rest, b"", end == b"\r"
            if line or not self._drawn:
                lines.append(self._decoded(line))
        return lines

    def _extend(self, data: bytes) -> None:
        room = self._cap - len(self._rest)
        if room > 0:
            self._rest += data[:room]

    def _decoded(self, line: bytes) -> str:
        return line[: self._cap].decode("utf-8", "replace")
