"""The verbs of the Makefile: what each needs, then what it runs.

Owns nothing but the order of things; the work is in `toolchain.py` (getting ready), `checks.py`
(`make check`) and `demo.py` (which runs inside the locked environment).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import checks
import image as container_image
import image_test as container_test
import release as our_release
import startos_package
import suite
import wheel as our_wheel
from toolchain import (
    BENCH_PACKAGES,
    BROWSER_PACKAGES,
    ROOT,
    STATIC,
    TOOLS,
    VENV,
    SetupError,
    build_assets,
    ensure_system_packages,
    environment,
    fetch_weights,
    one_at_a_time,
    say,
    sync,
)

CACHES = (".mypy_cache", ".ruff_cache", ".pytest_cache", ".import_linter_cache", ".hypothesis")


def become(argv: list[str]) -> int:
    """Replace this process, so that signals and the exit status are the program's own."""
    os.chdir(ROOT)
    os.execve(argv[0], argv, environment())


def prepare(*groups: str) -> str:
    """Everything built and locked; returns the environment's python."""
    with one_at_a_time():
        build_assets()  # first: our package is installed with them
        return str(sync(groups))


def setup(args: list[str]) -> int:
    prepare("dev")
    return 0


def assets(args: list[str]) -> int:
    with one_at_a_time():
        build_assets()
    return 0


def demo(args: list[str]) -> int:
    return become([prepare(), "scripts/demo.py", *args])


def screenshots(args: list[str]) -> int:
    python = prepare("dev")
    with one_at_a_time():
        ensure_system_packages(BROWSER_PACKAGES, "No picture can be taken without it.")
    return become([python, "scripts/screenshots.py", *args])


def serve(args: list[str]) -> int:
    prepare()
    return become([str(VENV / "bin" / "spark-control"), "serve", *args])


def test(args: list[str]) -> int:
    # Real speech is made and heard in the tests: the engine with its weights is some 600 MB.
    python = prepare("dev", "+engine", "+pii")
    with one_at_a_time():
        fetch_weights(python)
        ensure_system_packages()
        startos_package.bundle()
    # Programs are started hundreds of times: each would compile all of its modules anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if not args:
        return suite.whole_suite(python)
    return become([python, "-m", "pytest", "-n", "3", "--dist", "loadfile", *args])


def check(args: list[str]) -> int:
    prepare("dev")
    return checks.main(args)


def bench(args: list[str]) -> int:
    python = prepare("dev")
    with one_at_a_time():
        ensure_system_packages(BENCH_PACKAGES, "What needs them will not be measured.")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    return become([python, "-m", "bench", *args])


def fmt(args: list[str]) -> int:
    prepare("dev")
    ruff = str(VENV / "bin" / "ruff")
    for argv in ([ruff, "check", "--fix", "--quiet"], [ruff, "format"]):
        if code := subprocess.run(argv, cwd=ROOT, check=False).returncode:
            return code
    return 0


def wheel(args: list[str]) -> int:
    with one_at_a_time():
        build_assets()
        for path in our_wheel.build():
            say(str(path.relative_to(ROOT)))
    return 0


def sbom(args: list[str]) -> int:
    python = prepare()
    return become([python, "scripts/sbom.py", *args])


def image(args: list[str]) -> int:
    return container_image.main(args)


def image_test(args: list[str]) -> int:
    return container_test.main(args)


def startos(args: list[str]) -> int:
    with one_at_a_time():
        startos_package.install()
    return become([shutil.which("make") or "/usr/bin/make", "-f", "s9pk.mk", *args])


def startos_check(args: list[str]) -> int:
    return 0 if startos_package.check() == "ok" else 1


def release(args: list[str]) -> int:
    prepare("dev")
    return our_release.main(args)


def clean(args: list[str]) -> int:
    """Everything that the other verbs made. Data directories are never touched."""
    places = [VENV, TOOLS, STATIC / "dist", STATIC / "node_modules"]
    places += [ROOT / "dist", ROOT / "build", ROOT / "javascript", ROOT / "node_modules"]
    places += [ROOT / name for name in CACHES]
    for folder in ("server", "scripts", "tests", "bench"):
        places += sorted((ROOT / folder).rglob("__pycache__"))
    for place in places:
        _remove(place)
    return 0


def _remove(place: Path) -> None:
    if place.is_symlink():
        place.unlink()
    else:
        shutil.rmtree(place, ignore_errors=True)


VERBS: dict[str, Callable[[list[str]], int]] = {
    "setup": setup,
    "assets": assets,
    "demo": demo,
    "serve": serve,
    "test": test,
    "check": check,
    "bench": bench,
    "screenshots": screenshots,
    "fmt": fmt,
    "wheel": wheel,
    "sbom": sbom,
    "image": image,
    "image-test": image_test,
    "startos": startos,
    "startos-check": startos_check,
    "release": release,
    "clean": clean,
}


def main(argv: list[str]) -> int:
    if not argv or argv[0] not in VERBS:
        sys.stderr.write(f"usage: bootstrap.py {'|'.join(VERBS)} [arguments]\n")
        return 2
    try:
        return VERBS[argv[0]](argv[1:])
    except SetupError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
