"""Where everything lies that must last: the data directory and the files in it.

Owns the names. `prepare` makes the directories and proves that they can be written. Refuses to read
or write what is in the files.
"""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from filelock import FileLock, Timeout

from server.base.errors import Conflict, InvalidValue
from server.base.files import storage_errors

DATABASE_URL = "SPARK_CONTROL_DATABASE_URL"
MODELS_OVERRIDES = "MODELS_OVERRIDES"

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


class DataDir:
    """The data directory at `path`; `environ` may place database and overrides elsewhere."""

    def __init__(self, path: Path, environ: Mapping[str, str] = MappingProxyType({})) -> None:
        self.path = Path(os.path.abspath(path))  # noqa: PTH100 - links in the path stay as given
        self.config = self.path / "config.yaml"
        self.database = self.path / "spark-control.db"
        self.ssh = self.path / "ssh"
        self.ssh_key = self.ssh / "id_ed25519"
        self.known_hosts = self.ssh / "known_hosts"
        self.tmp = self.path / "tmp"
        self.cache = self.path / "cache"
        self.backups = self.path / "backups"
        self.patches = self.path / "patches"
        self.restore = self.path / "restore"
        self.set_aside = self.path / "set-aside"
        self.passphrase = self.path / "backup.passphrase"
        self.password = self.path / "password"
        self.local_token = self.path / "local.token"
        overrides = environ.get(MODELS_OVERRIDES)
        self.overrides = Path(overrides) if overrides else self.path / "models.override.yaml"
        self._database_url = environ.get(DATABASE_URL)

    @property
    def database_url(self) -> str:
        """What `Database` is opened with. Raises `InvalidValue` for a URL that cannot be one."""
        given = self._database_url
        if not given:
            return f"sqlite+aiosqlite:///{self.database}"
        problem = database_url_problem(given)
        if problem:
            raise InvalidValue(f"{DATABASE_URL}: {problem}")
        scheme, _, rest = given.partition("://")
        return f"{_DRIVERS[scheme]}://{rest}"

    def prepare(self) -> None:
        """Make what is missing, for our user alone, and prove that a file can be written.

        Raises `Unavailable` or `InsufficientStorage` that say what to do.
        """
        with storage_errors(f"The data directory {self.path.name}"):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for directory in (self.ssh, self.tmp):
            with storage_errors(f"{self.path.name}/{directory.name}"):
                directory.mkdir(mode=0o700, exist_ok=True)
                if stat.S_IMODE(directory.stat().st_mode) & 0o077:
                    directory.chmod(0o700)
        self.check()

    @contextlib.contextmanager
    def claim(self) -> Iterator[None]:
        """Hold the directory for this process: two programs would both steer the same hosts.

        Raises `Conflict` when another one holds it. The kernel ends the claim of a dead process.
        """
        lock = FileLock(self.path / "spark-control.lock", mode=0o600, thread_local=False)
        with storage_errors("spark-control.lock"):
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise Conflict(
                    f"Another Spark Control is running on the data directory {self.path.name}.",
                    advice="Stop it first, or give this one a directory of its own with --data.",
                ) from None
        try:
            yield
        finally:
            lock.release()

    def check(self) -> None:
        """Raise the clear error when nothing could be saved now."""
        with (
            storage_errors(f"The data directory {self.path.name}"),
            tempfile.TemporaryFile(dir=self.path) as probe,
        ):
            probe.write(bytes(4096))
            probe.flush()


def database_url_problem(given: str) -> str | None:
    """What is wrong with it, if anything. The value is not repeated: it may hold a password."""
    scheme, separator, rest = given.partition("://")
    if separator and rest and scheme in _DRIVERS:
        return None
    return (
        "must begin with postgresql+asyncpg:// or sqlite+aiosqlite:///: correct it, or remove it "
        "to use the file in the data directory"
    )
