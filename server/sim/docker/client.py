"""`docker` on a simulated host: sends argv and open files to the daemon, prints the answer.

Owns docker's words when the daemon cannot be reached, and reading of logs. Standard library only.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from server.sim.docker.words import DockerError, parse
from server.sim.layout import HostDir

POLL_SECONDS = 0.04
HEAD_BYTES = 4
DENIED = (
    "permission denied while trying to connect to the Docker daemon socket at "
    'unix:///var/run/docker.sock: Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.51/containers/json": '
    "dial unix /var/run/docker.sock: connect: permission denied"
)
UNREACHABLE = (
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. "
    "Is the docker daemon running?"
)


def main(argv: Sequence[str]) -> int:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    host = HostDir.from_environment()
    told = host.scenario.docker
    if told == "absent":
        sys.stderr.write("sh: 1: docker: not found\n")
        return 127
    try:
        name = parse(argv).name
    except DockerError as problem:
        sys.stderr.write(problem.text)
        return problem.code
    if told in ("denied", "down"):
        return _refused(name, DENIED if told == "denied" else UNREACHABLE)
    with socket.socket(socket.AF_UNIX) as link:
        handle = os.open(host.state, os.O_RDONLY | os.O_DIRECTORY)
        try:
            link.connect(f"/proc/self/fd/{handle}/docker.sock")
        except OSError:
            return _refused(name, UNREACHABLE)
        finally:
            os.close(handle)
        return _talk(link, argv)


def _refused(name: str, text: str) -> int:
    """How the client of docker 28 fails when it has no daemon."""
    if name == "run":
        sys.stderr.write(f"docker: {text}\n\nRun 'docker run --help' for more information\n")
        return 125
    if name == "inspect":
        sys.stdout.write("[]\n")
    sys.stderr.write(f"{text}\n")
    return 1


def _talk(link: socket.socket, argv: Sequence[str]) -> int:
    request = {"argv": list(argv), "environ": dict(os.environ), "cwd": str(Path.cwd())}
    body = json.dumps(request).encode()
    socket.send_fds(link, [len(body).to_bytes(HEAD_BYTES, "big")], [0, 1, 2])
    link.sendall(body)
    with link.makefile("r") as lines:
        line = lines.readline()
        if not line:
            sys.stderr.write("error during connect: EOF\n")
            return 1
        answer: dict[str, Any] = json.loads(line)
        sys.stdout.write(answer["out"])
        sys.stdout.flush()
        sys.stderr.write(answer["err"])
        if answer["follow"]:
            return _follow(answer["follow"], link if answer["live"] else None, lines)
    return int(answer["code"])


def _follow(asked: dict[str, Any], link: socket.socket | None, lines: TextIO) -> int:
    """Print the log; with `link`, until the daemon says that the container has ended."""
    code = 0
    try:
        file = Path(asked["log"]).open()  # noqa: SIM115  (closed below)
    except FileNotFoundError:
        file = None
    with file or contextlib.nullcontext() as log:
        if log is not None:
            _skip(log, asked)
        while True:
            _copy(log, asked)
            if link is None:
                return code
            if select.select([link], [], [], POLL_SECONDS)[0]:
                last = lines.readline()
                _copy(log, asked)
                code = int(json.loads(last)["exit"]) if last else 1
                return code if asked["exit"] else 0


def _skip(log: TextIO, asked: dict[str, Any]) -> None:
    """Go to where --tail and --since begin."""
    since = _since(asked.get("since"))
    raw_tail = asked.get("tail")
    tail = None if raw_tail in (None, "all") else int(str(raw_tail))
    if tail is None and since is None:
        return
    wanted: list[int] = []
    while True:
        at = log.tell()
        line = log.readline()
        if not line.endswith("\n"):
            break
        if since is None or json.loads(line)["time"][:26] >= since:
            wanted.append(at)
    if tail is not None:
        wanted = wanted[-tail:] if tail > 0 else []
    if wanted:
        log.seek(wanted[0])


def _since(text: str | None) -> str | None:
    """RFC 3339, seconds since the epoch, or a duration such as `10m`, as a comparable text."""
    if not text:
        return None
    units = {"s": 1, "m": 60, "h": 3600}
    if text[-1] in units and text[:-1].isdigit():
        moment = datetime.now(UTC) - timedelta(seconds=int(text[:-1]) * units[text[-1]])
    elif text.replace(".", "", 1).isdigit():
        moment = datetime.fromtimestamp(float(text), UTC)
    else:
        whole = text.replace("Z", "+00:00")
        if "." in whole:
            head, _, rest = whole.partition(".")
            zone = rest.lstrip("0123456789")
            whole = f"{head}.{rest[: len(rest) - len(zone)][:6]:0<6}{zone}"
        moment = datetime.fromisoformat(whole)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _copy(log: TextIO | None, asked: dict[str, Any]) -> None:
    if log is None:
        return
    while True:
        at = log.tell()
        line = log.readline()
        if not line.endswith("\n"):
            log.seek(at)  # half a line: the daemon is still writing it
            break
        entry = json.loads(line)
        target = sys.stderr if entry["stream"] == "stderr" else sys.stdout
        stamp = f"{entry['time']} " if asked["timestamps"] else ""
        target.write(stamp + entry["log"])
    sys.stdout.flush()
    sys.stderr.flush()
