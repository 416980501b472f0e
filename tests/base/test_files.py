"""Small files are replaced whole or not at all, and a disk that refuses says so in clear words."""

import errno
import multiprocessing
import stat
import threading
from pathlib import Path

import pytest

from server.base.errors import InsufficientStorage, SparkError, Unavailable
from server.base.files import atomic_write, locked, remove_leftovers, storage_error
from tests.disks import disk


def test_a_file_is_written_whole_with_its_mode(tmp_path: Path) -> None:
    """What is asked for is what is there, readable by us alone unless told otherwise."""
    path = tmp_path / "config.yaml"
    atomic_write(path, b"one")
    atomic_write(path, b"two")
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    atomic_write(path, b"three", mode=0o644)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.yaml"]


def test_a_linked_file_stays_a_link(tmp_path: Path) -> None:
    """A person who links the file to another place keeps the link."""
    real = tmp_path / "elsewhere.yaml"
    real.write_bytes(b"old")
    link = tmp_path / "config.yaml"
    link.symlink_to(real)
    atomic_write(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_a_full_disk_keeps_the_old_file_and_says_what_to_do() -> None:
    """507 with the file's name, the old content whole, no temporary file left, and it heals."""
    with disk() as small:
        path = small.path / "config.yaml"
        atomic_write(path, b"precious")
        with small.full():
            with pytest.raises(InsufficientStorage) as caught:
                atomic_write(path, bytes(100_000))
            assert path.read_bytes() == b"precious"
            assert not list(small.path.glob(".*"))
        assert "config.yaml" in caught.value.message
        assert "full" in caught.value.message
        assert str(small.path) not in caught.value.message
        assert caught.value.advice
        atomic_write(path, b"newer")
        assert path.read_bytes() == b"newer"


def test_a_read_only_disk_keeps_the_old_file_and_says_so() -> None:
    """503 with the file's name; the path of the server stays ours."""
    with disk() as small:
        path = small.path / "config.yaml"
        atomic_write(path, b"precious", mode=0o644)
        with small.read_only():
            with pytest.raises(Unavailable) as caught:
                atomic_write(path, b"x")
            with pytest.raises(Unavailable), locked(path):
                pass
            assert path.read_bytes() == b"precious"
        assert "config.yaml" in caught.value.message
        assert str(small.path) not in caught.value.message


@pytest.mark.parametrize(
    ("number", "kind", "word"),
    [
        (errno.ENOSPC, InsufficientStorage, "full"),
        (errno.EDQUOT, InsufficientStorage, "full"),
        (errno.EROFS, Unavailable, "read-only"),
        (errno.EACCES, Unavailable, "permission"),
        (errno.EBUSY, Unavailable, "mount point"),
        (errno.ENOENT, Unavailable, "missing"),
        (errno.EIO, Unavailable, "Input/output"),
        (None, Unavailable, "OSError"),
    ],
)
def test_every_refusal_of_a_disk_has_its_words(
    number: int | None, kind: type[SparkError], word: str
) -> None:
    """Cause and next step, for each way a disk can refuse."""
    error = OSError(number, "x") if number else OSError("x")
    told = storage_error("config.yaml", error)
    assert type(told) is kind
    assert word in told.message
    assert told.advice


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    """A directory removed under us is no traceback."""
    with pytest.raises(Unavailable, match=r"config\.yaml.*missing"):
        atomic_write(tmp_path / "gone" / "config.yaml", b"x")


def _count(path: str, times: int) -> None:
    for _ in range(times):
        with locked(Path(path)):
            file = Path(path)
            atomic_write(file, str(int(file.read_text()) + 1).encode())


def test_read_change_write_under_the_lock_loses_nothing(tmp_path: Path) -> None:
    """Two processes and two threads count together and every count is there."""
    path = tmp_path / "count"
    path.write_text("0")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_count, args=(str(path), 8)) for _ in range(2)]
    threads = [threading.Thread(target=_count, args=(str(path), 8)) for _ in range(2)]
    for worker in (*processes, *threads):
        worker.start()
    for worker in (*processes, *threads):
        worker.join()
    assert path.read_text() == "32"


def test_a_lock_held_elsewhere_ends_in_a_clear_error(tmp_path: Path) -> None:
    """Nobody waits for ever for a file."""
    path = tmp_path / "config.yaml"
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(path):
            held.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    try:
        with (
            pytest.raises(Unavailable, match=r"config\.yaml is being changed") as caught,
            locked(path, timeout=0),
        ):
            pass
        assert caught.value.retry_after
    finally:
        done.set()
        holder.join()


def test_what_a_crashed_writer_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    """Only temporary files of that very file go."""
    path = tmp_path / "config.yaml"
    path.write_text("x")
    (tmp_path / ".config.yaml.abc123.part").write_text("half")
    others = {".config.yaml.notes", ".models.override.yaml.abc.part", "config.yaml.part"}
    for name in others:
        (tmp_path / name).write_text("keep")
    assert remove_leftovers(path) == 1
    assert remove_leftovers(path) == 0
    assert {entry.name for entry in tmp_path.iterdir()} - {"config.yaml.lock"} == {
        "config.yaml",
        *others,
    }


def test_a_failed_rename_leaves_no_temporary_file(tmp_path: Path) -> None:
    """The temporary file is removed on every path."""
    target = tmp_path / "config.yaml"
    target.mkdir()
    with pytest.raises(Unavailable):
        atomic_write(target, b"x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.yaml"]
