"""The words of each launcher, exact, and proof in a real shell that they arrive as meant."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.base.clock import SystemClock
from server.base.errors import InvalidValue
from server.launch import bare, cluster, docker
from server.launch.cluster import MODERN, Capabilities, read_help, shortcoming, skipped
from server.launch.model import LaunchSpec, Node
from server.launch.remote.common import program, sections
from server.launch.remote.start import RUN
from server.launch.service import Engines
from tests.launch.local_shell import LocalShells
from tests.launch.made import spec

TWO = (
    Node("spark-1", "192.0.2.11", "198.51.100.11"),
    Node("spark-2", "192.0.2.12", "198.51.100.12"),
)
CLUSTER = spec(launcher="launch-cluster", options=(("launch_cluster_dir", "/home/u/svd"),))


def test_docker_run_is_exactly_this() -> None:
    """Host network, GPU, labels that make it ours, bounded log, no pull, no --rm."""
    made = spec(
        env=(("A", "1 2"),),
        mounts=(
            ("~/.cache/huggingface", "/root/.cache/huggingface", False),
            ("/srv/models/x", "/srv/models/x", True),
        ),
    )
    assert docker.run_argv(made, "swap-1") == (
        *("docker", "run", "-d", "--name", "spark-control-engine", "--pull", "never"),
        *("--network", "host", "--gpus", "all", "--ipc", "host"),
        *("--ulimit", "memlock=-1", "--ulimit", "stack=67108864"),
        *("--log-driver", "json-file", "--log-opt", "max-size=64m", "--log-opt", "max-file=2"),
        *("--label", "spark-control.engine=1", "--label", "spark-control.tag=swap-1"),
        *("--label", "spark-control.model=tiny", "--label", "spark-control.fingerprint=f1"),
        *("--label", "spark-control.launcher=docker"),
        *("-v", "~/.cache/huggingface:/root/.cache/huggingface"),
        *("-v", "/srv/models/x:/srv/models/x:ro", "-e", "A=1 2"),
        *("--entrypoint", "vllm", "vllm-node", "serve", "org/tiny", "--port", "8000"),
    )


def test_launch_cluster_on_one_node_is_exactly_this() -> None:
    """Always --solo, launcher options before exec, in the background."""
    assert cluster.launch_argv(CLUSTER, MODERN) == (
        *("./launch-cluster.sh", "--solo", "-t", "vllm-node", "--name", "spark-control-engine"),
        *("-d", "exec", "vllm", "serve", "org/tiny", "--port", "8000"),
    )


def test_launch_cluster_on_two_nodes_is_exactly_this() -> None:
    """Cluster addresses, explicit interfaces, no Ray, and never --solo."""
    options = (("launch_cluster_dir", "/x"), ("eth_if", "enp1s0f1np1"), ("ib_if", "rocep1s0f1"))
    made = spec(launcher="launch-cluster", nodes=TWO, options=options)
    assert cluster.launch_argv(made, MODERN) == (
        *("./launch-cluster.sh", "-n", "198.51.100.11,198.51.100.12"),
        *("--eth-if", "enp1s0f1np1", "--ib-if", "rocep1s0f1", "--no-ray"),
        *("-t", "vllm-node", "--name", "spark-control-engine"),
        *("-d", "exec", "vllm", "serve", "org/tiny", "--port", "8000"),
    )


def test_an_older_checkout_gets_the_ray_backend_instead() -> None:
    """Without --no-ray the command itself has to name Ray."""
    caps = Capabilities(MODERN.options - {"--no-ray"} | {"--ray"})
    made = spec(launcher="launch-cluster", nodes=TWO)
    assert cluster.launch_argv(made, caps)[-2:] == ("--distributed-executor-backend", "ray")
    assert "--no-ray" not in cluster.launch_argv(made, caps)


def test_bare_puts_the_environment_in_front() -> None:
    """`env` sets it; nothing is exported through a shell."""
    made = spec(launcher="bare", env=(("A", "1"),), options=(("hf_home", "/data/hf"),))
    assert bare.engine_argv(made)[:4] == ("env", "A=1", "HF_HOME=/data/hf", "vllm")
    assert bare.engine_argv(spec(launcher="bare")) == spec().argv


HELP_2026_09 = """\
Usage: ./launch-cluster.sh [-n <node_ips>] [-t <image_name>] [--solo] [-d] [action] [command]
  -n, --nodes     Comma-separated list of node IPs
  -t              Docker image name
  --name          Container name
  --eth-if        Ethernet interface
  --solo          Solo mode
  --no-ray        Default
  -d              Daemon mode
