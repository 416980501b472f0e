"""`launch-cluster.sh`: containers of one name on every node, and a command inside the head's.

Owns the order of things and the messages. A worker is reached by running its own docker command
in its own directory, which is what ssh to it would do; one whose link is not up is not reached.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from server.sim.launcher.options import USAGE, USAGE_OLD, Options, UsageError, parse
from server.sim.layout import HostDir

MASTER_PORT = "29501"
BACKEND = "--distributed-executor-backend"


@dataclass(frozen=True, slots=True)
class Node:
    """A member of the cluster. The first is the head, which is the local host."""

    ip: str
    host: HostDir


class LauncherError(Exception):
    """One message, exit code 1."""


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def docker(node: Node, *argv: str, quiet: bool = False) -> subprocess.CompletedProcess[str]:
    """Run docker on a node."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("SIM_")}
    env = inherited | {
        "SIM_HOST": str(node.host.root),
        "SIM_DIR": str(node.host.root.parent),
        "PATH": f"{node.host.bin}:/usr/bin:/bin",
        "HOME": str(node.host.home),
    }
    if not (node.host.bin / "docker").exists():
        sys.stderr.write("docker: command not found\n")
        return subprocess.CompletedProcess(argv, 127, "", "")
    done = subprocess.run(
        ["docker", *argv],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and not quiet:
        sys.stderr.write(done.stderr)
    return done


def running(node: Node, name: str) -> bool:
    """By substring, as the script greps: `vllm_node` is also found in `vllm_node_2`."""
    return name in docker(node, "ps", "--format", "{{.Names}}", quiet=True).stdout


def detect(options: Options, host: HostDir, *, old: bool) -> list[Node]:
    """The nodes, head first. Raises LauncherError."""
    known = host.cluster["hosts"]
    mine = known[host.name]
    if "--solo" in options.flags:
        return [Node("127.0.0.1", host)]
    say(
        "Auto-detecting interfaces..."
        if not options.one("eth_if")
        else f"  ETH_IF: {options.one('eth_if')}"
    )
    given = [ip.strip() for ip in options.one("nodes").split(",") if ip.strip()]
    if not given:
        given = [str(entry["cluster_address"]) for entry in known.values()]
        say(f"  Cluster Nodes: {','.join(given)}")
    local = str(mine["cluster_address"])
    if str(mine["address"]) in given:
        local = str(mine["address"])
    if local not in given:
        raise LauncherError(
            f"Error: Local IP ({local}) is not in the list of nodes ({','.join(given)})."
        )
    nodes = [Node(local, host)]
    nodes += [Node(ip, _host_at(ip, known, host)) for ip in given if ip != local]
    return nodes


def _host_at(ip: str, known: dict[str, dict[str, str]], here: HostDir) -> HostDir:
    for name, entry in known.items():
        if ip in (entry["address"], entry["cluster_address"]):
            other = HostDir(here.root.parent / name)
            if other.link.read_text().strip() == "up":
                return other
    raise LauncherError(
        f"Error: Passwordless SSH to {ip} failed.\nPlease ensure SSH keys are configured."
    )


def trim(nodes: list[Node], command: Sequence[str]) -> list[Node]:
    """As many nodes as the command's parallelism needs."""
    size = {"tp": 1, "pp": 1, "dp": 1}
    names = {"-tp": "tp", "-pp": "pp", "-dp": "dp", "--tensor-parallel-size": "tp"}
    names |= {"--pipeline-parallel-size": "pp", "--data-parallel-size": "dp"}
    words = shlex.split(" ".join(command)) if len(command) == 1 else list(command)
    for at, word in enumerate(words):
        key, equals, inline = word.partition("=")
        if key in names:
            value = inline if equals else next(iter(words[at + 1 : at + 2]), "1")
            size[names[key]] = int(value) if value.isdigit() else 1
    need = size["tp"] * size["pp"] * size["dp"]
    detail = f"tp={size['tp']} * pp={size['pp']} * dp={size['dp']}"
    if need > len(nodes):
        raise LauncherError(
            f"Error: Command requires {need} nodes ({detail}) but only {len(nodes)} node(s) are "
            "configured."
        )
    if need < len(nodes):
        say(f"Note: Command requires {need} node(s) ({detail}); using {need} of {len(nodes)}")
    return nodes[:need]


class Launch:
    """One call of the script."""

    def __init__(self, options: Options, nodes: list[Node], *, old: bool) -> None:
        self._options = options
        self._nodes = nodes
        self._old = old
        self._name = options.one("name", "vllm_node")
        self._image = options.one("image", "vllm-node")
        self._stopped = False

    @property
    def _head(self) -> Node:
        return self._nodes[0]

    def ensure(self) -> None:
        """Containers on every node; what runs already is left as it is, mods unapplied."""
        live = [node for node in self._nodes if running(node, self._name)]
        for node in live:
            say(f"Warning: Container '{self._name}' is already running on {node.ip}.")
        if live:
            say("Cluster containers are already running. Skipping launch.")
            return
        self._check_images()
        for node in self._nodes:
            place = "head" if node is self._head else "worker"
            say(f"Starting {place} container on {node.ip}...")
            docker(node, *self._run_words(node))
        for mod in [*self._options.all("mods"), *self._options.all("prs")]:
            self._apply(mod)

    def _check_images(self) -> None:
        seen = []
        for node in self._nodes:
            found = docker(node, "image", "inspect", "--format", "{{.Id}}", self._image, quiet=True)
            if found.returncode and len(self._nodes) > 1:
                raise LauncherError(f"Error: Could not inspect image {self._image} on {node.ip}")
            seen.append(found.stdout.strip())
        for node, ident in zip(self._nodes, seen, strict=True):
            if ident != seen[0]:
                raise LauncherError(f"Error: Docker image mismatch on worker node ({node.ip}):")

    def _run_words(self, node: Node) -> list[str]:
        home = node.host.home
        cache = os.environ.get("HF_HOME", f"{home}/.cache/huggingface")
        if node is not self._head:
            cache = cache.replace(str(self._head.host.home), str(home))
        words = ["run", "--gpus", "all", "-d", "--rm", "--network", "host", "--name", self._name]
        words += ["--entrypoint="] if "--keep-entrypoint" not in self._options.flags else []
        words += [
            "--ipc=host",
            "--ulimit",
            "nofile=1048576",
            "-v",
            f"{cache}:/root/.cache/huggingface",
        ]
        words += ["--privileged"] if "--non-privileged" not in self._options.flags else []
        words += ["-e", f"VLLM_HOST_IP={node.ip}", "-e", "NCCL_IGNORE_CPU_AFFINITY=1"]
        extra: list[str] = []
        for item in self._options.all("env"):
            extra += ["-e", item]
        for item in self._options.all("volumes"):
            extra += ["-v", item]
        # the script keeps these in one string, so a value with a space falls apart
        words += " ".join(extra).split()
        words += os.environ.get("VLLM_SPARK_EXTRA_DOCKER_ARGS", "").split()
        return [*words, self._image, "sleep", "infinity"]

    def _apply(self, mod: str) -> None:
        script = Path(mod) / "run.sh"
        for node in self._nodes:
            say(f"Applying mod {mod} on {node.ip}...")
            if not script.exists() and not mod.endswith(".zip"):
                self.stop()
                raise LauncherError(f"Error: Patch script failed on {node.ip}")

    def act(self) -> int:
        action = self._options.action
        if action == "status":
            return self.status()
        if action == "stop":
            return self.stop()
        self.ensure()
        if action == "start":
            return 0 if self._options.daemon else self._tail()
        return self._exec()

    def status(self) -> int:
        for node in self._nodes:
            role = "HEAD" if node is self._head else "WORKER"
            state = "RUNNING" if running(node, self._name) else "NOT running"
            verb = "is RUNNING." if state == "RUNNING" else "is NOT running."
            say(f"[{role}] {node.ip}: Container '{self._name}' {verb}")
        return 0

    def stop(self) -> int:
        if self._stopped:
            return 0
        self._stopped = True
        say("Stopping cluster...")
        for node in self._nodes:
            docker(node, "stop", self._name, quiet=True)
        say("Cluster stopped.")
        return 0

    def _tail(self) -> int:
        say("Cluster is up. Press Ctrl-C to stop it.")
        while running(self._head, self._name):
            time.sleep(0.5)
        return self.stop()

    def _exec(self) -> int:
        command = list(self._options.command)
        if len(self._nodes) > 1 and "--ray" not in self._options.flags and not self._old:
            command = self._ranks(command)
        # ≥ 2026-02-26 a daemon's output is seen in `docker logs`; before, exec ignored -d
        text = shlex.join(command)
        if self._options.daemon and not self._old:
            say(f"Executing command on head node: {text}")
            docker(
                self._head, "exec", "-d", self._name, "bash", "-c", f"{text} > /proc/1/fd/1 2>&1"
            )
            say("Command dispatched in background (Daemon mode).")
            return 0
        say(f"Executing command on head node: {text}")
        words = ["docker", "exec", self._name, "bash", "-c", text]
        code = subprocess.run(words, stdin=subprocess.DEVNULL, check=False).returncode
        self.stop()
        return code

    def _ranks(self, command: list[str]) -> list[str]:
        """Workers first, then rank 0: the native backend of vLLM over several nodes."""
        plain = _without_backend(command)
        if plain[:2] != ["vllm", "serve"]:
            return command
        master = [
            "--master-addr",
            self._head.ip,
            "--master-port",
            self._options.one("master_port", MASTER_PORT),
        ]
        count = str(len(self._nodes))
        for rank, node in enumerate(self._nodes[1:], start=1):
            words = [*plain, "--nnodes", count, "--node-rank", str(rank), *master, "--headless"]
            say(f"Starting worker rank {rank} on {node.ip}...")
            inside = f"{shlex.join(words)} > /proc/1/fd/1 2>&1"
            docker(node, "exec", "-d", self._name, "bash", "-c", inside)
        return [*plain, "--nnodes", count, "--node-rank", "0", *master]


def _without_backend(command: Iterable[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for word in command:
        if skip:
            skip = False
        elif word == BACKEND:
            skip = True
        elif not word.startswith(f"{BACKEND}="):
            kept.append(word)
    return kept


def main(argv: Sequence[str]) -> int:
    """The script. Only 0 and 1 are its own exit codes."""
    host = HostDir.from_environment()
    old = host.scenario.launcher_version != "current"
    try:
        options = parse(argv, old=old)
    except UsageError as usage:
        if usage.problem:
            say(usage.problem)
        say((USAGE_OLD if old else USAGE).format(program="./launch-cluster.sh"))
        return 1
    try:
        nodes = detect(options, host, old=old)
        if "--check-config" in options.flags:
            say(f"Configuration OK (simulated): {','.join(node.ip for node in nodes)}")
            return 0
        if options.action == "exec" and len(nodes) > 1:
            nodes = trim(nodes, options.command)
        launch = Launch(options, nodes, old=old)
        _stop_on_hangup(launch, options, old=old)
        return launch.act()
    except LauncherError as failure:
        say(str(failure))
        return 1


def _stop_on_hangup(launch: Launch, options: Options, *, old: bool) -> None:
    """In the foreground, losing the terminal stops the cluster."""
    if options.action not in ("start", "exec") or (options.daemon and not old):
        return

    def leave(number: int, _: object) -> None:
        launch.stop()
        sys.exit(128 + number)

    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
