"""An upload on disk, and gone when its request is over."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message

from server.audio.sound.spool import PREFIX, FilePart, Spool, pieces
from server.base.errors import (
    ClientClosed,
    InsufficientStorage,
    InvalidRequest,
    PayloadTooLarge,
    SparkError,
    Unavailable,
    UnsupportedMediaType,
)
from server.store.sweep import sweep
from tests.audio.sound.forms import HEADERS, arriving, form, part
from tests.disks import disk

BODY = form(part("file", b"RIFF" * 5000, "a.wav"), part("model", b"whisper-1"))
LIMIT = 10 << 20


def lying(tmp: Path) -> list[str]:
    return [entry.name for entry in tmp.iterdir()]


def content(file: FilePart) -> bytes:
    return file.path.read_bytes()[file.offset :][: file.length]


async def never() -> AsyncIterator[bytes]:
    yield BODY[:100]
    await asyncio.get_running_loop().create_future()


async def test_a_form_is_on_disk_and_then_gone(tmp_path: Path) -> None:
    """Fields are read, a file is a place in the body, nothing is left afterwards."""
    async with Spool(tmp_path, LIMIT) as spool:
        read = await spool.form(HEADERS, arriving(BODY, 10, 1000))
        assert read.every("model") == ("whisper-1",)
        (file,) = read.files
        assert content(file) == b"RIFF" * 5000
        assert spool.size == len(BODY)
        (spool.folder / "sound.pcm").write_bytes(b"what was made of it")
        assert spool.folder.stat().st_mode & 0o077 == 0
        assert file.path.stat().st_mode & 0o077 == 0
    assert lying(tmp_path) == []


async def test_a_body_may_be_the_recording_itself(tmp_path: Path) -> None:
    """Whole, from its first byte to its last."""
    async with Spool(tmp_path, LIMIT) as spool:
        file = await spool.recording([(b"content-type", b"audio/wav")], arriving(b"RIFF", 1))
        assert content(file) == b"RIFF"


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 1 << 20), st.lists(st.integers(0, 1 << 19), max_size=5))
async def test_the_body_is_given_out_as_it_came(
    tmp_path: Path, length: int, sizes: list[int]
) -> None:
    """To the byte, as chunks and as messages, as often as it is asked for."""
    body = bytes(length % 251 for _ in range(3)) * (length // 3)
    rest: list[Message] = [{"type": "http.disconnect"}]

    async def receive() -> Message:
        return rest[0]

    async with Spool(tmp_path, LIMIT) as spool:
        await spool.recording([], arriving(body, *sizes))
        for _ in range(2):
            assert b"".join([some async for some in spool.chunks()]) == body
            replayed = spool.replayed(receive)
            assert b"".join([some async for some in pieces(replayed, LIMIT)]) == body
            assert await replayed() == {"type": "http.disconnect"}


async def test_a_piece_is_not_lost_when_its_reader_is_called_away(tmp_path: Path) -> None:
    """Who listens for a caller that leaves is interrupted in the middle of a message."""
    async with Spool(tmp_path, LIMIT) as spool:
        await spool.recording([], arriving(b"x" * 300_000))

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        replayed = spool.replayed(receive)
        asking = asyncio.ensure_future(replayed())
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert len(b"".join([some async for some in pieces(replayed, LIMIT)])) == 300_000


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (BODY[:-20], InvalidRequest),
        (b"no form", InvalidRequest),
        (form(*[part("file", b"x", "a")] * 3), InvalidRequest),
        (form(part("prompt", b"x" * (1 << 17))), InvalidRequest),
        (form(part("file", b"x" * (11 << 20), "a.wav")), PayloadTooLarge),
    ],
)
async def test_nothing_is_left_of_what_was_refused(
    tmp_path: Path, body: bytes, kind: type[SparkError]
) -> None:
    """A broken form, too many files, a field that is too large, a body that is too large."""
    with pytest.raises(kind):
        async with Spool(tmp_path, LIMIT) as spool:
            await spool.form(HEADERS, arriving(body, *[1 << 18] * 50))
    assert lying(tmp_path) == []


async def test_what_is_declared_too_large_is_not_read(tmp_path: Path) -> None:
    """The header tells it."""
    headers = [*HEADERS, (b"content-length", b"%d" % (LIMIT + 1))]
    with pytest.raises(PayloadTooLarge):
        async with Spool(tmp_path, LIMIT) as spool:
            await spool.form(headers, never())
    assert lying(tmp_path) == []


async def test_no_form_is_named_as_such(tmp_path: Path) -> None:
    """415, and a boundary that is none is 400."""
    for value, kind in (
        (b"audio/wav", UnsupportedMediaType),
        (b"multipart/form-data", InvalidRequest),
    ):
        with pytest.raises(kind):
            async with Spool(tmp_path, LIMIT) as spool:
                await spool.form([(b"content-type", value)], arriving(BODY))


async def test_nothing_is_left_when_the_caller_leaves(tmp_path: Path) -> None:
    """In the middle of its upload."""
    messages: list[Message] = [
        {"type": "http.request", "body": BODY[:100], "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    with pytest.raises(ClientClosed):
        async with Spool(tmp_path, LIMIT) as spool:
            await spool.form(HEADERS, pieces(receive, LIMIT))
    assert lying(tmp_path) == []


async def test_nothing_is_left_of_an_upload_that_stopped(tmp_path: Path) -> None:
    """A caller may not hold a place on the disk by sending nothing."""
    with pytest.raises(InvalidRequest, match="Nothing more of the upload came"):
        async with Spool(tmp_path, LIMIT, idle_seconds=0.01) as spool:
            await spool.form(HEADERS, never())
    assert lying(tmp_path) == []


async def test_nothing_is_left_when_the_request_is_cancelled(tmp_path: Path) -> None:
    """While it comes, and once more while it is being removed."""
    began = asyncio.Event()

    async def upload() -> None:
        async with Spool(tmp_path, LIMIT) as spool:
            began.set()
            await spool.form(HEADERS, never())

    for times in (1, 2):
        began.clear()
        task = asyncio.create_task(upload())
        await began.wait()
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.get_running_loop().shutdown_default_executor()
    assert lying(tmp_path) == []


async def test_a_full_disk_is_507_and_nothing_is_left() -> None:
    """Whether it is full at once, or fills up while the upload comes."""
    with disk(1 << 20) as small:
        with small.full(), pytest.raises(InsufficientStorage, match="The upload could not be sav"):
            async with Spool(small.path, LIMIT, spare_bytes=0) as spool:
                await spool.form(HEADERS, arriving(BODY))
        assert lying(small.path) == []


async def test_the_last_of_a_disk_is_left_to_others(tmp_path: Path) -> None:
    """The database and the settings lie on it too."""
    with pytest.raises(InsufficientStorage, match="almost full"):
        async with Spool(tmp_path, LIMIT, spare_bytes=1 << 60) as spool:
            await spool.form(HEADERS, arriving(BODY))
    assert lying(tmp_path) == []


async def test_a_body_that_vanished_is_not_taken_for_a_shorter_one(tmp_path: Path) -> None:
    """Half an upload must not look like a whole one."""
    async with Spool(tmp_path, LIMIT) as spool:
        file = await spool.recording([], arriving(b"x" * 100))
        file.path.write_bytes(b"x" * 50)
        with pytest.raises(Unavailable):
            [some async for some in spool.chunks()]


async def test_what_a_crash_leaves_is_swept_at_the_next_start(tmp_path: Path) -> None:
    """Its folder lies where the start sweeps."""
    spool = await Spool(tmp_path, LIMIT).__aenter__()
    await spool.form(HEADERS, arriving(BODY))
    assert [name.startswith(PREFIX) for name in lying(tmp_path)] == [True]
    assert sweep(tmp_path).removed == 1
    assert lying(tmp_path) == []
    await spool.__aexit__(None, None, None)
