"""The reference engine beside a simulated cluster, so that its services hear and speak for real.

Owns one process for all hosts (the models are large) and the file that tells the services where
it is. Refuses to start without its weights: a simulator that was asked for real speech must not
make it up.
"""

import asyncio
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import server
from server.sim.layout import REFERENCE, write
from server.sim.reaper import Reaper, spawn
from server.sim.services import Kind

LOG = "reference.log"
START_SECONDS = 120.0
LOOK_SECONDS = 0.25
DIARIZER = Kind("sortformer", "diarize", 8003, "sortformer-diarize")
"""Offered besides the others when there is somebody who can do it."""


class NoReferenceError(RuntimeError):
    """The engine cannot be had. The message says what to install."""


async def start(root: Path, reaper: Reaper) -> str:
    """Its address, once it is ready. Raises NoReferenceError. It ends with the simulator."""
    code = str(Path(server.__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, (code, os.environ.get("PYTHONPATH"))))
    env = {**os.environ, "SIM_DIR": str(root), "PYTHONPATH": path}
    argv = [sys.executable, "-m", "server.cli.main", "engine", "audio", "--port", "0"]
    log = root / LOG
    with log.open("wb") as file:
        number = file.fileno()
        pid = spawn(argv, env=env, cwd=root, files=(None, number, number))
    ready = asyncio.ensure_future(_ready(log))
    waited: set[asyncio.Future[Any]] = {reaper.wait(pid), ready}
    await asyncio.wait(waited, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        ready.cancel()
        raise NoReferenceError(f"the reference engine did not start:\n{_tail(log)}")
    url = ready.result()
    write(root / REFERENCE, f"{url}\n")
    return url


async def _ready(log: Path) -> str:
    while True:
        url = _url(log)
        if url is not None:
            status, body = await asyncio.to_thread(_health, url)
            if status == "ok":
                return url
            if status == "incomplete":
                missing = [text for text in body.values() if text != "ready"]
                raise NoReferenceError("\n".join(missing))
        await asyncio.sleep(LOOK_SECONDS)


def _url(log: Path) -> str | None:
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith("{"):
            return str(json.loads(line)["url"])
    return None


def _health(url: str) -> tuple[str, dict[str, str]]:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=10) as answer:
            body = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        body = json.loads(error.read())
    return str(body["status"]), dict(body["models"])


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-5:])
