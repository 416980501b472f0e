"""One ear for the tests of a module: its process takes a second to start."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from server.audio.sound.ear import Ear
from server.audio.sound.model import Channels, Decoded, Sound

Examine = Callable[..., Awaitable[Sound]]
Decode = Callable[..., Awaitable[Decoded]]

BEFORE = b"--boundary\r\n\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ear() -> AsyncIterator[Ear]:
    ear = Ear()
    try:
        yield ear
    finally:
        await ear.close()


@pytest.fixture
def body(tmp_path: Path) -> Callable[[bytes], Path]:
    """A recording as it lies in an upload: something before it, something behind it."""

    def written(recording: bytes) -> Path:
        path = tmp_path / "body"
        path.write_bytes(BEFORE + recording + b"\r\n--boundary--")
        return path

    return written


@pytest.fixture
def examine(ear: Ear, body: Callable[[bytes], Path]) -> Examine:
    async def examined(recording: bytes, cap: float = 7200.0) -> Sound:
        return await ear.examine(body(recording), len(BEFORE), len(recording), cap)

    return examined


@pytest.fixture
def decode(ear: Ear, body: Callable[[bytes], Path], tmp_path: Path) -> Decode:
    async def decoded(
        recording: bytes, channels: Channels = "mixed", most: float = 7200.0
    ) -> Decoded:
        return await ear.decode(
            body(recording),
            len(BEFORE),
            len(recording),
            folder=tmp_path,
            channels=channels,
            most_seconds=most,
        )

    return decoded
