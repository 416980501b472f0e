"""`put`: the whole file or none, whatever happens on the way."""

import asyncio
import hashlib

import pytest

from server.base.errors import HostUnreachable, InvalidValue, RemoteCommandFailed
from tests.ssh.test_quote import NASTY


def names_in(directory):
    return sorted(path.name for path in directory.iterdir())


NAMES = sorted({name.replace("/", "_").strip(".") for name in NASTY} - {""})


async def test_a_file_arrives_with_its_bytes_and_mode(shell, side):
    """More than a window, every byte value; 0600 unless asked otherwise."""
    data = bytes(range(256)) * 10_000
    await shell.put(str(side.home / "file"), data, deadline=20)
    assert (side.home / "file").read_bytes() == data
    assert (side.home / "file").stat().st_mode & 0o777 == 0o600
    await shell.put(str(side.home / "file"), b"", mode=0o755, deadline=20)
    assert (side.home / "file").read_bytes() == b""
    assert (side.home / "file").stat().st_mode & 0o777 == 0o755
    assert names_in(side.home) == ["file"]


async def test_any_name_is_only_a_name(shell, side):
    """The corpus as file names in the home directory."""
    for name in NAMES:
        await shell.put(name, name.encode(), deadline=20)
    assert names_in(side.home) == NAMES
    for name in NAMES:
        assert (side.home / name).read_bytes() == name.encode()


async def test_nul_in_a_path_is_refused(shell, side):
    """No file system can hold it."""
    with pytest.raises(InvalidValue):
        await shell.put("a\0b", b"x", deadline=5)


async def test_data_may_come_in_pieces(shell, side):
    """Nothing of user size is held whole: the pieces go out as they come."""
    digest = hashlib.sha256()

    async def pieces():
        for number in range(200):
            piece = bytes([number]) * 20_000
            digest.update(piece)
            yield piece

    await shell.put(str(side.home / "file"), pieces(), deadline=30)
    assert hashlib.sha256((side.home / "file").read_bytes()).hexdigest() == digest.hexdigest()


async def test_a_link_lost_half_way_leaves_the_old_file(shell, side):
    """The end of a lost connection looks to the far side like the end of the data."""
    path = side.home / "file"
    path.write_bytes(b"old")

    async def pieces():
        yield b"new" * 1000
        await side.cut()
        yield b"never"

    with pytest.raises(HostUnreachable):
        await shell.put(str(path), pieces(), deadline=20)
    assert path.read_bytes() == b"old"


async def test_a_cancel_half_way_leaves_the_old_file_and_no_litter(shell, side):
    """Also a source that fails: its error comes out, the temporary file is gone."""
    path = side.home / "file"
    path.write_bytes(b"old")

    async def pieces():
        yield b"new" * 1000
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="source broke"):
        await shell.put(str(path), pieces(), deadline=20)

    waiting = asyncio.Event()

    async def stuck():
        yield b"new" * 1000
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(shell.put(str(path), stuck(), deadline=20))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert path.read_bytes() == b"old"
    assert names_in(side.home) == ["file"]


async def test_a_directory_that_is_missing_is_told(shell, side):
    """The message has the path and the host."""
    with pytest.raises(RemoteCommandFailed, match="there is no directory") as told:
        await shell.put(str(side.home / "none" / "file"), b"x", deadline=10)
    assert "none/file" in told.value.message
    assert "spark-1" in told.value.message


async def test_a_directory_in_the_way_is_not_filled(shell, side):
    """`mv` into a directory of that name would hide the file inside it."""
    (side.home / "file").mkdir()
    with pytest.raises(RemoteCommandFailed):
        await shell.put(str(side.home / "file"), b"x", deadline=10)
    assert names_in(side.home / "file") == []
    assert names_in(side.home) == ["file"]
