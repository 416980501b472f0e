"""The wheel, built from this tree and installed into an environment that knows nothing of the tree.

Owns building, installing and running it as a stranger would: from any directory, with a bare
environment. Packages come from uv's cache where they are there, as they are after `make test`.
"""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Running:
    """A program that was started; its output is in files."""

    def __init__(self, process: "subprocess.Popen[bytes]", out: Path, log: Path) -> None:
        self.process = process
        self.out = out
        self.log = log

    def alive(self) -> None:
        code = self.process.poll()
        if code is not None:
            raise AssertionError(f"ended with {code}:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> int:
        """TERM; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


class Installed:
    """`spark-control` from the wheel."""

    def __init__(self, wheel: Path, venv: Path) -> None:
        self.wheel = wheel
        self.venv = venv
        self.program = venv / "bin" / "spark-control"

    def environment(self, home: Path, **extra: str) -> dict[str, str]:
        """Nothing of ours: no path, no variable."""
        return {"PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8", **extra}

    def run(self, cwd: Path, *argv: str, **extra: str) -> str:
        done = subprocess.run(
            [str(self.program), *argv],
            cwd=cwd, env=self.environment(cwd, **extra), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def python(self, cwd: Path, code: str) -> str:
        """What the installed interpreter prints."""
        return subprocess.run(
            [str(self.venv / "bin" / "python"), "-c", code],
            cwd=cwd, env=self.environment(cwd), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=True,
        ).stdout.strip()  # fmt: skip

    @contextlib.contextmanager
    def running(self, cwd: Path, *argv: str) -> Iterator[Running]:
        out, log = cwd.parent / f"{argv[0]}.out", cwd.parent / f"{argv[0]}.log"
        with out.open("wb") as one, log.open("wb") as other:
            process = subprocess.Popen(
                [str(self.program), *argv],
                cwd=cwd, env=self.environment(cwd), stdin=subprocess.DEVNULL,
                stdout=one, stderr=other, start_new_session=True,
            )  # fmt: skip
        started = Running(process, out, log)
        try:
            yield started
        finally:
            started.stop()


def uv_program() -> str:
    """The uv that the house uses. Raises when there is none: `make setup` installs it."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        spec = importlib.util.spec_from_file_location("toolchain", ROOT / "scripts/toolchain.py")
        assert spec is not None
        assert spec.loader is not None
        toolchain = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(toolchain)
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    found: str | None = toolchain.find_uv()
    assert found, "uv is missing: run `make setup`"
    return found


def uv(*argv: str, **extra: str) -> None:
    """Without the network where the cache has everything, with it where not."""
    env = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    env |= {"UV_PYTHON_DOWNLOADS": "never", **extra}
    program = uv_program()
    for offline in (["--offline"], []):
        done = subprocess.run(
            [program, *argv, *offline],
            cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=100, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return
    raise AssertionError(f"uv {' '.join(argv)}\n{done.stdout}{done.stderr}")


def install(folder: Path) -> Installed:
    """Build the wheel into `folder`, make an environment of the locked versions, install it."""
    began = time.monotonic()
    uv("build", "--wheel", "--quiet", "--out-dir", str(folder))
    (wheel,) = folder.glob("*.whl")
    venv = folder / "venv"
    python = ["--python", sys.executable]
    uv("sync", "--frozen", "--quiet", "--no-install-project", *python,
       UV_PROJECT_ENVIRONMENT=str(venv))  # fmt: skip
    uv("pip", "install", "--quiet", "--no-deps", "--python", str(venv / "bin/python"), str(wheel))
    assert time.monotonic() - began < 100
    return Installed(wheel, venv)
