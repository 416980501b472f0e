"""Build the front-end assets: copy, name by content, write a manifest.

Owns `static/dist/`. Takes our own files from `static/src/` and the vendor files named below from
`static/node_modules/`, gives each a name that carries the hash of its content (so that it may be
cached for ever), and writes `manifest.json`: `{"app.css": "app.1f2e3d4c5b.css", …}`. The manifest
is replaced last and whole, so a running server never reads half of a build. Two assets are put
together: `static/src/css/*.css`, in the order of their names, make `app.css`, and the icons named
in `static/src/icons.txt` make the sprite `icons.svg`. Refuses to compile, bundle or minify
anything else: what is served is what was written. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from pathlib import Path

VENDOR = {
    "htmx.js": "htmx.org/dist/htmx.min.js",
    "htmx-sse.js": "htmx.org/dist/ext/hx-sse.min.js",
    "uplot.js": "uplot/dist/uPlot.iife.min.js",
    "uplot.css": "uplot/dist/uPlot.min.css",
}
SHEETS = "css"
SHEET = "app.css"
ICON_LIST = "icons.txt"
SPRITE = "icons.svg"
ICONS = "lucide-static/icons"
NOTICE = "<!-- Icons of Lucide (https://lucide.dev), under its ISC licence -->"
_SOURCE_MAP = re.compile(rb"\n?//# sourceMappingURL=[^\n]*\n?$")
_ICON_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ICON_BODY = re.compile(r"<svg\b[^>]*>(.*)</svg>", re.DOTALL)
_CSS_URL = re.compile(r"""url\(\s*(["']?)(?!data:|https?:|/|#)([^"')]+)\1\s*\)""")


class AssetError(Exception):
    """A source is missing, or a style sheet names a file that is not there."""


def hashed_name(name: str, content: bytes) -> str:
    """`img/logo.svg` -> `img/logo.1f2e3d4c5b.svg`."""
    stem, dot, suffix = name.rpartition(".")
    digest = hashlib.sha256(content).hexdigest()[:10]
    return f"{stem}.{digest}.{suffix}" if dot else f"{name}.{digest}"


def read_sources(static: Path) -> dict[str, bytes]:
    """Every asset by its logical name, before style sheets are rewritten."""
    sources: dict[str, bytes] = {}
    for name, place in VENDOR.items():
        path = static / "node_modules" / place
        if not path.is_file():
            raise AssetError(f"static/node_modules/{place} is missing: run `make assets`")
        # The maps are not shipped; naming them would only make browsers ask for a 404.
        sources[name] = _SOURCE_MAP.sub(b"\n", path.read_bytes())
    own = static / "src"
    sources[SHEET] = join_sheets(own / SHEETS)
    sources[SPRITE] = sprite(own / ICON_LIST, static / "node_modules" / ICONS)
    for path in sorted(own.rglob("*")):
        name = path.relative_to(own).as_posix()
        if not path.is_file() or path.name.startswith(".") or name == ICON_LIST:
            continue
        if path.parent == own / SHEETS:
            continue
        if name in sources:
            raise AssetError(f"static/src/{name} has the name of a file made from others")
        sources[name] = path.read_bytes()
    return sources


def join_sheets(folder: Path) -> bytes:
    """`00-tokens.css`, `10-base.css`, … one after another: later ones win, as in one file."""
    sheets = sorted(one for one in folder.glob("*.css") if not one.name.startswith("."))
    if not sheets:
        raise AssetError(f"static/src/{SHEETS} holds no style sheet")
    return b"\n".join(sheet.read_bytes() for sheet in sheets)


def sprite(listing: Path, icons: Path) -> bytes:
    """One SVG with a `<symbol>` for each icon named in `listing`, a name a line."""
    if not listing.is_file():
        raise AssetError(f"static/src/{ICON_LIST} is missing: it names the icons, one a line")
    names = {line.partition("#")[0].strip() for line in listing.read_text().splitlines()} - {""}
    symbols = "\n".join(_symbol(name, icons) for name in sorted(names))
    return f'<svg xmlns="http://www.w3.org/2000/svg">\n{NOTICE}\n{symbols}\n</svg>\n'.encode()


def _symbol(name: str, icons: Path) -> str:
    place = icons / f"{name}.svg"
    found = None
    if _ICON_NAME.fullmatch(name) and place.is_file():
        found = _ICON_BODY.search(place.read_text())
    if found is None:
        raise AssetError(
            f"static/src/{ICON_LIST} names {name!r}, which static/node_modules/{ICONS} has not: "
            "see lucide.dev for the names, and run `make assets` if it was never run here"
        )
    body = " ".join(found[1].split())
    return f'<symbol id="{name}" viewBox="0 0 24 24">{body}</symbol>'


def rewrite_css(name: str, content: bytes, names: dict[str, str]) -> bytes:
    """Point relative `url(…)` of a style sheet at the hashed names."""
    folder = name.rpartition("/")[0]

    def replace(match: re.Match[str]) -> str:
        target = os.path.normpath(f"{folder}/{match[2]}" if folder else match[2])
        if target not in names:
            raise AssetError(f"static/src/{name} names {match[2]!r}, which is not in static/src")
        relative = os.path.relpath(names[target], folder or ".")
        return f'url("{relative}")'

    return _CSS_URL.sub(replace, content.decode()).encode()


def build(static: Path) -> dict[str, str]:
    """Build `static/dist` and return the manifest. Running it twice changes nothing."""
    sources = read_sources(static)
    dist = static / "dist"
    manifest: dict[str, str] = {}
    # Style sheets last: they need the final names of what they point at.
    for name in sorted(sources, key=lambda name: (name.endswith(".css"), name)):
        content = sources[name]
        if name.endswith(".css"):
            content = rewrite_css(name, content, manifest)
        manifest[name] = hashed_name(name, content)
        target = dist / manifest[name]
        if not target.exists() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            replace_file(target, content)
    text = json.dumps(dict(sorted(manifest.items())), indent=2) + "\n"
    replace_file(dist / "manifest.json", text.encode())
    _remove_stale(dist, {*manifest.values(), "manifest.json"})
    return manifest


def replace_file(target: Path, content: bytes) -> None:
    """Write beside, then rename: nobody reads half a file."""
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _remove_stale(dist: Path, wanted: set[str]) -> None:
    for path in sorted(dist.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(dist).as_posix() not in wanted:
            path.unlink()


def main() -> int:
    static = Path(__file__).resolve().parent.parent / "static"
    try:
        manifest = build(static)
    except AssetError as error:
        sys.stderr.write(f"assets: {error}\n")
        return 1
    sys.stdout.write(f"static/dist: {len(manifest)} files\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
