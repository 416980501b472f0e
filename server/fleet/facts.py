"""What the doctor reads from a host in one go: the script, and its answer as a frozen value.

Owns the wire format between the two (a tag, then fields separated by tabs). Refuses to judge
(`diagnosis.py` does) and to change anything: the probe of ssh between Sparks writes no known host.
A fact that could not be read is missing, never false.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from server.fleet import readings
from server.fleet.model import Disk

TOOLS = ("setsid", "timeout", "stdbuf", "df", "cat", "sleep", "docker", "nvidia-smi", "ss")

SCRIPT = r"""
main() {
  export LC_ALL=C
  tab=$(printf '\t')
  nl='
'
  for tool in @TOOLS@; do has "tool${tab}$tool" "$tool"; done
  root=/var/lib/docker
  if command -v docker >/dev/null 2>&1; then ask_docker; fi
  if command -v nvidia-smi >/dev/null 2>&1; then ask_gpu; fi
  memory=$(cat /proc/meminfo)
  each memory "$memory"
  for arg; do
    case $arg in
      path=*) look "${arg#path=}" ;;
      launcher=*) launcher "${arg#launcher=}" ;;
      vllm=*) has vllm "${arg#vllm=}" ;;
      peer=*) peer "${arg#peer=}" & ;;
    esac
  done
  links
  each ip "$(timeout --foreground -k 2 5 ip -o addr show)"
  for disk in / "$HOME" "$root"; do
    each disk "$(timeout --foreground -k 2 5 df -PB1 -- "$disk")"
  done
  wait
  say end
}

say() {
  IFS=$tab
  printf '%s\n' "$*"
  unset IFS
}

has() {
  if command -v "$2" >/dev/null 2>&1; then say "$1" yes; else say "$1" no; fi
}

each() {
  kind=$1
  set -f
  IFS=$nl
  for line in $2; do printf '%s\t%s\n' "$kind" "$line"; done
  unset IFS
  set +f
}

ask_docker() {
  answer=$(timeout --foreground -k 2 10 docker info --format '{{json .}}' 2>&1)
  say docker "$?"
  each docker-says "$answer"
  case $answer in
    *'"DockerRootDir":"/'*) root=${answer#*'"DockerRootDir":"'} root=${root%%'"'*} ;;
  esac
}

ask_gpu() {
  answer=$(timeout --foreground -k 2 10 nvidia-smi \
    --query-gpu=name,driver_version --format=csv,noheader 2>&1)
  say gpu "$?"
  each gpu-says "$answer"
}

look() {
  if [ -d "$1" ] && [ -r "$1" ] && [ -x "$1" ]; then say path "$1" yes
  elif [ -e "$1" ]; then say path "$1" unreadable
  else say path "$1" no
  fi
  each disk "$(timeout --foreground -k 2 5 df -PB1 -- "$1")"
}

launcher() {
  case $1 in '~/'*) set -- "$HOME/${1#??}" ;; esac
  for file in launch-cluster.sh run-recipe.py hf-download.sh autodiscover.sh mods; do
    if [ -e "$1/$file" ]; then say launcher "$file" yes; else say launcher "$file" no; fi
  done
  if [ -e "$1/launch-cluster.sh" ] && [ ! -x "$1/launch-cluster.sh" ]; then
    say launcher launch-cluster.sh unreadable
  fi
}

peer() {
  answer=$(timeout --foreground -k 2 10 ssh -n -o BatchMode=yes -o ConnectTimeout=5 \
    -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "$1" true 2>&1)
  say peer "$1" "$?" "${answer%%"$nl"*}"
}

links() {
  for link in /sys/class/net/*; do
    [ -e "$link/mtu" ] || continue
    state= mtu= driver=
    read -r state < "$link/operstate"
    read -r mtu < "$link/mtu"
    driver=$(readlink "$link/device/driver")
    say link "${link##*/}" "$state" "$mtu" "${driver##*/}"
  done
}

main "$@" </dev/null 2>/dev/null
""".replace("@TOOLS@", " ".join(TOOLS))


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface. `driver` is `mlx5_core` for the ConnectX-7 of a Spark."""

    name: str
    up: bool
    mtu: int | None
    driver: str


