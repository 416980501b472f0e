"""Where everything lies that must last: the data directory and the files in it.

Owns the names. `prepare` makes the directories and proves that they can be written. Refuses to read
or write what is in the files.
"""

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from server.base.errors import InvalidValue
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
        overrides = environ.get(MODELS_OVERRIDES)
        self.overrides = Path(overrides) if overrides else self.path / "models.override.yaml"
        self.database_url = _database_url(environ.get(DATABASE_URL), self.database)

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

    def check(self) -> None:
        """Raise the clear error when nothing could be saved now."""
        with (
            storage_errors(f"The data directory {self.path.name}"),
            tempfile.TemporaryFile(dir=self.path) as probe,
        ):
            probe.write(bytes(4096))
            probe.flush()


def _database_url(given: str | None, file: Path) -> str:
    if not given:
        return f"sqlite+aiosqlite:///{file}"
    scheme, separator, rest = given.partition("://")
    if not separator or scheme not in _DRIVERS:
        # The value is not repeated: it may hold a password.
        raise InvalidValue(
            f"{DATABASE_URL}: must begin with postgresql+asyncpg:// or sqlite+aiosqlite:///",
            advice=f"Correct it, or remove it to use {file.name} in the data directory.",
        )
    return f"{_DRIVERS[scheme]}://{rest}"
