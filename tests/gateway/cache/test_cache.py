"""Answers that are kept: what is, for whom, where it lies, and what happens when the disk fails."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.base.errors import ClientClosed
from server.config.gateway import Gateway
from server.gateway.cache.model import Kept, Key, mark
from server.gateway.cache.service import LONGEST_ANSWER, DiskCache
from server.gateway.cache.shelf import PART, SUFFIX, Shelf
from server.gateway.model import Caller, Operation, Route
from server.gateway.wire import Header
from tests.disks import disk
from tests.gateway.cache.test_form import form

EMBED = Operation("/v1/embeddings")
HEAR = Operation("/v1/audio/transcriptions", ("asr",), "form")
ROUTE = Route("kind:embeddings", "minilm")
LAPTOP = Caller("laptop", "192.0.2.7", key_id="key-1")
PHONE = Caller("phone", "192.0.2.8", key_id="key-2")
JSON: list[Header] = [(b"content-type", b"application/json")]
BODY = b'{"model": "minilm", "input": ["a", "b"]}'
ANSWER = Kept(200, ((b"content-type", b"application/json"),), b'{"data": []}', 0.0)


class Wall:
    """Wall seconds, set by hand."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


class House:
    """A cache over a folder, its settings and its clock."""

    def __init__(self, folder: Path, megabytes: int = 1) -> None:
        self.folder = folder / "cache"
        self.spools = folder / "tmp"
        self.spools.mkdir(exist_ok=True)
        self.settings = Gateway(cache_mb=megabytes, cache_seconds=3600)
        self.identity = "http://192.0.2.1:8002 minilm"
        self.wall = Wall()
        self.cache = self.again()

    def again(self) -> DiskCache:
        """As after a restart."""
        return DiskCache(
            self.folder,
            self.spools,
            settings=lambda: self.settings,
            identity=lambda _route: self.identity,
            now=self.wall,
        )

    def key(self, body: bytes = BODY, caller: Caller = LAPTOP, **fields: Any) -> Key | None:
        headers = fields.get("headers", JSON)
        return self.cache.key(EMBED, fields.get("route", ROUTE), caller, headers, body)

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []

    async def keep(self, body: bytes = BODY, answer: bytes = ANSWER.body) -> Key | None:
        key = self.key(body)
        recording = self.cache.record(key, 200, list(ANSWER.headers))
        recording.feed(answer)
        await recording.keep()
        return key


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


# ---- what is one request


async def test_an_answer_is_found_again_with_its_age(house: House) -> None:
    """Byte for byte, with its type; also after a restart."""
    assert await house.cache.lookup(house.key()) is None
    key = await house.keep()
    house.wall.seconds += 90
    for cache in (house.cache, house.again()):
        kept = await cache.lookup(key)
        assert kept == replace(ANSWER, age=90.0)
    assert mark("hit", 90.4) == [(b"x-spark-cache", b"hit"), (b"age", b"90")]


def test_json_that_means_the_same_is_one_request(house: House) -> None:
    """Order and white space do not matter, nor who is named as user."""
    same = house.key(b'{"input":["a","b"],\n"model":"minilm","user":"anna"}')
    assert same == house.key()


@pytest.mark.parametrize(
    "fields",
    [
        {"body": BODY.replace(b'"b"', b'"c"')},
        {"body": BODY.replace(b'"b"', b'"b", "b"')},
        {"body": b'{"model": "minilm", "input": ["a", "b"], "dimensions": 64}'},
        {"route": Route("kind:embeddings", "other")},
        {"route": Route("service:second", "minilm")},
        {"route": Route("kind:embeddings", "minilm", params={"dimensions": 64})},
        {"headers": [*JSON, (b"accept", b"application/octet-stream")]},
    ],
)
def test_what_changes_an_answer_changes_the_key(house: House, fields: dict[str, Any]) -> None:
    """Content, model, pool, variant, format."""
    assert house.key(**fields) not in {None, house.key()}


def test_another_upstream_gives_another_answer(house: House) -> None:
    """A service that moved or was given another model."""
    before = house.key()
    house.identity = "http://192.0.2.1:8002 bge-m3"
    assert house.key() != before


def test_vectors_are_shared_and_transcriptions_are_not(house: House) -> None:
    """A hit on a recording would tell that somebody else had it."""
    assert house.key(caller=PHONE) == house.key(caller=LAPTOP)
    keys = set()
    for caller in (LAPTOP, PHONE, Caller("192.0.2.9", "192.0.2.9"), Caller("x", "192.0.2.10")):
        keys.add(house.cache.key(HEAR, ROUTE, caller, [], _Whole("same")))
    assert len(keys) == 4


@pytest.mark.parametrize(
    "body",
    [b"not json", b"[1]", b'{"model": "m", "input": "a", "stream": true}', b""],
)
def test_what_cannot_be_kept_has_no_key(house: House, body: bytes) -> None:
    """Then nothing is looked up and nothing recorded."""
    assert house.key(body) is None


