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

USAGE_OLD = """Usage: {program} [-n <node_ips>] [-t <image_name>] [--name <container_name>] [--eth-if <if_name>] [--ib-if <if_name>] [--nccl-debug <level>] [--check-config] [--apply-mod <path>] [-d] [action] [command]
  -n, --nodes     Comma-separated list of node IPs (Optional, auto-detected if omitted)
  -t              Docker image name (Optional, default: vllm-node)
  --name          Container name (Optional, default: vllm_node)
  --eth-if        Ethernet interface (Optional, auto-detected)
  --ib-if         InfiniBand interface (Optional, auto-detected)
  --nccl-debug    NCCL debug level (Optional, one of: VERSION, WARN, INFO, TRACE). If no level is provided, defaults to INFO.
  --check-config  Check configuration and auto-detection without launching
  --apply-mod     Path to a directory or zip file holding a patch, applied before launch
  -d              Daemon mode (only for 'start' action)
  action          start | stop | status | exec (Default: start)
  command         Command to run (only for 'exec' action)
(simulated)
"""

USAGE = """Usage: {program} [-n <node_ips>] [-t <image_name>] [--name <container_name>] [OPTIONS] ACTION [command]
  -n, --nodes     Comma-separated list of node IPs (Optional, auto-detected if omitted)
  -t              Docker image name (Optional, default: vllm-node)
  --name          Container name (Optional, default: vllm_node)
  --eth-if        Ethernet interface (Optional, auto-detected)
  --ib-if         InfiniBand interface (Optional, auto-detected)
  -e, --env       Environment variable to pass to container (e.g. -e VAR=val)
  -v, --volume    Volume to mount in every container (e.g. -v /host:/container)
  -p              Port to publish (solo only)
  --nccl-debug    NCCL debug level (Optional, one of: VERSION, WARN, INFO, TRACE)
  --master-port, --head-port  Port of the coordinator (default: 29501)
  --apply-mod     Path to a directory or zip file to apply before launch (repeatable)
  --apply-vllm-pr vLLM pull request to apply before launch (repeatable)
  --launch-script Bash script to run in the container
  --solo          Solo mode: one node, no Ray, no interface detection
  --ray           Use Ray for several nodes
  --no-ray        Use the native backend for several nodes (default)
  --non-privileged, --mem-limit-gb, --mem-swap-limit-gb, --pids-limit, --shm-size-gb
                  Run without --privileged, with limits
  --no-cache-dirs Do not mount the cache directories
  --keep-entrypoint  Keep the entrypoint of the image
  --earlyoom, --earlyoom-args  Run earlyoom as PID 1
  --config        Configuration file (default: .env)
  --setup, --discover  Detect nodes and save them
  -j              Parallel build jobs
  --check-config  Check configuration and auto-detection without launching
  -d              Daemon mode
  ACTION          start | stop | status | exec
  command         Command to run (only for 'exec' action)
(simulated)
"""


class Usage(Exception):
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
    """Raises Usage."""
    valued = VALUED if old else VALUED | VALUED_NEW | {"--env": "env", "--volume": "volumes"}
    flags = FLAGS if old else FLAGS | FLAGS_NEW
    given = Options()
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word in valued:
            if not rest:
                raise Usage(f"Error: {word} requires a value.")
            given.values.setdefault(valued[word], []).append(rest.pop(0))
        elif word in flags:
            given.flags.add(word)
        elif word == "--nccl-debug":
            if rest and rest[0] in ("VERSION", "WARN", "INFO", "TRACE"):
                rest.pop(0)
        elif word in ACTIONS:
            given.action = word
            if word == "exec":
                given.command = rest
                break
        else:
            raise Usage("" if word in ("-h", "--help") else f"Unknown argument: {word}")
    if given.action is None and not given.one("script") and "--check-config" not in given.flags:
        if not old:
            raise Usage("Error: an action is required.")
        given.action = "start"
    if given.action == "exec" and not given.command:
        raise Usage("Error: 'exec' action requires a command.")
    return given
