"""Where things lie in the simulator's directory, and the small files its processes share.

Owns names of files and their atomic writing; refuses to know what is in them.

    DIR/config.yaml models.override.yaml ssh/        a ready data directory for `serve`
    DIR/sim.json                                     hosts and addresses, for the shims
    DIR/reference.url reference.log                  the reference engine, when there is one
    DIR/srv/models srv/spark-vllm-docker             one path that is valid on every host
    DIR/<host>/home                                  HOME and working directory of its sessions
    DIR/<host>/bin cbin                              PATH of the host, and inside its containers
    DIR/<host>/proc                                  what `cat /proc/…` shows there
    DIR/<host>/state                                 memory claims, link, containers, images
    DIR/<host>/scenario.json                         see `scenario.py`
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.sim import scenario
from server.sim.scenario import Scenario

REFERENCE = "reference.url"


@dataclass(frozen=True, slots=True)
class HostDir:
    """The directory of one simulated host."""

    root: Path

    @classmethod
    def from_environment(cls) -> "HostDir":
        """The host this process runs on. Every process of a host carries SIM_HOST."""
        return cls(Path(os.environ["SIM_HOST"]))

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def container_bin(self) -> Path:
        return self.root / "cbin"

    @property
    def proc(self) -> Path:
        return self.root / "proc"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def claims(self) -> Path:
        return self.state / "memory"

    @property
    def containers(self) -> Path:
        return self.state / "containers"

    @property
    def link(self) -> Path:
        return self.state / "link"

    @property
    def scenario_file(self) -> Path:
        return self.root / "scenario.json"

    @property
    def scenario(self) -> Scenario:
        return scenario.read(self.scenario_file)

    @property
    def reference(self) -> str | None:
        """Where the reference engine of the simulator is; None: services give canned answers."""
        try:
            return (self.root.parent / REFERENCE).read_text().strip()
        except FileNotFoundError:
            return None

    @property
    def cluster(self) -> dict[str, Any]:
        """The simulator's `sim.json`: `hosts` is name -> {address, cluster_address}."""
        body: dict[str, Any] = json.loads((self.root.parent / "sim.json").read_text())
        return body

    @property
    def address(self) -> str:
        """The loopback address that stands for all interfaces of this host."""
        return str(self.cluster["hosts"][self.name]["address"])


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a small file whole, so that no reader ever sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.chmod(mode)
    temporary.replace(path)


def write_json(path: Path, body: object) -> None:
    write(path, json.dumps(body, indent=2) + "\n")
