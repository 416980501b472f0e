"""One call of the docker client and its answer, as they cross the socket.

Frozen values. Owns their encoding; refuses to know what a command does.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.sim.docker.container import Container


@dataclass(frozen=True, slots=True)
class Call:
    """What a client sent: argv, environment, directory, and its three open files.

    The files are let go as soon as nobody needs them: whoever reads the client's output would
    otherwise wait for the daemon to close it.
    """

    argv: tuple[str, ...]
    environ: dict[str, str]
    cwd: Path
    files: list[int]

    def release(self) -> None:
        while self.files:
            os.close(self.files.pop())


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client prints. `follow` makes it read a log until the container ends."""

    out: str = ""
    err: str = ""
    code: int = 0
    follow: dict[str, Any] | None = None
    container: Container | None = None


def encode(answer: Answer) -> bytes:
    """One line for the client."""
    body = {"out": answer.out, "err": answer.err, "code": answer.code, "follow": answer.follow}
    body["live"] = answer.container is not None
    return json.dumps(body).encode() + b"\n"
