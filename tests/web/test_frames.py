"""The usual message of a WebSocket is taken out of its frame; everything else is the parser's."""

import struct
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from server.web.frames import Frames


def frame(payload: bytes, opcode: int = 2, *, fin: bool = True, mask: bytes = b"\1\2\3\4") -> bytes:
    head = bytes([(0x80 if fin else 0) | opcode])
    size = len(payload)
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += b"\xfe" + struct.pack("!H", size)
    else:
        head += b"\xff" + struct.pack("!Q", size)
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return head + mask + masked


def test_a_whole_message_in_one_piece_is_taken_out() -> None:
    """Its mask is taken off."""
    sound = bytes(range(256)) * 12
    assert Frames().whole(frame(sound)) == sound


def test_anything_else_is_left_to_the_parser() -> None:
    """Text, control frames, fragments, short or huge ones, half of one, two at once."""
    sound = b"ab" * 1600
    for data in (
        frame(sound, 1),
        frame(sound, 9),
        frame(sound, fin=False),
        frame(sound, 0),
        frame(b"short"),
        frame(b"x" * 70_000),
        frame(sound)[:-1],
        frame(sound) + b"\x82",
        frame(sound) * 2,
        b"\xc2" + frame(sound)[1:],
        b"\x82\x7e" + frame(sound)[2:],
        b"",
    ):
        assert Frames().whole(data) is None


PAYLOADS = st.lists(
    st.tuples(st.sampled_from([0, 5, 125, 126, 3200, 65_535, 65_536]), st.sampled_from([1, 2, 9])),
    min_size=1,
    max_size=8,
)


@given(PAYLOADS, st.data())
@settings(max_examples=60, deadline=None)
def test_a_piece_is_taken_for_a_message_only_where_one_begins(
    parts: list[tuple[int, int]], data: st.DataObject
) -> None:
    """However the bytes were cut: inside of a payload, what looks like a frame is none."""
    inner = frame(b"z" * 3200)
    whole = b"".join(frame((inner * 21)[:size], opcode) for size, opcode in parts)
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=8))
    frames = Frames()
    edges = sorted({0, *cuts, len(whole)})
    for start, end in pairwise(edges):
        piece = whole[start:end]
        if frames.whole(piece) is None:
            frames.passed(piece)
        else:
            assert any(start == one for one in _starts(parts, inner))
    # All frames are over: the next message is seen as one.
    assert frames.whole(inner) == b"z" * 3200


def _starts(parts: list[tuple[int, int]], inner: bytes) -> list[int]:
    at, found = 0, []
    for size, opcode in parts:
        found.append(at)
        at += len(frame((inner * 21)[:size], opcode))
    return found
