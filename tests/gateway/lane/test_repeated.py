"""A request whose head is the one before it, byte for byte, is not parsed again."""

import asyncio
import itertools

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.web.edge import Edge
from tests.gateway.lane.both import BODY, LAST, asked, post, sized
from tests.gateway.lane.test_phases import both

BODIES = [BODY, orjson.dumps({"model": "tiny", "n": 1}), BODY + b" ", b'{"model":"tiny"}']


async def _answer(writer: asyncio.StreamWriter) -> None:
    writer.write(sized(b'{"ok":1}'))


async def test_only_the_first_of_equal_heads_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each body goes to the engine as it came."""
    parsed = 0
    fed = Edge.on_headers_complete

    def counted(self: Edge) -> None:
        nonlocal parsed
        parsed += 1
        fed(self)

    monkeypatch.setattr(Edge, "on_headers_complete", counted)
    async with both(warm=1) as (far, near, _running):
        before = parsed
        for number, body in enumerate(BODIES):
            near.writer.write(post(body))
            (await far.came.get()).write(sized(b"%d" % number))
            await near.reader.readuntil(b"\r\n\r\n%d" % number)
        assert parsed - before <= 1
        near.writer.write(LAST)
        await near.rest()
        assert [heard.partition(b"\r\n\r\n")[2] for heard in far.heard[: len(BODIES)]] == BODIES


ODD = {
    "not JSON": post(b"{"),
    "another model": post(b'{"model":"nobody"}'),
    "its model twice": post(b'{"model":"tiny","model":"large"}'),
    "another path": post(path="/v1/embeddings"),
    "another head": post(BODY, b"x-more: 1"),
    "a key": post(BODY, b"authorization: Bearer sk-spark-0"),
    "two lengths": post(BODY, b"content-length: 1"),
    "chunks as well": post(BODY, b"transfer-encoding: chunked"),
    "a length that is none": post().replace(b"content-length: ", b"content-length: +"),
    "a tab before its length": post().replace(b"content-length: ", b"content-length:\t"),
    "an empty body": post(b""),
    "an empty line before it": b"\r\n" + post(),
    "HTTP/1.0": post().replace(b"HTTP/1.1", b"HTTP/1.0"),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_one_that_is_another_between_equal_ones_is_what_it_ever_was(odd: bytes) -> None:
    """With and without the lane: the same answers, the same told to the engine."""
    wire = [post(), post(), odd, post(), LAST]
    seen = [await _seen(wire, fast=fast) for fast in (True, False)]
    assert seen[0] == seen[1]


@given(st.lists(st.integers(1, 400), max_size=6))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
def test_where_it_is_cut_into_pieces_does_not_matter(cuts: list[int]) -> None:
    """Equal heads in one piece, in several, two in one."""
    whole = post() + post(BODIES[1]) + post() + post() + LAST
    places = sorted({0, len(whole), *(cut * len(whole) // 400 for cut in cuts)})
    wire = [whole[a:b] for a, b in itertools.pairwise(places)]
    seen = asyncio.run(_seen(wire, fast=True))
    assert seen == asyncio.run(_seen([whole], fast=False))


async def _seen(wire: list[bytes], *, fast: bool) -> object:
    seen = await asked(wire, _answer, fast=fast, lines=0, pause=0.01)
    return seen.answers, seen.heard
