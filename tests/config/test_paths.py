"""The data directory is ours alone, proven writable, and a bad one is told in clear words."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from server.base.errors import Conflict, InsufficientStorage, InvalidValue, Unavailable
from server.config.load import ConfigError, load
from server.config.paths import DataDir
from tests.disks import disk


def test_everything_has_its_place(tmp_path: Path) -> None:
    """The names users and backups rely on."""
    data = DataDir(tmp_path)
    assert data.config == tmp_path / "config.yaml"
    assert data.overrides == tmp_path / "models.override.yaml"
    assert data.ssh_key == tmp_path / "ssh" / "id_ed25519"
    assert data.known_hosts == tmp_path / "ssh" / "known_hosts"
    assert data.tmp == tmp_path / "tmp"
    assert data.database_url == f"sqlite+aiosqlite:///{tmp_path}/spark-control.db"


def test_the_environment_places_overrides_and_database_elsewhere(tmp_path: Path) -> None:
    """Empty values count as not set; common short forms of the URL are understood."""
    given = {
        "MODELS_OVERRIDES": "/etc/models.yaml",
        "SPARK_CONTROL_DATABASE_URL": "postgres://u@h/d",
    }
    data = DataDir(tmp_path, given)
    assert data.overrides == Path("/etc/models.yaml")
    assert data.database_url == "postgresql+asyncpg://u@h/d"
    empty = DataDir(tmp_path, dict.fromkeys(given, ""))
    assert empty.overrides.parent == tmp_path
    assert empty.database_url.startswith("sqlite+aiosqlite:///")


def test_a_wrong_database_url_is_told_without_repeating_it(tmp_path: Path) -> None:
    """It may hold a password. It is a mistake of the settings like any other."""
    environ = {"SPARK_CONTROL_DATABASE_URL": "mysql://u:s3cret@h/d", "SPARK_CONTROL_X__Y": "1"}
    with pytest.raises(InvalidValue, match="SPARK_CONTROL_DATABASE_URL") as caught:
        _ = DataDir(tmp_path, environ).database_url
    assert "s3cret" not in caught.value.message
    with pytest.raises(ConfigError, match="SPARK_CONTROL_DATABASE_URL: must begin") as config:
        load(tmp_path, environ)
    assert len(config.value.problems) == 2
    assert "s3cret" not in config.value.message


def test_a_data_directory_has_one_master(tmp_path: Path) -> None:
    """A second program on the same directory is refused; after the first has ended it is not."""
    data, same = DataDir(tmp_path), DataDir(tmp_path)
    with data.claim():
        with pytest.raises(Conflict, match="Another Spark Control") as caught, same.claim():
            pass
        assert caught.value.advice
    with same.claim():
        pass


def test_the_claim_of_a_killed_process_ends_with_it(tmp_path: Path) -> None:
    """A crash never keeps the next start out."""
    code = (
        "import sys, pathlib\n"
        "from server.config.paths import DataDir\n"
        "with DataDir(pathlib.Path(sys.argv[1])).claim():\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Conflict), DataDir(tmp_path).claim():
            pass
        holder.kill()
    with DataDir(tmp_path).claim():
        pass


def test_directories_are_made_for_us_alone(tmp_path: Path) -> None:
    """Keys and settings are nobody else's to read; twice is as good as once."""
    data = DataDir(tmp_path / "new" / "data")
    data.prepare()
    data.ssh.chmod(0o755)
    data.prepare()
    for directory in (data.path, data.ssh, data.tmp):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert list(data.path.rglob("*")) in ([data.ssh, data.tmp], [data.tmp, data.ssh])


def test_a_full_data_directory_is_told() -> None:
    """507 before anything is started, and no rubbish left."""
    with disk() as small:
        data = DataDir(small.path)
        data.prepare()
        with small.full(), pytest.raises(InsufficientStorage, match="full") as caught:
            data.prepare()
        assert str(small.path.parent) not in caught.value.message
        data.check()


def test_a_read_only_data_directory_is_told() -> None:
    """503 with what to do."""
    with disk() as small:
        with small.read_only(), pytest.raises(Unavailable) as caught:
            DataDir(small.path).prepare()
        assert caught.value.advice


def test_a_file_in_place_of_the_directory_is_told(tmp_path: Path) -> None:
    """No traceback for a wrong `--data`."""
    path = tmp_path / "data"
    path.write_text("x")
    with pytest.raises(Unavailable):
        DataDir(path).prepare()
