"""The app as a process beside a simulated cluster: started, asked, killed, started again."""

import asyncio
import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.sim_cluster import Sim, running_sim

ROOT = Path(__file__).resolve().parent.parent.parent
FINAL = {"serving", "unloaded", "rolled_back", "failed", "cancelled"}
PATIENCE = 90.0
PAUSE = 0.02
BY_HAND = "gateway: {auto_swap: false}\n"
"""Settings of tests that swap themselves: asking for a model must not change what is served."""

ONE, TWO, THREE = "qwen3-0.6b", "llama-3.1-8b", "gpt-oss-20b"


def until(look: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """The first truthy answer of `look`. Fails, saying what was waited for."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(PAUSE)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment() -> dict[str, str]:
    """Ours, but with bytecode kept: these tests start the app again and again."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONUNBUFFERED": "1"}


class House:
    """Spark Control over a data directory: that of the simulated cluster, unless told otherwise."""

    def __init__(self, sim: Sim, data: Path | None = None) -> None:
        self.sim = sim
        self.data = data or sim.dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=30)
        self.process: subprocess.Popen[bytes] | None = None
        self.log = sim.dir / "serve.log"
        self.config = self.data / "config.yaml"
        self.front: tuple[str, ...] = ()
        self._edits = 0

    # ---- the process

    def start(self) -> None:
        argv = [*self.front, sys.executable, "-m", "server.cli.main"]
        argv += ["serve", "--data", str(self.data)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*argv, "--port", str(self.port)],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=environment(),
            )
        until(self._answers, "the app to listen")

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the app ended:\n{self.log.read_text()[-3000:]}")
        try:
            return self.http.get("/livez").status_code == 200
        except httpx.TransportError:
            return False

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """-9: no chance to tidy up."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """TERM; the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    # ---- asking

    def get(self, path: str, **query: Any) -> Any:
        answer = self.http.get(f"/api/v1{path}", params=query or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, *, status: int = 202) -> Any:
        answer = self.http.post(f"/api/v1{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def ask(self, model: str, **more: Any) -> str:
        swap_id: str = self.post("/swaps", {"model": model, **more})["id"]
        return swap_id

    def swap_now(self, swap_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/swaps/{swap_id}")
        return found

    def reached(self, swap_id: str, *states: str) -> dict[str, Any]:
        """The swap when it is first seen in one of `states`; fails when it ended before."""

        now: dict[str, Any] = {}

        def look() -> bool:
            now.update(self.swap_now(swap_id))
            if now["state"] in states:
                return True
            assert now["state"] not in FINAL, json.dumps(now, indent=1)
            return False

        try:
            until(look, f"{swap_id} to be {' or '.join(states)}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it stands so:\n{json.dumps(now, indent=1)}") from None
        return now

    def ended(self, swap_id: str) -> dict[str, Any]:
        return self.reached(swap_id, *FINAL)

    def swap(self, model: str, **more: Any) -> dict[str, Any]:
        return self.ended(self.ask(model, **more))

    def served(self) -> str | None:
        listed = self.http.get("/v1/models").json()["data"]
        data = [one for one in listed if one["kind"] == "llm"]
        return next((one["id"] for one in data if one["state"] == "serving"), None)

    def chat(self, model: str) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}
        return self.http.post("/v1/chat/completions", json=body)

    def hosts_up(self) -> None:
        def up() -> bool:
            hosts = self.get("/hosts")["hosts"]
            return bool(hosts) and all(host["health"] == "up" for host in hosts)

        until(up, "every host to be up")

    # ---- truth on the hosts

    def kill_engine(self, host: str) -> None:
        """As the kernel's OOM killer would: KILL, with nobody asked."""
        self.on_host(host, "docker kill spark-control-engine")

    def on_host(self, host: str, command: str) -> str:
        """What a shell on the host says to `command`, over an SSH session of our own."""

        async def ask() -> str:
            async with await self.sim.connect(host) as connection:
                answer = await connection.run(command, check=True)
                return str(answer.stdout)

        return asyncio.run(ask())

    def inspected(self, host: str, container: str = "spark-control-engine") -> dict[str, Any]:
        """What docker says of a container."""
        found: list[dict[str, Any]] = json.loads(
            self.on_host(host, f"docker inspect {shlex.quote(container)}")
        )
        return found[0]

    def settle(self, **engine: Any) -> None:
        """Other engine settings, written into config.yaml as a person would; None takes one out.

        Returns when they are in force: a number at the last service says which edit that is.
        """
        self._edits += 1
        body = yaml.safe_load(self.config.read_text())
        body["engine"] = {
            key: value for key, value in (body["engine"] | engine).items() if value is not None
        }
        body["services"][-1]["max_in_flight"] = mark = self._edits
        self.config.write_text(yaml.safe_dump(body, sort_keys=False))

        def taken() -> bool:
            return bool(self.get("/services")["services"][-1]["max_in_flight"] == mark)

        until(taken, "the settings to be taken")

    def engines(self) -> list[str]:
        """Names of running engine containers on all hosts, with their model."""
        found = []
        for name in self.sim.hosts:
            for container in self.sim.containers(name).values():
                labels = container.get("labels", {})
                if labels.get("spark-control.engine") and container["status"] == "running":
                    found.append(f"{name}:{labels['spark-control.model']}")
        return found


@contextlib.contextmanager
def running_house(
    tmp_path: Path, hosts: int = 2, *, settings: str = "", **scenario: Any
) -> Iterator[House]:
    """A cluster and the app over it. `settings` is appended to config.yaml."""
    with running_sim(tmp_path, hosts, **scenario) as sim:
        if settings:
            with sim.config.open("a") as config:
                config.write(settings)
        house = House(sim)
        house.start()
        try:
            house.hosts_up()
            yield house
        finally:
            house.stop()
            house.http.close()
