"""A reference engine as a process of its own, ready before it is handed out.

A machine without the weights fails here, with the sentence that says what to install.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 200


@contextlib.contextmanager
def running(*options: str) -> Iterator[httpx.Client]:
    """A client of a ready engine, which ends with the block."""
    argv = [sys.executable, "-m", "server.cli.main", "engine", "audio", "--port", "0", *options]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, "the reference engine did not start"
            with httpx.Client(base_url=json.loads(line)["url"], timeout=SECONDS) as client:
                _wait(client)
                yield client
        finally:
            process.terminate()


def _wait(client: httpx.Client) -> None:
    deadline = time.monotonic() + SECONDS
    while (body := client.get("/health").json())["status"] == "loading":
        assert time.monotonic() < deadline, "the models are not loaded"
        time.sleep(0.1)  # another process loads them
    missing = {state for state in body["models"].values() if state != "ready"}
    if missing:
        pytest.fail("\n".join(sorted(missing)))
