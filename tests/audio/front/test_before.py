"""What is refused before a recording is taken."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from yarl import URL

from server.audio.front.dual import PATH as LABEL_MERGE
from server.audio.sound.ear import Ear
from server.gateway.keys.model import Draft
from server.gateway.limits.model import Limits
from tests.audio.front.made import TRANSCRIBE, Room, room, wav
from tests.audio.front.test_hearing import engine
from tests.gateway.keys.made import House, bearer, house
from tests.gateway.made import catalog

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def told(here: Room, path: str, key: str, *more: str) -> tuple[int, bytes]:
    """What is answered to the head of a request whose body never comes."""
    url = URL(here.running.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = (
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {key}",
        "Content-Type: multipart/form-data; boundary=x",
        "Content-Length: 1000000",
        *more,
    )
    try:
        writer.write("\r\n".join([*head, "", ""]).encode())
        async with asyncio.timeout(30):
            got = await reader.readuntil(b"\r\n\r\n")
            length = int(got.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return int(got.split(b" ", 2)[1]), await reader.readexactly(length)
    finally:
        writer.close()


@asynccontextmanager
async def guarded(ear: Ear, data: Path) -> AsyncIterator[tuple[House, Room]]:
    """Real keys before a service that answers to its own name and to `whisper`."""
    (data / "tmp").mkdir()
    async with (
        house(data) as one,
        room(
            ear,
            data / "tmp",
            asr=engine(),
            services={"models": ("whisper",)},
            gatekeeper=one.gate,
            catalog=catalog(),
        ) as here,
    ):
        yield one, here


@pytest.mark.parametrize("path", [TRANSCRIBE, "/v1/audio/diarize", LABEL_MERGE])
async def test_who_is_over_its_limit_need_not_send_a_recording(
    ear: Ear, tmp_path: Path, path: str
) -> None:
    """429 at once; the look itself counts nothing."""
    async with guarded(ear, tmp_path) as (one, here):
        minted = await one.keys.create(Draft("k", limits=Limits(1)))
        here.running.session.headers.update(dict(asked(minted.text)))
        assert (await here.ask(wav(2))).status == 200
        status, body = await told(here, path, minted.text)
        assert status == 429
        assert b"1 requests a minute" in body


@pytest.mark.parametrize(
    ("models", "more"),
    [
        (("tiny",), ()),
        (("gone", "voices"), ()),
        (("ears",), ("X-Model: other",)),
        (("voices",), ("X-Model: whisper",)),
    ],
)
@pytest.mark.parametrize("path", [TRANSCRIBE, LABEL_MERGE])
async def test_who_may_ask_nobody_need_not_send_a_recording(
    ear: Ear, tmp_path: Path, path: str, models: tuple[str, ...], more: Sequence[str]
) -> None:
    """Nor who names a model that it may not ask."""
    async with guarded(ear, tmp_path) as (one, here):
        minted = await one.keys.create(Draft("k", models=models))
        status, body = await told(here, path, minted.text, *more)
        assert (status, b"model_not_found" in body) == (404, True)


@pytest.mark.parametrize(
    ("models", "fields"),
    [(("ears",), {"model": "ears"}), (("whisper",), {"model": "whisper"}), (("asr",), {})],
)
async def test_who_may_ask_somebody_is_heard(
    ear: Ear, tmp_path: Path, models: tuple[str, ...], fields: dict[str, str]
) -> None:
    """By the name of a service, or of its kind, also where the form alone tells which."""
    async with guarded(ear, tmp_path) as (one, here):
        minted = await one.keys.create(Draft("k", models=models))
        here.running.session.headers.update(dict(asked(minted.text)))
        assert (await here.ask(wav(2), **fields)).status == 200


def asked(key: str) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode()) for name, value in bearer(key)]