"""
HELP_2026_01 = """\
Usage: ./launch-cluster.sh [-n <node_ips>] [-t <image_name>] [--name <n>] [--eth-if <if>] [-d]
"""


def test_the_help_of_a_checkout_becomes_its_capabilities() -> None:
    """Short and long options, also those named only in the usage line."""
    assert read_help(HELP_2026_09).options >= {"-n", "--nodes", "-t", "--solo", "--no-ray", "-d"}
    assert not read_help(HELP_2026_01).has("--solo")


def test_a_checkout_that_is_too_old_is_refused_with_the_update() -> None:
    """The sentence names the date and the command."""
    said = shortcoming(CLUSTER, read_help(HELP_2026_01)) or ""
    assert "older than 2026-03-17" in said
    assert "git -C /home/u/svd pull" in said
    assert "no options" in (shortcoming(CLUSTER, read_help("bash: not found")) or "")
    assert shortcoming(CLUSTER, read_help(HELP_2026_09)) is None


def test_a_checkout_without_solo_needs_an_interface() -> None:
    """One node then goes by -n and explicit interfaces."""
    caps = Capabilities(MODERN.options - {"--solo"})
    assert "no --solo" in (shortcoming(CLUSTER, caps) or "")
    options = (("launch_cluster_dir", "/x"), ("eth_if", "eth0"))
    made = spec(launcher="launch-cluster", options=options)
    assert shortcoming(made, caps) is None
    assert cluster.launch_argv(made, caps)[1:5] == ("-n", "198.51.100.11", "--eth-if", "eth0")


@pytest.mark.parametrize(
    "text",
    [
        "Warning: Container 'vllm_node' is already running...",
        "Cluster containers are already running. Skipping launch.",
    ],
)
def test_a_skipped_launch_is_seen(text: str) -> None:
    """Exit 0 with these words is no start."""
    assert skipped(f"hello\n{text}\nDone\n")
    assert not skipped("Starting cluster...\nDone\n")


@pytest.mark.parametrize(
    "value", ["a b", "a\tb", "$(id)", "a;b", "'x'", '"x"', "a*", "é", "a\nb", "~x"]
)
def test_launch_cluster_refuses_what_its_shell_would_change(value: str) -> None:
    """Its docker arguments are split at spaces and pasted into a remote shell."""
    with pytest.raises(InvalidValue, match="launch-cluster cannot pass"):
        cluster.docker_args(spec(launcher="launch-cluster", env=(("A", value),)), "swap-1")


def test_launch_cluster_labels_mounts_and_environment_go_by_docker_arguments() -> None:
    """What every version of the checkout takes."""
    made = spec(
        launcher="launch-cluster",
        env=(("A", "1"),),
        mounts=(("/srv/models/x", "/srv/models/x", True),),
    )
    words = cluster.docker_args(made, "swap-1")
    assert "--label spark-control.tag=swap-1" in words
    assert words.endswith("-v /srv/models/x:/srv/models/x:ro -e A=1")


NASTY = [
    "$(touch x)",
    "`id`",
    "a b",
    "'",
    '"',
    "\\",
    ";",
    "--",
    "*",
    "~",
    "é\u202e",
    "{a,b}",
    "!x",
    "#",
    "\t",
]
WORDS = st.lists(
    st.one_of(
        st.sampled_from(NASTY),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
    ),
    max_size=6,
)

FAKE_DOCKER = """#!/usr/bin/env python3
import json, os, sys
if sys.argv[1] == "run":
    with open(os.path.join(os.environ["HOME"], "got"), "w") as out:
        json.dump(sys.argv[1:], out)
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> LocalShells:
    made = LocalShells(tmp_path_factory.mktemp("argv"))
    made.tool("docker", FAKE_DOCKER)
    made.shell("spark-1")
    return made


def arrived(host: LocalShells, argv: Sequence[str]) -> list[str]:
    home = host.shell("spark-1").home
    (home / "got").unlink(missing_ok=True)
    done = subprocess.run(
        argv,
        env={"HOME": str(home), "PATH": f"{host.tools}:/usr/bin:/bin"},
        cwd=home,
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
    )
    assert "code" in sections(done.stdout), done
    found: list[str] = json.loads((home / "got").read_text())
    assert sorted(p.name for p in home.iterdir()) == [".spark-control", "got"]
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(words=WORDS, env=WORDS)
def test_docker_gets_every_word_as_it_was_meant(
    host: LocalShells, words: list[str], env: list[str]
) -> None:
    """Through the real remote program, in a real sh, to a real process."""
    pairs = tuple((f"V{n}", value) for n, value in enumerate(env))
    made = spec(argv=("vllm", "serve", *words), env=pairs)
    meant = docker.run_argv(made, "swap-1")
    argv = program(RUN, made.container, "1", "5", *meant)
    assert arrived(host, argv) == list(meant[1:])


def test_the_home_folder_is_put_in_front_of_caches_only(host: LocalShells) -> None:
    """`~/` of a mount is expanded on the host; of a model argument it is not."""
    made = spec(argv=("vllm", "serve", "~/x"), mounts=(("~/got-cache", "/root/.cache/x", False),))
    home = host.shell("spark-1").home
    argv = program(RUN, made.container, "1", "5", *docker.run_argv(made, "swap-1"))
    subprocess.run(
        argv,
        env={"HOME": str(home), "PATH": f"{host.tools}:/usr/bin:/bin"},
        check=True,
        capture_output=True,
    )
    found = json.loads((home / "got").read_text())
    assert f"{home}/got-cache:/root/.cache/x" in found
    assert found[-1] == "~/x"
    (home / "got-cache").rmdir()


def test_the_preview_is_the_command_with_secrets_taken_out(tmp_path: Path) -> None:
    """`shown` can be pasted into a shell and says the same as argv."""
    engines = Engines(LocalShells(tmp_path), SystemClock())
    made = spec(env=(("X", "a b"),), argv=("vllm", "serve", "m", "--api-key", "sk-verysecret123"))
    (planned,) = engines.commands(made, "swap-1")
    assert planned.argv == docker.run_argv(made, "swap-1")
    assert "sk-verysecret123" not in planned.shown
    assert "-e 'X=a b'" in planned.shown
    (planned,) = engines.commands(CLUSTER, "swap-1")
    assert planned.shown.startswith("cd /home/u/svd && env 'VLLM_SPARK_EXTRA_DOCKER_ARGS=--label ")


def test_a_spec_survives_json() -> None:
    """What is saved with a swap is what is restored."""
    made = spec(nodes=TWO, env=(("A", "1"),), mounts=(("/a", "/b", True),), options=(("x", "y"),))
    assert LaunchSpec.from_dict(json.loads(json.dumps(made.to_dict()))) == made
