"""What a crash left is gone after the next start, and nothing else is."""

from pathlib import Path

from server.store.sweep import sweep
from tests.disks import disk


def test_the_temporary_directory_is_emptied_and_kept(tmp_path: Path) -> None:
    """Files, directories and links in it go; what links point to stays."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    tmp = tmp_path / "tmp"
    (tmp / "deep" / "er").mkdir(parents=True)
    (tmp / "deep" / "er" / "upload.wav").write_bytes(b"x")
    (tmp / "upload.wav").write_bytes(b"x")
    (tmp / "link").symlink_to(outside)
    (tmp / "dangling").symlink_to(tmp_path / "nowhere")
    swept = sweep(tmp)
    assert (swept.removed, swept.problems) == (4, ())
    assert list(tmp.iterdir()) == []
    assert (outside / "precious").exists()


def test_half_written_small_files_are_removed(tmp_path: Path) -> None:
    """The temporary files beside the files that are saved atomically."""
    config = tmp_path / "config.yaml"
    config.write_text("x")
    (tmp_path / ".config.yaml.x1y2.part").write_text("half")
    swept = sweep(tmp_path / "no-tmp-yet", [config, tmp_path / "models.override.yaml"])
    assert (swept.removed, swept.problems) == (1, ())
    assert config.read_text() == "x"


def test_a_linked_directory_is_not_swept(tmp_path: Path) -> None:
    """What lies elsewhere may be somebody else's."""
    real = tmp_path / "real"
    real.mkdir()
    (real / "theirs").write_text("x")
    link = tmp_path / "tmp"
    link.symlink_to(real)
    swept = sweep(link)
    assert swept.removed == 0
    assert swept.problems == ("tmp is a link and is not swept",)
    assert (real / "theirs").exists()


def test_what_cannot_be_removed_is_told_and_stops_nothing() -> None:
    """A start is not refused because of rubbish."""
    with disk() as small:
        tmp = small.path / "tmp"
        tmp.mkdir(mode=0o755)
        (tmp / "upload.wav").write_bytes(b"x")
        tmp.chmod(0o555)
        with small.read_only():
            swept = sweep(tmp)
        assert swept.removed == 0
        assert swept.problems[0].startswith("upload.wav could not be removed: ")
        tmp.chmod(0o755)
