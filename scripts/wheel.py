"""`make wheel`: our package as a wheel in `dist/`, and the locked versions that it was tested with.

Owns what lies in `dist/` under these two names. The requirements carry hashes, so that an install
from them (the image, a `uv tool` with them as constraints) takes the very files of `uv.lock`.
Standard library only, and the assets must be built: `verbs.py` sees to that.
"""

from __future__ import annotations

from pathlib import Path

from toolchain import ROOT, find_uv, install_uv, run_quietly

DIST = ROOT / "dist"
REQUIREMENTS = "requirements.txt"


def build(dist: Path = DIST) -> list[Path]:
    """The wheel alone, whatever older ones lay there, and its requirements."""
    uv = find_uv() or install_uv()
    for old in dist.glob("spark_control-*"):
        old.unlink()
    run_quietly([uv, "build", "--wheel", "--out-dir", str(dist)], "the wheel could not be built")
    wanted = dist / REQUIREMENTS
    export = [uv, "export", "--locked", "--quiet", "--no-dev", "--all-extras", "--no-emit-project"]
    export += ["--no-header", "--format", "requirements-txt", "--output-file", str(wanted)]
    run_quietly(export, "uv.lock could not be exported: it must agree with pyproject.toml")
    return [*dist.glob("spark_control-*.whl"), wanted]
