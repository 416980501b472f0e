"""`make image-test`: builds the image and uses it as it is meant to be used, locked down.

Two containers of it, non-root, with a root that cannot be written and without any capability: one
runs the simulated cluster, the other the app on the cluster's data directory. A model is swapped in
and answers, the app is stopped and started again, and finds what it served. Nothing outside the
container engine is touched; everything started here is removed. From the environment, besides what
`image.py` reads:

  RUN_OPTIONS   words for each `run` (a runtime, a network, limits of this machine)

Where the Dockerfile's base cannot be pulled, a Debian is made with debootstrap (needs root); its
archive stays in build/ for the next time.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from image import Engine, build, find_engine, size, words
from toolchain import ROOT, SetupError, say

DEFAULT_BASE = "docker.io/library/python:3.12-slim"
OWN_BASE = "localhost/spark-control-base:bookworm"
PACKAGES = "ca-certificates,python3,python3-venv,python3-pip"
WORK = ROOT / "build" / "image-test"
LOCKED_DOWN = (
    "--read-only",
    "--tmpfs=/tmp:rw,noexec,nosuid,nodev,size=64m,mode=1777",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
)
ABSENT = ("cc", "gcc", "g++", "clang", "make", "node", "npm", "npx", "uv", "uvx", "curl", "git")
PATIENCE = 90.0

# What a process in the container can see of its own cage; printed as JSON.
CAGE = """
import errno, json, os, pathlib, shutil, sys, server
status = dict(l.split(':', 1) for l in open('/proc/1/status') if ':' in l)
def refusal(path):
    try:
        pathlib.Path(path).write_text('x')
    except OSError as error:
        return errno.errorcode[error.errno]