@dataclass(frozen=True, slots=True)
class Peer:
    """Whether `ssh ADDRESS true` works from the host without a password."""

    address: str
    status: int | None
    message: str


@dataclass(slots=True)
class Facts:
    """`complete` tells whether the script came to its end. Filled once, by `read_facts`."""

    complete: bool = False
    tools: dict[str, bool] = field(default_factory=dict)
    docker_status: int | None = None
    docker_says: str = ""
    docker_info: dict[str, object] | None = None
    gpu_status: int | None = None
    gpu_says: str = ""
    memory: dict[str, int] = field(default_factory=dict)
    disks: list[Disk] = field(default_factory=list)
    paths: dict[str, str] = field(default_factory=dict)
    launcher: dict[str, str] = field(default_factory=dict)
    vllm: bool | None = None
    links: list[Link] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)
    """IP address -> interface."""
    peers: list[Peer] = field(default_factory=list)


def facts_argv(
    *,
    paths: Sequence[str] = (),
    launcher: str | None = None,
    vllm: str | None = None,
    peers: Sequence[str] = (),
) -> tuple[str, ...]:
    """The argv that runs `SCRIPT` (given as stdin)."""
    wanted = [f"path={path}" for path in paths]
    if launcher is not None:
        wanted.append(f"launcher={launcher}")
    if vllm is not None:
        wanted.append(f"vllm={vllm}")
    return ("sh", "-s", "--", *wanted, *(f"peer={peer}" for peer in peers))


def read_facts(text: str) -> Facts:
    """Anything that makes no sense is passed over."""
    facts = Facts()
    for line in text.split("\n"):
        tag, _, rest = line.partition("\t")
        if tag == "end":
            facts.complete = True
        elif tag in {"docker", "docker-says", "gpu", "gpu-says"}:
            _tool(facts, tag, rest)
        elif tag in {"memory", "disk", "ip"}:
            _machine(facts, tag, rest)
        else:
            _listed(facts, tag, rest.split("\t"))
    facts.disks = list(readings.once_per_device(facts.disks))
    return facts


def _tool(facts: Facts, tag: str, rest: str) -> None:
    if tag == "docker":
        facts.docker_status = readings.count(rest)
    elif tag == "gpu":
        facts.gpu_status = readings.count(rest)
    elif tag == "gpu-says":
        facts.gpu_says = facts.gpu_says or rest.strip()
    elif rest.startswith("{"):
        facts.docker_info = _json(rest)
    elif rest.strip():
        # Warnings come first, what it fails with comes last.
        facts.docker_says = rest.strip()


def _json(text: str) -> dict[str, object] | None:
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _machine(facts: Facts, tag: str, rest: str) -> None:
    if tag == "memory":
        key, _, value = rest.partition(":")
        kibibytes = readings.count(value.removesuffix("kB"))
        if kibibytes is not None:
            facts.memory[key] = kibibytes * readings.KIB
    elif tag == "disk":
        disk = readings.disk(rest)
        if disk is not None:
            facts.disks.append(disk)
    else:
        # Number, interface, family, address with prefix length, and more.
        fields = rest.split()
        if len(fields) >= 4 and fields[2] in {"inet", "inet6"}:
            facts.addresses[fields[3].partition("/")[0]] = fields[1].partition("@")[0]


def _listed(facts: Facts, tag: str, fields: list[str]) -> None:
    match tag, fields:
        case "tool", [name, answer]:
            facts.tools[name] = answer == "yes"
        case "path", [path, answer]:
            facts.paths[path] = answer
        case "launcher", [name, answer]:
            facts.launcher[name] = answer
        case "vllm", [answer]:
            facts.vllm = answer == "yes"
        case "link", [name, operstate, mtu, driver]:
            facts.links.append(Link(name, operstate == "up", readings.count(mtu), driver))
        case "peer", [address, status, *message]:
            facts.peers.append(Peer(address, readings.count(status), " ".join(message).strip()))
        case _:
            pass
