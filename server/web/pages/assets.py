"""The built front-end files: found by logical name, served under names that carry their hash."""

import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

MANIFEST = "manifest.json"
TYPES = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
        ".png": "image/png",
        ".woff2": "font/woff2",
    }
)


@dataclass(frozen=True, slots=True)
class Asset:
    """`packed` is the content for those who take gzip; empty where that saves nothing."""

    content: bytes
    media_type: str
    packed: bytes = b""


class Assets:
    """All of `static/dist` in memory (a few small files), so that no path of a request is ever
    looked up on a disk. A new build is taken when its manifest appears; what older pages still
    name goes on being served. Without a build pages are plain HTML, and still work."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[int, int] | None = None
        self._urls: dict[str, str] = {}
        self._files: dict[str, Asset] = {}
        self.build = ""
        self.refresh()

    def refresh(self) -> None:
        """One stat call when nothing has changed."""
        manifest = self._folder / MANIFEST
        try:
            about = manifest.stat()
            seen = (about.st_mtime_ns, about.st_ino)
            if seen == self._seen:
                return
            text = manifest.read_bytes()
            names: dict[str, str] = json.loads(text)
            fresh = [hashed for hashed in names.values() if hashed not in self._files]
            self._files |= {hashed: self._read(hashed) for hashed in fresh}
        except FileNotFoundError:
            return  # not built, or in the middle of being built: what was there stays
        self._seen = seen
        self._urls = {name: f"/static/{hashed}" for name, hashed in names.items()}
        self.build = hashlib.sha256(text).hexdigest()[:12]

    def _read(self, hashed: str) -> Asset:
        kind = TYPES.get(PurePosixPath(hashed).suffix, "application/octet-stream")
        content = (self._folder / hashed).read_bytes()
        packed = gzip.compress(content, 9, mtime=0)
        return Asset(content, kind, packed if len(packed) < 0.9 * len(content) else b"")

    def url(self, name: str) -> str | None:
        """Where a page finds `app.css`; None when the assets were not built."""
        return self._urls.get(name)

    def file(self, hashed: str) -> Asset | None:
        return self._files.get(hashed)
