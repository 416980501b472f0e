"""Driving a user's checkout of spark-vllm-docker: what it can do, its argv, what it answered.

Pure. The checkout may be of any age, so its `--help` is read once into a frozen `Capabilities` and
each thing that an old one lacks is done another way or refused with the update that is needed.
"""

import re
from dataclasses import dataclass

from server.base.errors import InvalidValue
from server.launch.docker import labels, mount
from server.launch.model import LaunchSpec
from server.launch.remote.common import shell_words

_OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][A-Za-z0-9-]*")
_SKIPPED = re.compile(r"already running|Skipping launch", re.IGNORECASE)

UPDATE = "Update it on the head node: git -C {checkout} pull"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The options that one checkout's help names; `stamp` changes when the script does."""

    options: frozenset[str]
    stamp: str = ""

    def has(self, option: str) -> bool:
        return option in self.options


MODERN = Capabilities(
    frozenset({"-n", "-t", "--name", "--eth-if", "--ib-if", "-e", "-v", "--solo", "--no-ray", "-d"})
)
"""What a current checkout can do: used for previews before one was asked."""


def read_help(text: str, stamp: str = "") -> Capabilities:
    """Option names of a usage text. Words of the `-x` kind inside values do no harm."""
    return Capabilities(frozenset(_OPTION.findall(text)), stamp)


def shortcoming(spec: LaunchSpec, caps: Capabilities) -> str | None:
    """Why this checkout cannot start `spec`, with the update that is needed; None when it can."""
    update = UPDATE.format(checkout=checkout(spec))
    if not caps.options:
        return f"launch-cluster.sh --help named no options, so its version is unknown. {update}"
    if not (caps.has("-d") and caps.has("-t") and caps.has("--name")):
        return (
            f"this checkout cannot start in the background (-d, -t, --name are missing). {update}"
        )
    if not (caps.has("--no-ray") or caps.has("--ray")):
        return (
            "this checkout is older than 2026-03-17: its 'exec' stops the engine as soon as the "
            f"connection is lost. {update}"
        )
    if len(spec.nodes) == 1 and not caps.has("--solo") and not spec.option("eth_if"):
        return (
            "this checkout is older than 2026-01-29 and has no --solo: a single node then needs "
            f"engine.eth_if, or the docker launcher. {update}"
        )
    return None


def checkout(spec: LaunchSpec) -> str:
    return spec.option("launch_cluster_dir")


def docker_args(spec: LaunchSpec, tag: str) -> str:
    """The value of VLLM_SPARK_EXTRA_DOCKER_ARGS. The script splits it at spaces and pastes it into
    the remote shell of each worker: a word that would not survive that is refused."""
    words: list[str] = []
    for key, value in labels(spec, tag):
        words += ["--label", f"{key}={value}"]
    for entry in spec.mounts:
        words += ["-v", mount(entry)]
    for key, value in spec.env:
        words += ["-e", f"{key}={value}"]
    for word in words:
        if not shell_words((word,)):
            raise InvalidValue(
                f"launch-cluster cannot pass {word.partition('=')[0]!r}: its value holds a space "
                "or a character that its shell would change",
                param="env" if word.partition("=")[0] in dict(spec.env) else "source.path",
                advice="Change the value, or use the docker launcher on one node.",
            )
    return " ".join(words)


def launch_argv(spec: LaunchSpec, caps: Capabilities) -> tuple[str, ...]:
    """`./launch-cluster.sh … -d exec vllm serve …`, to be run in the checkout on the head."""
    words = ["./launch-cluster.sh"]
    solo = len(spec.nodes) == 1 and caps.has("--solo")
    if solo:
        words.append("--solo")
    else:
        words += ["-n", ",".join(node.cluster_address or node.address for node in spec.nodes)]
        for option, flag in (("eth_if", "--eth-if"), ("ib_if", "--ib-if")):
            if spec.option(option):
                words += [flag, spec.option(option)]
        if len(spec.nodes) > 1 and caps.has("--no-ray"):
            words.append("--no-ray")
    words += ["-t", spec.image, "--name", spec.container, "-d", "exec", *spec.argv]
    if len(spec.nodes) > 1 and not caps.has("--no-ray"):
        words += ["--distributed-executor-backend", "ray"]
    return tuple(words)


def skipped(output: str) -> bool:
    """Whether the launcher said that containers run already and did nothing: a failure for us."""
    return _SKIPPED.search(output) is not None
