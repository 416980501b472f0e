"""`scripts/assets.py`: names carry the content, the manifest is whole, nothing stale is served."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


assets = load("assets")


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """A `static/` with the vendor files and two of our own."""
    for place in assets.VENDOR.values():
        file = tmp_path / "node_modules" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"/* {place} */\n//# sourceMappingURL=x.map\n")
    source = tmp_path / "src"
    (source / "img").mkdir(parents=True)
    (source / "css").mkdir()
    (source / "css" / "10-b.css").write_text("a{background:url(img/logo.svg)} b{src:url(data:x)}")
    (source / "css" / "00-a.css").write_text(":root{color:red}")
    (source / "img" / "logo.svg").write_text("<svg/>")
    (source / "icons.txt").write_text("# of the tests\nserver\n\ncpu  # and a word\n")
    icons = tmp_path / "node_modules" / assets.ICONS
    icons.mkdir(parents=True)
    for name in ("server", "cpu", "trash"):
        (icons / f"{name}.svg").write_text(
            f'<!-- x -->\n<svg\n  class="{name}"\n>\n  <path />\n</svg>\n'
        )
    return tmp_path


def test_every_source_has_a_hashed_name_in_the_manifest(static: Path) -> None:
    """Logical name -> file, and the file is there."""
    manifest = assets.build(static)
    assert set(manifest) == {*assets.VENDOR, "app.css", "icons.svg", "img/logo.svg"}
    assert json.loads((static / "dist" / "manifest.json").read_text()) == manifest
    for name, hashed in manifest.items():
        assert (static / "dist" / hashed).is_file()
        assert hashed.startswith(name.rpartition(".")[0] + ".")


def test_style_sheets_point_at_hashed_names(static: Path) -> None:
    """Relative addresses are rewritten; data addresses are left alone."""
    manifest = assets.build(static)
    css = (static / "dist" / manifest["app.css"]).read_text()
    assert f'url("{manifest["img/logo.svg"]}")' in css
    assert "url(data:x)" in css


def test_sheets_are_joined_in_the_order_of_their_names(static: Path) -> None:
    """So that a later one wins, as in one file."""
    manifest = assets.build(static)
    css = (static / "dist" / manifest["app.css"]).read_text()
    assert css.index(":root") < css.index("background")


def test_the_sprite_holds_the_named_icons_and_no_others(static: Path) -> None:
    """Each as a symbol that takes its colour and size from where it is used."""
    manifest = assets.build(static)
    svg = (static / "dist" / manifest["icons.svg"]).read_text()
    assert '<symbol id="server" viewBox="0 0 24 24"><path /></symbol>' in svg
    assert 'id="cpu"' in svg
    assert "trash" not in svg


@pytest.mark.parametrize("name", ["no-such-icon", "../server", "Server"])
def test_an_unknown_icon_fails_the_build(static: Path, name: str) -> None:
    """A page would show a gap and nobody would see why."""
    (static / "src" / "icons.txt").write_text(f"{name}\n")
    with pytest.raises(assets.AssetError, match=r"icons\.txt"):
        assets.build(static)


def test_a_change_gives_a_new_name_and_removes_the_old(static: Path) -> None:
    """Also through a style sheet: what it points at is part of its content."""
    before = assets.build(static)
    assert assets.build(static) == before
    (static / "src" / "img" / "logo.svg").write_text("<svg>new</svg>")
    after = assets.build(static)
    assert after["app.css"] != before["app.css"]
    assert after["htmx.js"] == before["htmx.js"]
    left = {p.relative_to(static / "dist").as_posix() for p in (static / "dist").rglob("*.*")}
    assert left == {*after.values(), "manifest.json"}


def test_no_source_map_is_named(static: Path) -> None:
    """Maps are not shipped, so no browser is sent after them."""
    manifest = assets.build(static)
    text = (static / "dist" / manifest["htmx.js"]).read_text()
    assert "sourceMappingURL" not in text


def test_a_missing_reference_fails_the_build(static: Path) -> None:
    """With the style sheet and the name in the message; the old build stays whole."""
    before = assets.build(static)
    (static / "src" / "bad.css").write_text("a{background:url(none.svg)}")
    with pytest.raises(assets.AssetError, match=r"bad\.css.*none\.svg"):
        assets.build(static)
    assert json.loads((static / "dist" / "manifest.json").read_text()) == before
    assert all((static / "dist" / name).is_file() for name in before.values())


def test_missing_vendor_files_are_named(static: Path) -> None:
    """With the verb that brings them."""
    (static / "node_modules" / assets.VENDOR["htmx.js"]).unlink()
    with pytest.raises(assets.AssetError, match=r"make assets"):
        assets.build(static)