async def test_a_caller_may_want_a_new_answer_or_none_kept(house: House) -> None:
    """`no-cache` looks nothing up and keeps the new one; `no-store` has nothing to do with it."""
    await house.keep()
    fresh = house.key(headers=[*JSON, (b"cache-control", b"max-age=0, No-Cache")])
    assert fresh is not None
    assert await house.cache.lookup(fresh) is None
    assert fresh.digest == getattr(house.key(), "digest", None)
    quiet: list[Header] = [*JSON, (b"cache-control", b"no-store")]
    assert not house.cache.covers(EMBED, quiet)
    assert house.key(headers=quiet) is None


def test_other_routes_and_a_cache_that_is_off_are_passed_by(tmp_path: Path) -> None:
    """A chat is never the same twice."""
    assert not House(tmp_path).cache.covers(Operation("/v1/chat/completions"), JSON)
    off = House(tmp_path, megabytes=0)
    assert not off.cache.on
    assert off.key() is None


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (500, [(b"content-type", b"application/json")]),
        (206, []),
        (200, [(b"Content-Type", b"text/event-stream; charset=utf-8")]),
        (200, [(b"cache-control", b"private")]),
        (200, [(b"Cache-Control", b"no-store")]),
    ],
)
async def test_only_a_whole_good_answer_is_kept(
    house: House, status: int, headers: list[Header]
) -> None:
    """No error, no stream, nothing that its upstream forbids to keep."""
    recording = house.cache.record(house.key(), status, headers)
    recording.feed(b"x")
    await recording.keep()
    assert not house.files()


async def test_an_answer_that_is_too_long_is_let_go(house: House) -> None:
    """While it is relayed, so that memory is bounded."""
    recording = house.cache.record(house.key(), 200, [])
    for _ in range(LONGEST_ANSWER // (1 << 20) + 1):
        recording.feed(bytes(1 << 20))
    await recording.keep()
    assert not house.files()


async def test_an_old_answer_is_not_given(house: House) -> None:
    """It is thrown away when it is found."""
    key = await house.keep()
    house.wall.seconds += 3601
    assert await house.cache.lookup(key) is None
    assert not house.files()


# ---- the shelf


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 900), st.booleans()), max_size=40),
)
@settings(max_examples=60, deadline=None)
def test_the_shelf_never_holds_more_than_its_limit(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, bool]]
) -> None:
    """Whatever is put and asked for; what was used last is there when it fits at all."""
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    shelf.open()
    for number, size, look in steps:
        name = f"{number:064}"
        if look:
            shelf.get(name, 0.0, 1.0)
        else:
            fits = shelf.put(name, replace(ANSWER, body=bytes(size)), 0.0, 1500)
            assert (shelf.get(name, 0.0, 1.0) is not None) == fits or not fits
        on_disk = sum(path.stat().st_size for path in shelf._folder.iterdir())
        assert on_disk == shelf.total <= 1500


async def test_what_was_unused_longest_goes_first(house: House) -> None:
    """A look is a use, and the order outlives a restart."""
    house.settings = Gateway(cache_mb=1, cache_seconds=3600)
    body = bytes(400_000)
    keys = []
    for name in ("one", "two"):
        keys.append(await house.keep(b'{"input": "%s"}' % name.encode(), body))
        house.wall.seconds += 1
    first, second = keys
    assert await house.cache.lookup(first) is not None
    house.cache = house.again()
    await house.cache.start()
    third = await house.keep(b'{"input": "three"}', body)
    assert await house.cache.lookup(first) is not None
    assert await house.cache.lookup(third) is not None
    assert await house.cache.lookup(second) is None


async def test_a_smaller_limit_is_taken_at_the_next_start(house: House) -> None:
    """Also when the cache was switched off."""
    await house.keep()
    house.settings = Gateway(cache_mb=0)
    await house.again().start()
    assert not house.files()


@pytest.mark.parametrize("harm", ["cut", "changed", "empty", "gone"])
async def test_a_file_that_was_harmed_is_a_miss(house: House, harm: str) -> None:
    """It is thrown away; the next answer takes its place."""
    key = await house.keep()
    (path,) = house.folder.iterdir()
    raw = path.read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut": raw[:-3], "changed": raw[:-1] + b"x", "empty": b""}[harm])
    assert await house.cache.lookup(key) is None
    assert not house.files()
    await house.keep()
    assert await house.cache.lookup(key) is not None


async def test_leftovers_of_a_crash_are_removed_at_the_start(house: House) -> None:
    """Half-written files go, answers and what is not ours stay."""
    key = await house.keep()
    (house.folder / f"tmp123{PART}").write_bytes(b"half")
    (house.folder / "notes.txt").write_text("mine")
    cache = house.again()
    await cache.start()
    assert key is not None
    assert house.files() == sorted([key.digest + SUFFIX, "notes.txt"])
    assert await cache.lookup(key) is not None


async def test_files_are_for_our_user_alone(house: House) -> None:
    """A transcription is what somebody said."""
    await house.keep()
    (path,) = house.folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert house.folder.stat().st_mode & 0o777 == 0o700


