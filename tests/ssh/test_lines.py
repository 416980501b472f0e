"""Lines come out the same however the bytes were cut into chunks."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from server.ssh.lines import LineSplitter

BYTES = st.lists(
    st.sampled_from([b"\n", b"\r", b"\r\n", b"a", b"bc", b"\xc3\xa9", b"\xff", b" "]), max_size=30
)


def split(chunks, cap=1000):
    splitter = LineSplitter(cap)
    return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.flush()


@given(pieces=BYTES, cuts=st.lists(st.integers(0, 60), max_size=6))
def test_chunking_changes_nothing(pieces, cuts):
    """Property: any cut of the bytes gives the lines of the whole."""
    data = b"".join(pieces)
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    chunks = [data[a:b] for a, b in itertools.pairwise(edges)]
    assert split(chunks) == split([data])


@given(lines=st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"))))
def test_lines_that_were_joined_come_apart_again(lines):
    """Property: the inverse of joining with newlines, also for separators only Unicode knows."""
    assert split(["".join(f"{line}\n" for line in lines).encode()]) == lines


def test_a_progress_bar_is_news_at_each_drawing():
    """tqdm ends its drawings with CR and its bar with LF."""
    splitter = LineSplitter(100)
    assert splitter.feed(b"\r 10%") == []
    assert splitter.feed(b"\r 20%\r 30%") == [" 10%", " 20%"]
    assert splitter.feed(b"\ndone\r\n\nend\n") == [" 30%", "done", "", "end"]


def test_an_endless_line_is_cut_and_its_rest_thrown_away():
    """Memory is bounded by the cap, and the next line is whole again."""
    chunks = [b"x" * 50] * 10 + [b"\nnext\n"]
    assert split(chunks, cap=64) == ["x" * 64, "next"]


def test_a_last_line_without_an_end_is_not_lost():
    """A crash may leave half a line, and it is often the one that tells why."""
    assert split([b"one\ntw", b"o"]) == ["one", "two"]


def test_broken_utf8_is_replaced_not_fatal():
    """Logs carry anything."""
    assert split([b"\xff\xfe ok\n"]) == ["\ufffd\ufffd ok"]
