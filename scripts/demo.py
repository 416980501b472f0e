"""`make demo`: a simulated cluster of two Sparks, the app, one swap, one answer, the dashboard.

Runs inside the locked environment and uses the product as a stranger would: two programs of their
own (`spark-control sim`, `spark-control serve`) and plain HTTP. Owns their lives: whatever way this
ends (done, Ctrl-C, a failure), both are stopped and the data directory is removed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from server.cli.client import Client, path
from server.cli.errors import CliError
from server.cli.inert import inert
from server.cli.progress import watch
from server.cli.swap import summarise

HOST = "127.0.0.1"
PORT = 9999
LOAD_SECONDS = 8.0
READY_SECONDS = 60.0
QUESTION = "Which machine are you running on?"
PROGRAM = str(Path(sys.executable).parent / "spark-control")


class DemoError(Exception):
    """Why the demo cannot go on; its text is the cause."""


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Interrupts:
    """Ctrl-C, SIGTERM and SIGHUP all mean the same: stop, and leave nothing behind.

    `held()` keeps one back while a program is being started (else it could run unknown to us);
    `ignore()` is for the end, where a second Ctrl-C must not cut the tidying short.
    """

    def __init__(self) -> None:
        self._held = False
        self._pending = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._arrived)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        if self._held:
            self._pending = True
        else:
            raise KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._pending:
            raise KeyboardInterrupt

    def ignore(self) -> None:
        self._held = True


class Child:
    """One of our programs, in a session of its own so that Ctrl-C reaches only this script."""

    def __init__(self, name: str, argv: list[str], folder: Path) -> None:
        self.name = name
        self.out, self.log = folder / f"{name}.out", folder / f"{name}.log"
        with self.out.open("wb") as out, self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [PROGRAM, name, *argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                start_new_session=True,
            )

    def check(self) -> None:
        code = self.process.poll()
        if code is not None:
            raise DemoError(f"spark-control {self.name} ended with exit code {code}\n{self.tail()}")

    def tail(self, lines: int = 15) -> str:
        text = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(f"    {line}" for line in text)

    def stop(self, seconds: float = 10.0) -> None:
        """Ask, wait, then insist. Safe to call twice."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Demo:
    """What is running, and the order in which it goes: app, cluster, engines, directory."""

    def __init__(self, stack: ExitStack, interrupts: Interrupts) -> None:
        self._stack = stack
        self._interrupts = interrupts
        with interrupts.held():
            self.folder = Path(tempfile.mkdtemp(prefix="spark-control-demo-")).resolve()
            stack.callback(remove, self.folder)
            stack.callback(end_processes_of, self.folder)
        self.data = self.folder / "data"

    def start(self, name: str, *argv: str) -> Child:
        with self._interrupts.held():
            child = Child(name, list(argv), self.folder)
            self._stack.callback(child.stop)
        return child


def check_port(port: int) -> None:
    """Say at once that the port is taken, before anything is started."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise DemoError(
                f"port {port} on {HOST} cannot be used ({error.strerror}). Stop what is listening "
                f'there, or choose another: make demo ARGS="--port {port + 1}"'
            ) from None


def wait_for(child: Child, ready: Callable[[], bool]) -> None:
    """Until `ready`, asked ten times a second. A child that ends or stays silent is a failure."""
    deadline = time.monotonic() + READY_SECONDS
    while not ready():
        child.check()
        if time.monotonic() > deadline:
            raise DemoError(f"spark-control {child.name} did not get ready\n{child.tail()}")
        time.sleep(0.1)


def start_cluster(demo: Demo, load_seconds: float, fail: str) -> None:
    """The simulated cluster; returns when it has printed its one line."""
    options = ["--load-seconds", str(load_seconds), "--fail", fail]
    child = demo.start("sim", "--hosts", "2", "--dir", str(demo.data), *options)
    wait_for(child, lambda: "\n" in child.out.read_text(errors="replace"))


def start_app(demo: Demo, port: int) -> Child:
    """The app on the simulated cluster's data directory; returns when it answers."""
    options = ["--host", HOST, "--port", str(port)]
    child = demo.start("serve", *options, "--data", str(demo.data))

    def answers() -> bool:
        with Client(f"http://{HOST}:{port}", read_seconds=5.0) as client:
            try:
                client.get("/livez")
            except CliError:
                return False
        return True

    wait_for(child, answers)
    return child


