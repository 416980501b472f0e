"""The StartOS package: its npm packages, its checks, and the bundle that StartOS would load.

Owns `node_modules/` and `javascript/` of the root; the front-end has its own below `static/`. What
was done for the same inputs is not done again. Refuses to pack: that is `start-cli`'s (s9pk.mk).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from toolchain import (
    ROOT,
    SetupError,
    digest,
    environment,
    need_npm,
    one_at_a_time,
    read_stamp,
    run_quietly,
    say,
    write_stamp,
)

Outcome = Literal["ok", "failed", "could not run"]
LOCK = (ROOT / "package.json", ROOT / "package-lock.json")
MODULES = ROOT / "node_modules"
BUNDLE = ROOT / "javascript" / "index.js"
_STEPS: tuple[tuple[str, ...], ...] = (
    ("node_modules/typescript/bin/tsc", "--noEmit"),
    ("node_modules/@start9labs/start-sdk/lint.mjs",),
    ("node_modules/prettier/bin/prettier.cjs", "--check", "--log-level", "warn", "startos"),
)


def sources() -> list[Path]:
    """All that the bundle depends on."""
    own = sorted(path for path in (ROOT / "startos").rglob("*.ts") if path.is_file())
    return [*LOCK, ROOT / "tsconfig.json", *own]


def node() -> str:
    """The node that is beside npm."""
    return str(Path(need_npm()).parent / "node")


def install() -> None:
    """`npm ci` by the lock file."""
    inputs = digest(LOCK)
    if read_stamp("startos-npm").get("inputs") == inputs and MODULES.is_dir():
        return
    npm = need_npm()
    say("installing the packages of the StartOS SDK")
    argv = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    run_quietly(argv, "npm ci failed: see above", PATH=_path_of(npm))
    write_stamp("startos-npm", {"inputs": inputs})


def bundle() -> Path:
    """`javascript/index.js`, as `start-cli s9pk pack` loads it."""
    inputs = digest(sources())
    if read_stamp("startos-bundle").get("inputs") == inputs and BUNDLE.is_file():
        return BUNDLE
    install()
    say("bundling the StartOS package")
    npm = need_npm()
    failure = "the StartOS package could not be bundled: see above"
    run_quietly([npm, "run", "--silent", "build"], failure, PATH=_path_of(npm))
    if not BUNDLE.is_file():  # ncc reports some failures with exit status 0
        raise SetupError(failure)
    write_stamp("startos-bundle", {"inputs": inputs})
    return BUNDLE


def check() -> Outcome:
    """What `make -f s9pk.mk` asks before it packs, and the format."""
    with one_at_a_time():
        install()
        program = node()
        failed = [step for step in _STEPS if not _passes([program, *step])]
        try:
            bundle()
        except SetupError as error:
            sys.stderr.write(f"{error}\n")
            return "failed"
    return "failed" if failed else "ok"


def _passes(argv: Sequence[str]) -> bool:
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env=environment(PATH=_path_of(argv[0])),
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode == 0


def _path_of(program: str) -> str:
    return f"{Path(program).parent}{os.pathsep}{os.environ.get('PATH', '')}"
