"""What the packer and the marketplace see: the manifest, the files beside it, the lock file."""

import json
import re
import tomllib

from tests.startos.box import ROOT, Box

ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def test_the_bundle_exports_what_startos_calls(standing: Box) -> None:
    """A missing or misnamed export is found at install time only."""
    wanted = ["actions", "createBackup", "init", "main", "manifest", "uninit"]
    assert standing.ask("exports") == wanted


def test_the_manifest_keeps_the_packers_rules(standing: Box) -> None:
    """Ids, texts within their limits, both architectures and no third one."""
    manifest = standing.ask("manifest")
    images = manifest["images"]
    for name in [manifest["id"], *images, *manifest["volumes"]]:
        assert ID.fullmatch(name)
    assert len(manifest["description"]["short"]["en_US"]) <= 80
    assert len(manifest["description"]["long"]["en_US"]) <= 500
    assert sorted(images["app"]["arch"]) == ["aarch64", "x86_64"]
    assert images["app"]["source"]["dockerBuild"]["dockerfile"] == "Dockerfile"
    assert (ROOT / "Dockerfile").is_file()
    assert manifest["dependencies"] == {}
    assert manifest["sdkVersion"] == "2.0.9"


def test_the_version_is_the_apps(standing: Box) -> None:
    """upstream:downstream, where upstream is what pyproject.toml says."""
    app = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert standing.ask("manifest")["version"].partition(":")[0] == app


def test_a_public_address_stands_in_one_place(standing: Box) -> None:
    """Where the project has no home yet, one constant says so; nothing else repeats it."""
    address = standing.ask("source", module="shared", name="PUBLIC_ADDRESS", args=[])
    manifest = standing.ask("manifest")
    for key in ("packageRepo", "upstreamRepo", "marketingUrl"):
        assert manifest[key] == address
    written = [
        path
        for path in [*(ROOT / "startos").rglob("*.ts"), ROOT / "instructions.md"]
        if address in path.read_text()
    ]
    assert written == [ROOT / "startos" / "shared.ts"]


def test_the_packer_finds_its_files() -> None:
    """One icon of at most 40 KiB, one licence, instructions, assets; the id on one line."""
    stems = [path.stem.lower() for path in ROOT.iterdir() if path.is_file()]
    assert stems.count("icon") == 1
    assert stems.count("license") == 1
    assert (ROOT / "icon.svg").stat().st_size <= 40 * 1024
    assert "## Getting set up" in (ROOT / "instructions.md").read_text()
    assert list((ROOT / "assets").glob("*.py"))
    lines = (ROOT / "startos" / "manifest" / "index.ts").read_text().splitlines()
    assert [line.split("'")[1] for line in lines if "id:" in line] == ["spark-control"]


def test_the_lock_file_names_no_machine() -> None:
    """Packages come from whatever registry the user has, each checked by its hash."""
    lock = json.loads((ROOT / "package-lock.json").read_text())
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert not [name for name, one in packages.items() if "resolved" in one]
    inner = [name for name, one in packages.items() if one.get("inBundle")]
    assert all("integrity" in one for name, one in packages.items() if name not in inner)
    assert packages["node_modules/@start9labs/start-sdk"]["version"] == "2.0.9"


def test_the_architectures_of_the_makefile_are_the_manifests() -> None:
    """s9pk.mk packs what the manifest has images for."""
    assert "ARCHES := x86 arm\n" in (ROOT / "s9pk.mk").read_text()
