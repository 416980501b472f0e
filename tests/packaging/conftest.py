"""One wheel, built and installed once for all tests that want it."""

import pytest
from filelock import FileLock

from tests.packaging.installed import Installed, install


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Installed:
    """Built by the first worker that asks; the others wait for it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "wheel"
    with FileLock(folder.with_suffix(".lock")):
        done = folder / "done"
        if not done.exists():
            folder.mkdir()
            install(folder)
            done.touch()
    (wheel,) = folder.glob("*.whl")
    return Installed(wheel, folder / "venv")
