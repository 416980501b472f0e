"""The bundle is made once for all workers; a test that changes anything gets its own server."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.startos.box import ROOT, Box

MAKE = """
import sys
sys.path.insert(0, "scripts")
import startos_package
from toolchain import one_at_a_time
with one_at_a_time():
    print(startos_package.bundle(), startos_package.node(), sep="\\n")
"""


@pytest.fixture(scope="session")
def built() -> tuple[Path, str]:
    """The bundle of the sources as they are, and the node to load it with."""
    done = subprocess.run(
        [sys.executable, "-c", MAKE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    bundle, node = done.stdout.split("\n")[:2]
    return Path(bundle), node


@pytest.fixture
def box(tmp_path: Path, built: tuple[Path, str]) -> Iterator[Box]:
    with Box(tmp_path / "startos", *built) as one:
        yield one


@pytest.fixture(scope="session")
def standing(tmp_path_factory: pytest.TempPathFactory, built: tuple[Path, str]) -> Iterator[Box]:
    """One that is only asked: manifest, forms, what is pure."""
    with Box(tmp_path_factory.mktemp("standing") / "startos", *built) as one:
        yield one
