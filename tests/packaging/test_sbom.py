"""The list of what the app is made of: whole, and nothing in it without a licence."""

import base64
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.house.test_assets import ROOT, load


@pytest.fixture
def sbom(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The scripts import each other from their own folder."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return load("sbom")


def part(*licenses: dict[str, Any], name: str = "p") -> dict[str, Any]:
    return {"name": name, "version": "1", "licenses": list(licenses)}


def test_front_end_libraries_are_among_the_parts(sbom: ModuleType) -> None:
    """With their package URL and the hash of the lock file; development packages are not."""
    lock = {
        "packages": {
            "": {"name": "assets"},
            "node_modules/@a/b": {
                "version": "2",
                "integrity": "sha512-" + base64.b64encode(b"\x01\xff").decode(),
                "license": "MIT",
            },
            "node_modules/tool": {"version": "1", "integrity": "sha512-AA==", "dev": True},
        }
    }
    (found,) = sbom.front_end(lock)
    assert found["purl"] == "pkg:npm/%40a/b@2"
    assert found["hashes"] == [{"alg": "SHA-512", "content": "01ff"}]
    assert sbom.licenses_of(found) == "MIT"


def test_the_real_front_end_is_described(sbom: ModuleType) -> None:
    """Every library that is copied into static/dist is named, with a licence."""
    lock = json.loads((ROOT / "static" / "package-lock.json").read_text())
    found = {one["name"]: one for one in sbom.front_end(lock)}
    copied = {Path(place).parts[0] for place in load("assets").VENDOR.values()}
    assert copied <= set(found)
    assert all(sbom.licenses_of(one) for one in found.values())


def test_the_app_depends_on_its_front_end(sbom: ModuleType) -> None:
    """In the graph as well, not only in the list."""
    bom = {
        "metadata": {"component": {"bom-ref": "root"}},
        "components": [],
        "dependencies": [{"ref": "root", "dependsOn": ["z"]}],
    }
    sbom.add_front_end(bom, [{"bom-ref": "a"}])
    assert bom["components"] == [{"bom-ref": "a"}]
    assert bom["dependencies"] == [{"ref": "root", "dependsOn": ["a", "z"]}, {"ref": "a"}]


@pytest.mark.parametrize(
    ("licenses", "said"),
    [
        ([{"expression": "MIT OR Apache-2.0"}, {"license": {"name": "x"}}], "MIT OR Apache-2.0"),
        ([{"license": {"id": "MIT"}}, {"license": {"id": "0BSD"}}], "0BSD, MIT"),
        ([{"license": {"name": "License :: OSI Approved :: BSD License"}}], "BSD License"),
        ([], ""),
    ],
)
def test_a_licence_is_one_line(sbom: ModuleType, licenses: list[dict[str, Any]], said: str) -> None:
    """The expression first, then SPDX names, then the package's own words."""
    assert sbom.licenses_of(part(*licenses)) == said


def test_a_part_without_a_licence_is_a_failure(sbom: ModuleType) -> None:
    """A blank row would look as if somebody had looked."""
    good = part({"license": {"id": "MIT"}}, name="Good")
    assert "| Good | 1 | MIT |" in sbom.licence_list([good])
    with pytest.raises(Exception, match="no licence is named by: bare"):
        sbom.licence_list([good, part(name="bare")])