def choose_model(client: Client) -> str:
    """The first model that lies in a directory on the simulated hosts."""
    for model in client.get_list(path("models"), "models"):
        source = model.get("source")
        if isinstance(source, dict) and source.get("path") and model.get("nodes", 1) == 1:
            return str(model["id"])
    raise DemoError("the catalog has no local model to swap in")


def swap_in(client: Client, model: str) -> None:
    say(f"Swapping in {model} through POST /api/v1/swaps …")
    record = client.as_object(client.post(path("swaps"), {"model": model}))
    record = watch(client, str(record.get("id", "")))
    summarise(record)
    if record.get("state") != "serving":
        raise DemoError(f"the swap ended as {record.get('state')}")


def ask(client: Client, model: str) -> None:
    """One question through the gateway; the answer is printed as it streams."""
    say(f"\nAsking it through POST /v1/chat/completions: {QUESTION}")
    body = {
        "model": model,
        "messages": [{"role": "user", "content": QUESTION}],
        "stream": True,
        "max_tokens": 64,
    }
    words = 0
    with client.stream("POST", "/v1/chat/completions", json=body) as response:
        for text in answer_pieces(response.iter_lines()):
            sys.stdout.write(inert(text))
            sys.stdout.flush()
            words += 1
    say("")
    if not words:
        raise DemoError("the model answered nothing")


def answer_pieces(lines: Iterator[str]) -> Iterator[str]:
    """The text of each streamed chunk; an error frame ends the demo with its message."""
    for line in lines:
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        chunk: dict[str, Any] = json.loads(data)
        if error := chunk.get("error"):
            raise DemoError(f"the answer broke off: {error.get('message', error)}")
        for choice in chunk.get("choices", []):
            if text := choice.get("delta", {}).get("content"):
                yield text


def end_processes_of(directory: Path) -> None:
    """The last belt: engines outlive their SSH connection, and must not outlive the demo.

    Only processes whose environment names a host inside our own directory are touched.
    """
    mark = b"SIM_HOST=" + os.fsencode(directory) + b"/"
    deadline = time.monotonic() + 5.0
    while (left := _processes_of(mark)) and time.monotonic() < deadline:
        for pid in left:
            with suppress(OSError):  # gone already
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _processes_of(mark: bytes) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone already, or another user's
            if mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        sys.stderr.write(f"{folder} could not be removed whole\n")


def show(options: argparse.Namespace, demo: Demo) -> Child:
    """From nothing to an answer. Returns the running app."""
    url = f"http://{HOST}:{options.port}"
    say("Starting a simulated cluster of two Sparks …")
    start_cluster(demo, options.load_seconds, options.fail)
    say(f"Starting Spark Control on {url} …")
    app = start_app(demo, options.port)
    with Client(url) as client:
        model = choose_model(client)
        swap_in(client, model)
        ask(client, model)
    return app


def stay(app: Child, url: str) -> None:
    """Leave the dashboard up; Ctrl-C is the wanted end."""
    with suppress(KeyboardInterrupt):
        say(f"\nThe dashboard is at {url} (Ctrl-C stops it).")
        while True:
            app.check()
            time.sleep(0.5)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make demo", description="Show Spark Control at work.")
    parser.add_argument("--once", action="store_true", help="stop after the answer")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--load-seconds", type=float, default=LOAD_SECONDS)
    parser.add_argument("--fail", choices=["none", "oom", "load", "crash", "hang"], default="none")
    options = parser.parse_args(argv)
    interrupts = Interrupts()
    code = 1
    with ExitStack() as stack:
        try:
            check_port(options.port)
            app = show(options, Demo(stack, interrupts))
            if not options.once:
                stay(app, f"http://{HOST}:{options.port}")
            code = 0
        except KeyboardInterrupt:
            code = 130
        except (DemoError, CliError) as error:
            sys.stderr.write(f"\nThe demo failed: {inert(error)}\n")
        interrupts.ignore()
        say("\nStopping …")
    return code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # between two statements of main: all is stopped by now
        sys.exit(130)
