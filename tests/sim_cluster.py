"""The simulated cluster as a handle for tests: started as a process of its own, changed over HTTP.

Owns starting and stopping it; knows nothing of how it works inside.
"""

import contextlib
import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

START = """
import os, signal, sys, threading
from pathlib import Path
from server.sim.command import run

def end_with_the_tests():  # their death, however sudden, closes our stdin
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=end_with_the_tests, daemon=True).start()
run(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:])
"""
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class SimHostInfo:
    """Where one host is reached."""

    name: str
    address: str
    port: int
    cluster_address: str
    directory: Path


class Sim:
    """A running simulated cluster. `dir` is a ready data directory for `serve --data`."""

    def __init__(self, directory: Path, control: str, process: "subprocess.Popen[str]") -> None:
        self.dir = directory
        self.control = control
        self.process = process
        self.config = directory / "config.yaml"
        self.key = directory / "ssh" / "id_ed25519"
        self.known_hosts = directory / "ssh" / "known_hosts"
        about = json.loads((directory / "sim.json").read_text())
        self.engine_port: int = about["engine_port"]
        self.hosts = {
            name: SimHostInfo(
                name, at["address"], at["port"], at["cluster_address"], directory / name
            )
            for name, at in about["hosts"].items()
        }

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One request to the control URL."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.control + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def host(self, name: str) -> dict[str, Any]:
        """All the simulator knows of a host: link, memory, containers, processes, scenario."""
        found: dict[str, Any] = self.call("GET", f"/hosts/{name}")
        return found

    def scenario(self, name: str, **changes: Any) -> dict[str, Any]:
        """Change a host's scenario; what is not named stays."""
        told: dict[str, Any] = self.call("PUT", f"/hosts/{name}/scenario", changes)
        return told

    def act(self, name: str, action: str) -> None:
        """down, up, cut, restore, new-host-key or reboot."""
        self.call("POST", f"/hosts/{name}/{action}")

    def processes(self, name: str) -> list[int]:
        """The pid of every process that runs on the host, sessions and containers alike."""
        pids: list[int] = self.host(name)["processes"]
        return pids

    def containers(self, name: str) -> dict[str, dict[str, Any]]:
        return {c["name"]: c for c in self.host(name)["containers"]}

    def model(self, ident: str) -> str:
        """The path of one of the local models; the same on every host."""
        return str(self.dir / "srv" / "models" / ident)

    def engine_url(self, name: str = "spark-1") -> str:
        return f"http://{self.hosts[name].address}:{self.engine_port}"

    async def connect(self, name: str, user: str = "ubuntu") -> asyncssh.SSHClientConnection:
        """A plain asyncssh connection, for tests of what is behind it."""
        at = self.hosts[name]
        return await asyncssh.connect(
            at.address,
            at.port,
            username=user,
            client_keys=[str(self.key)],
            known_hosts=str(self.known_hosts),
            config=None,
            agent_path=None,
        )

    def kill(self) -> None:
        """-9: the simulator gets no chance to clean up."""
        self.process.kill()
        self._waited(10)

    def stop(self) -> int:
        """TERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._waited(15)

    def _waited(self, seconds: float) -> int:
        code = self.process.wait(seconds)
        if self.process.stdin is not None:
            self.process.stdin.close()
        return code


def start_sim(
    directory: Path,
    hosts: int = 2,
    *,
    load_seconds: float = 0.5,
    fail: str = "none",
    audio: str = "canned",
) -> Sim:
    """Start a simulated cluster on `directory`. The caller stops it.

    With `audio` "reference" its services hear and speak for real; it takes seconds to start.
    """
    directory.mkdir(parents=True, exist_ok=True)
    told = (str(hosts), str(directory), str(load_seconds), fail, audio)
    argv = [sys.executable, "-c", START, *told]
    with (directory / "sim.log").open("a") as log:
        process = subprocess.Popen(
            argv,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    assert process.stdout is not None
    with process.stdout:
        line = process.stdout.readline()
    if not line:
        process.wait(10)
        assert process.stdin is not None
        process.stdin.close()
        raise RuntimeError(f"the simulator did not start:\n{(directory / 'sim.log').read_text()}")
    return Sim(directory, json.loads(line)["control"], process)


@contextlib.contextmanager
def running_sim(
    tmp_path: Path,
    hosts: int = 2,
    *,
    load_seconds: float = 0.5,
    fail: str = "none",
    audio: str = "canned",
    **scenario: Any,
) -> Iterator[Sim]:
    """A simulated cluster in `tmp_path`/sim; further keys go to the scenario of every host."""
    sim = start_sim(tmp_path / "sim", hosts, load_seconds=load_seconds, fail=fail, audio=audio)
    try:
        if scenario:
            for name in sim.hosts:
                sim.scenario(name, **scenario)
        yield sim
    finally:
        sim.stop()
