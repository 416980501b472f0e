"""`ssh` on a simulated host to another one: the command runs there, when both links are up.

Owns the passwordless ssh between Sparks that launch-cluster.sh needs. Refuses other destinations
with OpenSSH's own words and its status 255.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from server.sim import kit
from server.sim.layout import HostDir

WITH_VALUE = frozenset("bcDEeFIiJLlmOopQRSWw")


def parse(argv: Sequence[str]) -> tuple[str, list[str]]:
    """(destination without user, command words); the destination is empty when there is none."""
    rest = list(argv)
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag == "--":
            break
        if flag[1:2] in WITH_VALUE and len(flag) == 2 and rest:
            rest.pop(0)
    return (rest[0].rpartition("@")[2], rest[1:]) if rest else ("", [])


def find(host: HostDir, destination: str) -> HostDir | None:
    """The simulated host with that address or name, if its link is up."""
    about = json.loads((host.root.parent / "sim.json").read_text())
    for name, at in about["hosts"].items():
        if destination in (name, at["address"], at["cluster_address"]):
            other = HostDir(Path(host.root.parent / name))
            return other if other.link.read_text().strip() == "up" else None
    return None


def main(argv: Sequence[str]) -> int:
    destination, command = parse(argv)
    if not destination:
        print("usage: ssh [options] destination [command]", file=sys.stderr)
        return 255
    other = find(HostDir.from_environment(), destination)
    if other is None:
        said = f"ssh: connect to host {destination} port 22: No route to host (simulated)"
        print(said, file=sys.stderr)
        return 255
    shell = [kit.LOGIN_SHELL, "-c", " ".join(command)]
    environment = {**os.environ, **kit.environment(other, "ubuntu")}
    return subprocess.call(shell, cwd=other.home, env=environment, stdin=subprocess.DEVNULL)
