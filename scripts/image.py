"""`make image`: builds the Dockerfile with docker or podman and says how large the result is.

Owns the choice of the program and the labels that only a build knows (version, revision, time of
the commit). Everything in the image itself is decided by the Dockerfile. From the environment:

  CONTAINER_ENGINE  docker or podman; otherwise the first of them that works
  ENGINE_OPTIONS    words for the program itself, before the verb (a store of its own, …)
  BUILD_OPTIONS     words for `build` (a mounted certificate bundle, an isolation, …)
  BASE_IMAGE        in place of the Dockerfile's base
  IMAGE             what the result is called

Arguments are handed on to `build`, for example --platform linux/arm64.
"""

from __future__ import annotations

import ast
import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from toolchain import ROOT, SetupError, say

ENGINES = ("docker", "podman")


def words(name: str) -> list[str]:
    """The words of an environment variable, quoted as in a shell."""
    return shlex.split(os.environ.get(name, ""))


@dataclass(frozen=True)
class Engine:
    """docker or podman, with what goes before every verb. They understand the same words."""

    name: str
    options: tuple[str, ...] = ()

    def argv(self, *args: str) -> list[str]:
        return [self.name, *self.options, *args]

    def run(self, *args: str, seconds: float = 120.0) -> str:
        """What a verb prints. SetupError with its complaint when it fails."""
        done = subprocess.run(
            self.argv(*args),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
        if done.returncode != 0:
            raise SetupError(
                f"{self.name} {shlex.join(args)}: exit status {done.returncode}\n"
                f"{done.stderr.strip()[-2000:]}"
            )
        return done.stdout

    def image(self, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.run("image", "inspect", name))
        return found[0]


def find_engine() -> Engine:
    """The one that was named, or the first that answers (docker may lack its daemon)."""
    options = tuple(words("ENGINE_OPTIONS"))
    named = os.environ.get("CONTAINER_ENGINE")
    for name in [named] if named else ENGINES:
        if not shutil.which(name):
            continue
        engine = Engine(name, options)
        try:
            engine.run("info", seconds=30)
        except (SetupError, subprocess.TimeoutExpired):
            continue
        return engine
    raise SetupError(f"no container engine works here: looked for {named or ' and '.join(ENGINES)}")


def version() -> str:
    """`server.__version__`, read without importing the server."""
    for node in ast.parse((ROOT / "server" / "__init__.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            return str(node.value.value)
    raise SetupError("server/__init__.py has no __version__")


def commit() -> tuple[str, str]:
    """Revision and time of what is checked out; a changed tree says so."""

    def git(*args: str) -> str:
        done = subprocess.run(
            ["git", *args], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    revision = git("rev-parse", "HEAD")
    if not revision:
        return "unknown", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    seconds = int(git("log", "-1", "--format=%ct"))
    changed = "-modified" if git("status", "--porcelain") else ""
    return revision + changed, datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def image_name() -> str:
    return os.environ.get("IMAGE") or "localhost/spark-control:latest"


def build(engine: Engine, base: str | None, more: list[str]) -> str:
    """Build, with the output shown as it comes. Returns the image's name."""
    name = image_name()
    revision, created = commit()
    told = {"VERSION": version(), "REVISION": revision, "CREATED": created}
    if base:
        told["BASE_IMAGE"] = base
    argv = ["build", "--tag", name]
    if engine.name == "podman":
        argv += ["--format", "docker"]  # the OCI format has no place for a health check
    for key, value in told.items():
        argv += ["--build-arg", f"{key}={value}"]
    argv += [*words("BUILD_OPTIONS"), *more, "."]
    done = subprocess.run(engine.argv(*argv), cwd=ROOT, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise SetupError(f"{engine.name} build failed: see above")
    return name


def size(engine: Engine, name: str) -> str:
    return f"{engine.image(name)['Size'] / 1e6:.0f} MB"


def main(args: list[str]) -> int:
    try:
        engine = find_engine()
        name = build(engine, os.environ.get("BASE_IMAGE"), args)
        say(f"{name}: {size(engine, name)}, version {version()}")
    except SetupError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
