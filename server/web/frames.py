"""Where the messages of a WebSocket begin in what came, and the usual one taken out. Pure.

A message of sound comes as one frame in one piece of the connection, thousands of times a second.
Taking it out of its frame is a mask and a length; the parser that can do everything costs ten times
as much. Owns only that: whether such a piece begins where a frame does, and is whole. Refuses
everything else (control frames, fragments, short or huge ones, a piece of several): that is the
parser's, which is told nothing of what was taken out and so stands between two frames as well.
"""

try:
    from websockets.speedups import apply_mask
except ImportError:  # no compiled part for this machine
    from websockets.utils import apply_mask

_BINARY, _MASKED_16 = 0x82, 0xFE
_HEAD = 8


class Frames:
    """One connection, from the first byte after its handshake on. Each piece goes through `whole`
    or through `passed`, none through both."""

    __slots__ = ("_head", "_left")

    def __init__(self) -> None:
        self._left = 0
        self._head = b""

    def whole(self, data: bytes) -> bytes | None:
        """The payload when `data` is one unfragmented binary message; None for anything else."""
        if (
            self._left
            or self._head
            or len(data) <= _HEAD
            or data[0] != _BINARY
            or data[1] != _MASKED_16
            or (data[2] << 8 | data[3]) + _HEAD != len(data)
        ):
            return None
        return apply_mask(data[_HEAD:], data[4:_HEAD])

    def passed(self, data: bytes) -> None:
        """These go to the parser."""
        at = min(self._left, len(data))
        self._left -= at
        if self._left or at == len(data):
            return
        data, at = (self._head + data[at:], 0) if self._head else (data, at)
        self._head = b""
        while at < len(data):
            size = _size(data, at)
            if size is None:
                self._head = data[at:]
                return
            at += size
        self._left = at - len(data)


def _size(data: bytes, at: int) -> int | None:
    """Bytes of the frame that begins there; None while its head is not whole."""
    if len(data) - at < 2:
        return None
    short = data[at + 1] & 0x7F
    mask = 4 if data[at + 1] & 0x80 else 0
    wide = {126: 2, 127: 8}.get(short, 0)
    if len(data) - at < 2 + wide:
        return None
    length = int.from_bytes(data[at + 2 : at + 2 + wide], "big") if wide else short
    return 2 + wide + mask + length