print(json.dumps({
    'uid': os.getuid(), 'gid': os.getgid(), 'python': sys.version_info[:2],
    'caps': {k: int(status[k], 16) for k in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')},
    'no_new_privs': int(status['NoNewPrivs']), 'server': server.__file__,
    'root': refusal('/touched'), 'code': refusal(pathlib.Path(server.__file__).parent / 'x'),
    'data': refusal('/data/tmp/touched'), 'present': [n for n in sys.argv[1:] if shutil.which(n)],
    'keygen': bool(shutil.which('ssh-keygen')),
}))
"""
ASK = """
import http.client, json, sys
way = http.client.HTTPConnection('127.0.0.1', 9999, timeout=60)
verb, path, body = sys.argv[1:4]
way.request(verb, path, body or None, {'Content-Type': 'application/json'})
answer = way.getresponse()
print(json.dumps([answer.status, answer.read().decode()]))
"""


def expect(good: object, what: str) -> None:
    """One finding, said as it is made."""
    if not good:
        raise SetupError(f"FAILED: {what}")
    say(f"ok: {what}")


# --- the base ---------------------------------------------------------------------------------


def choose_base(engine: Engine) -> str | None:
    """BASE_IMAGE; or None for the Dockerfile's own, where it can be had; or one made here."""
    if named := os.environ.get("BASE_IMAGE"):
        return named
    with suppress(SetupError, subprocess.TimeoutExpired):
        engine.run("pull", "--quiet", DEFAULT_BASE, seconds=300)
        return None
    say(f"{DEFAULT_BASE} cannot be pulled: making a Debian base in {WORK.relative_to(ROOT)}")
    archive = WORK / "base.tar"
    if not archive.exists():
        make_base()
    engine.run("import", str(archive), OWN_BASE, seconds=300)
    return OWN_BASE


def make_base() -> None:
    """A minimal Debian 12 with Python, from Debian's archive, as a tar file."""
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        raise SetupError("debootstrap and root are needed, or BASE_IMAGE must name an image here")
    tree = WORK / "base"
    shutil.rmtree(tree, ignore_errors=True)
    tree.parent.mkdir(parents=True, exist_ok=True)
    partial = WORK / "base.tar.partial"
    steps = [
        ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(tree)],
        ["tar", "-C", str(tree), "--exclude=./dev/*", "--exclude=./var/cache/apt/archives/*",
         "-cf", str(partial), "."],
    ]  # fmt: skip
    for argv in steps:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode != 0:
            raise SetupError(f"{argv[0]} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    partial.replace(WORK / "base.tar")
    shutil.rmtree(tree)


# --- containers -------------------------------------------------------------------------------


class Container:
    """A running container of the image; removed at the end, whatever happened."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name

    def start(self, image: str, volume: str, options: list[str], *command: str) -> None:
        argv = ["run", "--detach", "--name", self.name, *LOCKED_DOWN, *words("RUN_OPTIONS")]
        argv += ["--volume", f"{volume}:/data", *options, image, *command]
        self.engine.run(*argv)

    def exec(self, *argv: str) -> str:
        return self.engine.run("exec", self.name, *argv)

    def python(self, code: str, *args: str) -> Any:
        return json.loads(self.exec("python3", "-c", code, *args))

    def ask(self, verb: str, path: str, body: object = None) -> tuple[int, str]:
        status, text = self.python(ASK, verb, path, json.dumps(body) if body is not None else "")
        return int(status), str(text)

    def logs(self) -> str:
        """Both streams: what the program said."""
        done = subprocess.run(
            self.engine.argv("logs", self.name),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60,
        )  # fmt: skip
        return done.stdout

    def state(self) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.engine.run("container", "inspect", self.name))
        state: dict[str, Any] = found[0]["State"]
        return state

    def until(self, look: Callable[[], object], what: str) -> None:
        """Asked four times a second; a container that ends is a failure at once."""
        end = time.monotonic() + PATIENCE
        while True:
            with suppress(SetupError, ValueError):
                if look():
                    return
            if not self.state()["Running"] or time.monotonic() > end:
                raise SetupError(f"{self.name}: waited in vain for {what}\n{self.logs()[-3000:]}")
            time.sleep(0.25)

    def stop(self) -> tuple[int, float]:
        """Exit status and seconds of a polite stop."""
        began = time.monotonic()
        self.engine.run("stop", "--time", "20", self.name)
        return int(self.state()["ExitCode"]), time.monotonic() - began

    def remove(self) -> None:
        with suppress(SetupError):
            self.engine.run("rm", "--force", self.name)


class Bench:
    """The containers and volumes of one run, under names that no other run has."""

    def __init__(self, engine: Engine, image: str, stack: ExitStack) -> None:
        self.engine, self.image, self._stack = engine, image, stack
        self._mark = f"spark-control-test-{os.getpid()}"

    def volume(self, name: str) -> str:
        volume = f"{self._mark}-{name}"
        self.engine.run("volume", "create", volume)
        self._stack.callback(self._drop_volume, volume)
        return volume

    def _drop_volume(self, volume: str) -> None:
        with suppress(SetupError):
            self.engine.run("volume", "rm", "--force", volume)

    def container(self, name: str, volume: str, *command: str, beside: str = "") -> Container:
        made = Container(self.engine, f"{self._mark}-{name}")
        self._stack.callback(made.remove)
        network = [f"--network=container:{beside}"] if beside else ["--network=none"]
        made.start(self.image, volume, network, *command)
        return made


# --- what must hold ---------------------------------------------------------------------------


def check_image(engine: Engine, name: str) -> None:
    """What the image says of itself."""
    config = engine.image(name)["Config"]
    labels = config.get("Labels") or {}
    expect(config["User"] == "1000:1000", "the image's user is 1000:1000")
    expect(config["Entrypoint"] == ["spark-control"], "its entry point is spark-control")
    expect(list(config["ExposedPorts"]) == ["9999/tcp"], "it exposes 9999 and nothing else")
    expect("/data" in config["Volumes"], "/data is its volume")
    for key in ("title", "description", "licenses", "version", "revision", "created"):
        expect(labels.get(f"org.opencontainers.image.{key}"), f"it has the label {key}")


def health_check(engine: Engine, name: str) -> list[str]:
    """docker shows it in the image's configuration, podman beside it."""
    about = engine.image(name)
    found = about["Config"].get("Healthcheck") or about.get("Healthcheck") or {}
    return [str(word) for word in found.get("Test", [])]


def check_cage(app: Container) -> None:
    """What the process can and cannot do."""
    seen = app.python(CAGE, *ABSENT)
    expect((seen["uid"], seen["gid"]) == (1000, 1000), "it runs as 1000:1000")
    expect(not any(seen["caps"].values()), "it has no capability, nor can it gain one")
    expect(seen["no_new_privs"] == 1, "no-new-privileges is on")
    expect(seen["root"] in {"EROFS", "EACCES"}, f"/ cannot be written ({seen['root']})")
    expect(seen["code"] in {"EROFS", "EACCES"}, f"nor can its code ({seen['code']})")
    expect(seen["data"] is None, "/data can be written")
    expect(seen["server"].startswith("/opt/venv/"), f"it runs from {seen['server']}")
    expect(not seen["present"], f"none of {', '.join(ABSENT)} is inside {seen['present'] or ''}")
    expect(seen["keygen"], f"ssh-keygen is inside; Python {seen['python']}")


def check_first_start(bench: Bench) -> None:
    """On an empty volume, as a new owner starts it."""
    app = bench.container("first", bench.volume("first"))
    app.until(lambda: app.ask("GET", "/readyz")[0] == 200, "/readyz on an empty volume")
    expect(app.ask("GET", "/")[0] == 200, "an empty volume: ready, and the dashboard answers")
    mode = app.exec("stat", "-c", "%a %u", "/data/ssh/id_ed25519").strip()
    expect(mode == "600 1000", f"its key was made ({mode})")
    check = health_check(bench.engine, bench.image)
    expect(check[:1] == ["CMD"], "it has a health check that needs no shell")
    app.exec(*check[1:])
    say("ok: the health check passes")
    code, seconds = app.stop()
    expect(code == 0, f"stopped with exit status {code} in {seconds:.1f} s")


def check_swap(bench: Bench) -> None:
    """A model, an answer, a restart in between."""
    volume = bench.volume("data")
    options = ("--hosts", "2", "--dir", "/data", "--load-seconds", "3")
    sim = bench.container("sim", volume, "sim", *options)
    sim.until(lambda: '"control"' in sim.logs(), "the simulated cluster")
    app = bench.container("app", volume, beside=sim.name)
    app.until(lambda: app.ask("GET", "/readyz")[0] == 200, "/readyz")
    check_cage(app)
    app.exec("spark-control", "doctor")
    listed = json.loads(app.ask("GET", "/api/v1/models")[1])["models"]
    model = next(m["id"] for m in listed if m["source"].get("path") and m.get("nodes", 1) == 1)
    began = time.monotonic()
    app.exec("spark-control", "swap", model)
    say(f"ok: swapped {model} in within {time.monotonic() - began:.1f} s (a load of 3 s)")
    chat(app, model)
    code, seconds = app.stop()
    expect(code == 0, f"stopped with exit status {code} in {seconds:.1f} s while serving")
    bench.engine.run("start", app.name)
    app.until(lambda: chat(app, model, quiet=True), "an answer after the restart")
    say("ok: started again, it found the engine and answers")
    expect(app.stop()[0] == 0, "stopped again")
    code, seconds = sim.stop()
    expect(code == 0, f"the simulated cluster ended with exit status {code} in {seconds:.1f} s")


def chat(app: Container, model: str, *, quiet: bool = False) -> bool:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 16}
    status, text = app.ask("POST", "/v1/chat/completions", body)
    good = status == 200 and bool(json.loads(text)["choices"][0]["message"]["content"])
    if not quiet:
        expect(good, f"{model} answers through /v1 (HTTP {status})")
    return good


def main(args: list[str]) -> int:
    began = time.monotonic()
    try:
        engine = find_engine()
        base = choose_base(engine)
        based = time.monotonic()
        name = build(engine, base, args)
        built = time.monotonic()
        with ExitStack() as stack:
            bench = Bench(engine, name, stack)
            check_image(engine, name)
            check_first_start(bench)
            check_swap(bench)
    except (SetupError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    told = f"{size(engine, name)}, of it the base {size(engine, base or DEFAULT_BASE)}"
    say(f"{name}: {told}")
    say(
        f"base {based - began:.0f} s, build {built - based:.0f} s, "
        f"checks {time.monotonic() - built:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
