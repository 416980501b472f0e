"""Weights: put together from packages, checked before each use, whole or not there."""

import hashlib
import importlib.metadata
import io
import tarfile
from pathlib import Path

import pytest

from server.cli.main import main
from server.engine.weights import pinned
from server.engine.weights.pinned import NPM, PYTHON, Part, Weight
from server.engine.weights.shelf import MissingWeights, Shelf

CLICK = importlib.metadata.version("click")
CLICK_FILES = ("click/__init__.py", "click/core.py")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def whole() -> bytes:
    dist = importlib.metadata.distribution("click")
    return b"".join(Path(str(dist.locate_file(name))).read_bytes() for name in CLICK_FILES)


def weight(sha256: str, *, version: str = CLICK, source: str = PYTHON) -> Weight:
    parts = tuple(Part(source, "click", version, name) for name in CLICK_FILES)
    return Weight("made", "made.bin", sha256, len(whole()), parts)


def test_the_parts_are_put_together_once(tmp_path: Path) -> None:
    """The second time the file is only checked."""
    data = whole()
    path = Shelf(tmp_path).path(weight(digest(data)))
    assert path.read_bytes() == data
    before = path.stat().st_mtime_ns
    assert Shelf(tmp_path).path(weight(digest(data))).stat().st_mtime_ns == before


def test_a_file_that_was_changed_is_made_anew(tmp_path: Path) -> None:
    """What lies in a cache folder is not believed."""
    data = whole()
    path = Shelf(tmp_path).path(weight(digest(data)))
    path.write_bytes(data[:-1] + b"!")
    assert Shelf(tmp_path).path(weight(digest(data))).read_bytes() == data


def test_other_weights_than_the_pinned_ones_are_refused(tmp_path: Path) -> None:
    """And nothing is left of them."""
    with pytest.raises(MissingWeights, match="not the pinned ones"):
        Shelf(tmp_path).path(weight("0" * 64))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_with_what_to_do(tmp_path: Path) -> None:
    """Another version is no substitute."""
    with pytest.raises(MissingWeights, match=f"click 0.0.1 is not installed .found: {CLICK}") as no:
        Shelf(tmp_path).path(weight("0" * 64, version="0.0.1"))
    assert no.value.advice == pinned.INSTALL


def test_voices_come_out_of_an_npm_archive(tmp_path: Path) -> None:
    """In the order of the parts, whatever that of the archive; links in it are not followed."""
    place = tmp_path / f"click-{CLICK}.tgz"
    with tarfile.open(place, "w:gz") as archive:
        for name in reversed(CLICK_FILES):
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    data = "".join(CLICK_FILES).encode()
    assert Shelf(tmp_path).path(weight(digest(data), source=NPM)).read_bytes() == data
    with tarfile.open(place, "w:gz") as archive:
        for name in CLICK_FILES:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
    with pytest.raises(MissingWeights, match=r"has no click/__init__\.py"):
        Shelf(tmp_path).path(weight("0" * 64, source=NPM))


def test_two_parts_of_a_model_lie_in_one_folder(tmp_path: Path) -> None:
    """Under the names that the model asks for."""
    one = weight(digest(whole()))
    folder = Shelf(tmp_path).directory("model", (one,))
    assert (folder / "made.bin").read_bytes() == whole()


def test_every_weight_is_pinned() -> None:
    """By a whole SHA-256, a version and a size."""
    known = (*pinned.WHISPER, pinned.KOKORO, pinned.STYLES, pinned.SPEAKER,
             *pinned.AMERICAN, *pinned.BRITISH)  # fmt: skip
    for one in known:
        assert len(bytes.fromhex(one.sha256)) == 32
        assert one.size > 1000
        assert all(part.version[0].isdigit() for part in one.parts)
    assert len({one.name for one in known}) == len(known)


def test_the_command_says_what_to_fetch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, and no file that looks like an answer."""
    out = tmp_path / "a.wav"
    shelf = tmp_path / "shelf"
    assert main(["engine", "say", "hi", "--output", str(out), "--weights", str(shelf)]) == 1
    assert "Fetch it once: spark-control engine fetch" in capsys.readouterr().err
    assert not out.exists()