async def test_a_full_disk_keeps_nothing_and_breaks_nothing() -> None:
    """No error, no half file; with room again it keeps again."""
    with disk() as small:
        small.path.chmod(0o777)
        house = House(small.path)
        await house.keep(b'{"input": "before"}')
        with small.full():
            await house.keep(answer=bytes(100_000))
            assert await house.cache.lookup(house.key()) is None
        assert [name for name in house.files() if not name.endswith(SUFFIX)] == []
        assert await house.cache.lookup(house.key(b'{"input": "before"}')) is not None
        key = await house.keep()
        assert await house.cache.lookup(key) is not None


# ---- uploads


class _Whole:
    """A spool that was read, as far as a key needs it."""

    length = None

    def __init__(self, digest: str) -> None:
        self._digest = digest

    def digest(self) -> str | None:
        return self._digest

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""

    async def fill(self) -> None:
        """It is."""

    async def chunks(self) -> AsyncIterator[bytes]:
        yield b""


async def pieces(body: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


def told(body: bytes, boundary: str = "one") -> list[Header]:
    return [
        (b"content-type", f"multipart/form-data; boundary={boundary}".encode()),
        (b"content-length", str(len(body)).encode()),
    ]


async def test_an_upload_comes_back_as_it_was_and_leaves_no_file(house: House) -> None:
    """Twice, when it is asked for twice; the name is gone while it is used."""
    body = form(model="whisper-1", sound=os.urandom(300_000))
    spool = house.cache.spool(told(body), pieces(body))
    assert spool is not None
    async with spool:
        await spool.fill()
        assert spool.length == len(body)
        assert not list(house.spools.iterdir())
        for _ in range(2):
            assert b"".join([chunk async for chunk in spool.chunks()]) == body
        key = house.cache.key(HEAR, ROUTE, LAPTOP, told(body), spool)
    other = form("two", model="whisper-1", sound=body[body.index(b"wav\r\n\r\n") + 7 : -11])
    again = house.cache.spool(told(other, "two"), pieces(other, 77))
    assert again is not None
    async with again:
        await again.fill()
        assert house.cache.key(HEAR, ROUTE, LAPTOP, told(other, "two"), again) == key


@pytest.mark.parametrize(
    "values", [{"temperature": "0.4"}, {"stream": "true"}, {"temperature": "hot"}]
)
async def test_what_may_differ_the_next_time_is_not_kept(
    house: House, values: dict[str, Any]
) -> None:
    """Chance and streams; a temperature of 0 is none."""
    for said, keeps in ((values, False), ({"temperature": "0.0", "stream": "false"}, True)):
        body = form(**said)
        spool = house.cache.spool(told(body), pieces(body))
        assert spool is not None
        async with spool:
            await spool.fill()
            key = house.cache.key(HEAR, ROUTE, LAPTOP, told(body), spool)
            assert (key is not None) == keeps


async def test_uploads_take_no_more_disk_than_the_cache_may(house: House) -> None:
    """Those under way share the bound; one whose length is not told streams as always."""
    large = told(bytes(700_000))
    first = house.cache.spool(large, pieces(b""))
    assert first is not None
    assert house.cache.spool(large, pieces(b"")) is None
    async with first:
        pass
    assert house.cache.spool(large, pieces(b"")) is not None
    assert house.cache.spool(large[:1], pieces(b"")) is None
    assert house.cache.spool([*JSON, large[1]], pieces(b"")) is None


async def test_a_caller_that_leaves_in_the_middle_leaves_nothing(house: House) -> None:
    """What the source raises is passed on; the room is free again."""

    async def source() -> AsyncIterator[bytes]:
        yield form()[:3000]
        raise ClientClosed("The client left.")

    spool = house.cache.spool(told(bytes(900_000)), source())
    assert spool is not None
    with pytest.raises(ClientClosed):
        async with spool:
            await spool.fill()
    assert not list(house.spools.iterdir())
    assert house.cache.spool(told(bytes(900_000)), pieces(b"")) is not None


async def test_a_disk_that_fills_up_does_not_stop_an_upload() -> None:
    """What is on disk, what was in hand, what is still to come: whole, in order, and not kept."""
    with disk(2 << 20) as small:
        small.path.chmod(0o777)
        house = House(small.path, megabytes=64)
        body = form(sound=os.urandom(5 << 20))
        spool = house.cache.spool(told(body), pieces(body, 100_000))
        assert spool is not None
        async with spool:
            with nullcontext() if small.real else small.full():
                await spool.fill()
            assert spool.length is None
            assert house.cache.key(HEAR, ROUTE, LAPTOP, told(body), spool) is None
            assert b"".join([chunk async for chunk in spool.chunks()]) == body


async def test_many_at_once_do_not_disturb_each_other(house: House) -> None:
    """The same key and others, written and read together."""
    bodies = [orjson.dumps({"input": str(number % 5)}) for number in range(30)]
    await asyncio.gather(*(house.keep(body, body) for body in bodies))
    for body in bodies:
        kept = await house.cache.lookup(house.key(body))
        assert kept is not None
        assert kept.body == body
    assert len(house.files()) == 5
