"""The same swap without us: what a person would put into one script of plain `ssh` commands.

Stop the container, wait for its memory, run the next one, poll its health, ask it for a streamed
answer. The poll and the question are sent from here, as ours are, and cost the script no process.
"""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from tests.sim_cluster import Sim

POLL_SECONDS = 0.2
STEP_SECONDS = 60


def have_ssh() -> bool:
    return shutil.which("ssh") is not None


@dataclass(frozen=True, slots=True)
class Ssh:
    """The command line client towards one host. `master`: a socket for ControlMaster."""

    sim: Sim
    host: str
    master: Path | None = None

    def _argv(self) -> list[str]:
        at = self.sim.hosts[self.host]
        options = {
            "UserKnownHostsFile": str(self.sim.known_hosts),
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "LogLevel": "ERROR",
        }
        if self.master is not None:
            options |= {
                "ControlMaster": "auto",
                "ControlPath": str(self.master),
                "ControlPersist": "60",
            }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "/dev/null", "-i", str(self.sim.key), "-p", str(at.port), *words]

    def run(self, command: str) -> str:
        done = subprocess.run(
            [*self._argv(), f"ubuntu@{self.sim.hosts[self.host].address}", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=STEP_SECONDS,
        )
        if done.returncode != 0:
            raise RuntimeError(f"ssh {command!r} failed: {done.stderr}{done.stdout}")
        return done.stdout

    def leave(self) -> None:
        """End the master, when there is one."""
        if self.master is not None:
            leave = [*self._argv(), "-O", "exit", f"ubuntu@{self.sim.hosts[self.host].address}"]
            subprocess.run(leave, capture_output=True, check=False, timeout=STEP_SECONDS)


@dataclass(slots=True)
class Laps:
    """Seconds of each step of one run."""

    began: float = field(default_factory=time.time)
    steps: dict[str, float] = field(default_factory=dict)

    def lap(self, name: str) -> None:
        self.steps[name] = time.time() - self.began - sum(self.steps.values())

    @property
    def total(self) -> float:
        return sum(self.steps.values())


def swap(ssh: Ssh, *, container: str, run: str, served: str, free_kib: int, grace: int) -> Laps:
    """One swap by script. `run` is the `docker run` line; `free_kib` what must be available."""
    laps = Laps()
    try:
        ssh.run(f"docker stop -t {grace} {container} && docker rm {container}")
        laps.lap("stop")
        enough = f"[ $(awk '/MemAvailable/{{print $2}}' /proc/meminfo) -ge {free_kib} ]"
        ssh.run(f"until {enough}; do sleep {POLL_SECONDS}; done")
        laps.lap("wait for memory")
        ssh.run(run)
        laps.lap("run")
        until_healthy(ssh.sim.engine_url(ssh.host))
        laps.lap("load")
        ask(ssh.sim.engine_url(ssh.host), served)
        laps.lap("answer")
    finally:
        ssh.leave()
    return laps


def until_healthy(url: str) -> None:
    end = time.monotonic() + STEP_SECONDS
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=3) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"{url} did not become healthy")


def ask(url: str, model: str) -> None:
    """Until the first token of a streamed answer."""
    body = {
        "model": model,
        "stream": True,
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "Answer with one word: ready?"}],
    }
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=STEP_SECONDS) as answer:
        for line in answer:
            if b'"content": "' in line or b'"content":"' in line:
                return
    raise RuntimeError("the engine streamed no answer")
