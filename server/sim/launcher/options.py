"""The command line of launch-cluster.sh in its two ages.

Pure. Owns which options each age has; refuses the others with usage and exit code 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

VALUED = {
    "-n": "nodes",
    "--nodes": "nodes",
    "-t": "image",
    "--name": "name",
    "--eth-if": "eth_if",
    "--ib-if": "ib_if",
    "--apply-mod": "mods",
}
VALUED_NEW = {
    "-e": "env",
    "-v": "volumes",
    "-p": "ports",
    "--master-port": "master_port",
    "--head-port": "master_port",
    "--launch-script": "script",
    "--apply-vllm-pr": "prs",
    "--mem-limit-gb": "memory",
    "--mem-swap-limit-gb": "memory_swap",
    "--pids-limit": "pids",
    "--shm-size-gb": "shm",
    "--earlyoom-args": "earlyoom_args",
    "--config": "config",
    "-j": "jobs",
}
FLAGS = frozenset({"-d", "--check-config"})
FLAGS_NEW = frozenset(
    {
        "--solo",
        "--ray",
        "--no-ray",
        "--non-privileged",
        "--no-cache-dirs",
        "--keep-entrypoint",
        "--earlyoom",
        "--setup",
        "--discover",
    }
)
ACTIONS = frozenset({"start", "stop", "status", "exec"})

USAGE_OLD = """Usage: {program} [options] [action] [command]
Options (simulated, as of 2026-01):
  -n, --nodes LIST     addresses of the nodes, this one among them
  -t IMAGE             image to run (vllm-node)
  --name NAME          name of the container on every node (vllm_node)
  --eth-if NAME        Ethernet interface of the fast link
  --ib-if NAME         InfiniBand interface of the fast link
  --nccl-debug [LEVEL] VERSION, WARN, INFO or TRACE
  --check-config       say what was detected, start nothing
  --apply-mod PATH     directory or zip with a patch
  -d                   return at once (start only)
Actions: start (default), stop, status, exec COMMAND
"""

USAGE = """Usage: {program} [options] action [command]
Options (simulated):
  -n, --nodes LIST     addresses of the nodes, this one among them
  -t IMAGE             image to run (vllm-node)
  --name NAME          name of the container on every node (vllm_node)
  --eth-if NAME        Ethernet interface of the fast link
  --ib-if NAME         InfiniBand interface of the fast link
  -e, --env KEY=VALUE  environment inside (repeatable)
  -v, --volume A:B     mount on every node (repeatable)
  -p A:B               publish a port (solo only)
  --nccl-debug [LEVEL] VERSION, WARN, INFO or TRACE
  --master-port, --head-port PORT   port of the coordinator (29501)
  --apply-mod PATH     directory or zip with a patch (repeatable)
  --apply-vllm-pr N    pull request of vLLM to apply (repeatable)
  --launch-script FILE script to run inside, instead of an action
  --solo               one node, nothing is detected
  --ray, --no-ray      with or without Ray (default: without)
  --non-privileged     with --mem-limit-gb --mem-swap-limit-gb --pids-limit --shm-size-gb
  --no-cache-dirs      mount no caches
  --keep-entrypoint    keep the entrypoint of the image
  --earlyoom, --earlyoom-args ARGS  earlyoom as the first process
  --config FILE        settings (.env)
  --setup, --discover  find nodes and save them (asks)
  -j N                 parallel build jobs
  --check-config       say what was detected, start nothing
  -d                   return at once
Actions: start, stop, status, exec COMMAND
"""


class UsageError(Exception):
    """Print the usage and leave with 1; `problem` comes first."""

    def __init__(self, problem: str = "") -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(slots=True)
class Options:
    """What was asked. `values` holds every value of an option, in order."""

    action: str | None = None
    command: list[str] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    values: dict[str, list[str]] = field(default_factory=dict)

    def one(self, name: str, default: str = "") -> str:
        return self.values.get(name, [default])[-1]

    def all(self, name: str) -> list[str]:
        return self.values.get(name, [])

    @property
    def daemon(self) -> bool:
        return "-d" in self.flags


def parse(argv: Sequence[str], *, old: bool) -> Options:
    """Raises UsageError."""
    valued = VALUED if old else VALUED | VALUED_NEW | {"--env": "env", "--volume": "volumes"}
    flags = FLAGS if old else FLAGS | FLAGS_NEW
    given = Options()
    rest = list(argv)
    while rest and given.action != "exec":
        word = rest.pop(0)
        if word in valued:
            if not rest:
                raise UsageError(f"Error: {word} requires a value.")
            given.values.setdefault(valued[word], []).append(rest.pop(0))
        elif word in flags:
            given.flags.add(word)
        elif word == "--nccl-debug":
            if rest and rest[0] in ("VERSION", "WARN", "INFO", "TRACE"):
                rest.pop(0)
        elif word in ACTIONS:
            given.action = word
        else:
            raise UsageError("" if word in ("-h", "--help") else f"Unknown argument: {word}")
    given.command = rest
    _check(given, old=old)
    return given


def _check(given: Options, *, old: bool) -> None:
    if given.action is None and not given.one("script") and "--check-config" not in given.flags:
        if not old:
            raise UsageError("Error: an action is required.")
        given.action = "start"
    if given.action == "exec" and not given.command:
        raise UsageError("Error: 'exec' action requires a command.")
