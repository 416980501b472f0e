"""What hosts answer, read into values: nothing unreadable is ever taken for nothing there."""

import json
from typing import Any

import pytest

from server.base.errors import Conflict, Unavailable
from server.launch import observe, outcome, survey
from server.launch.model import Engine, LaunchFailed
from server.launch.outcome import Leftover, Superseded
from server.launch.remote.common import sections
from tests.launch.made import spec

DOCKER, CLUSTER = spec(), spec(launcher="launch-cluster")


def container(
    tag: str = "swap-1", status: str = "running", launcher: str = "docker", **changes: Any
) -> dict[str, Any]:
    labels = {
        "spark-control.engine": "1",
        "spark-control.tag": tag,
        "spark-control.model": "tiny",
        "spark-control.fingerprint": "f1",
        "spark-control.launcher": launcher,
    }
    state = {"Status": status, "Running": status == "running", "ExitCode": 3, "OOMKilled": False}
    return {
        "Id": "abc",
        "Name": "/spark-control-engine",
        "State": state | {"StartedAt": "2026-11-21T08:00:00Z"},
        "Config": {"Labels": labels},
    } | changes


def inspected(*items: dict[str, Any]) -> str:
    return json.dumps(items, indent=4)


def seen(**parts: str) -> str:
    return "".join(f"\n=={name}\n{text}\n" for name, text in parts.items()) + "\n==end\n"


def test_an_answer_is_read_in_sections() -> None:
    """Output that has no newline at its end does not swallow the next heading."""
    assert sections("noise\n==a\none\ntwo\n\n==b\n") == {"a": "one\ntwo", "b": ""}


def test_an_answer_that_was_cut_short_is_no_answer() -> None:
    """A lost connection never reads as an empty host."""
    with pytest.raises(Unavailable, match="cut short"):
        observe.engines("\n==inspect\n[]\n", "spark-1")


def test_docker_that_does_not_answer_is_unknown_unless_only_bare_is_used() -> None:
    """A host without docker permission can still run bare engines."""
    answer = seen(dockererror="permission denied", bare="")
    with pytest.raises(Unavailable, match="permission denied"):
        observe.engines(answer, "spark-1")
    assert observe.engines(answer, "spark-1", docker_required=False) == ()


@pytest.mark.parametrize(
    ("status", "running", "code"),
    [("running", True, None), ("paused", True, None), ("exited", False, 3), ("dead", False, 3),
     ("created", False, None)],
)  # fmt: skip
def test_the_state_of_a_container_is_the_state_of_the_engine(
    status: str, running: bool, code: int | None
) -> None:
    """An exit code counts only once it has ended."""
    (found,) = observe.engines(seen(inspect=inspected(container(status=status))), "spark-1")
    assert (found.running, found.exit_code) == (running, code)


def test_a_container_of_launch_cluster_runs_only_while_vllm_does() -> None:
    """PID 1 is a sleeper."""
    text = inspected(container(launcher="launch-cluster"))
    (idle,) = observe.engines(seen(inspect=text, serving=""), "spark-1")
    (busy,) = observe.engines(seen(inspect=text, serving="abc"), "spark-1")
    assert (idle.running, busy.running) == (False, True)


def test_what_a_start_is_still_at_work_on_is_not_an_engine_yet() -> None:
    """It has no final identity; a start by the same tag adopts it."""
    created = inspected(container(status="created"))
    assert observe.engines(seen(inspect=created, starting="spark-control-engine"), "s") == ()
    assert len(observe.engines(seen(inspect=created, starting="another"), "s")) == 1
    ended = inspected(container(status="exited"))
    assert len(observe.engines(seen(inspect=ended, starting="spark-control-engine"), "s")) == 1


def test_a_container_without_our_label_is_nobody_to_us() -> None:
    """Name alone does not make it ours."""
    foreign = container(Config={"Labels": None})
    assert observe.engines(seen(inspect=inspected(foreign)), "spark-1") == ()


def test_a_listener_is_named_and_a_free_port_is_none() -> None:
    """IPv4, IPv6 and a listener of another user."""
    text = (
        'LISTEN 0 4096 0.0.0.0:8000 0.0.0.0:* users:(("vllm",pid=42,fd=7))\n'
        "LISTEN 0 4096 [::]:8001 [::]:*\n"
        "LISTEN 0 4096 127.0.0.1:18000 0.0.0.0:*\n"
    )
    assert observe.port_owner(text, 8000) == "vllm (pid 42)"
    assert observe.port_owner(text, 8001) == "a process of another user"
    assert observe.port_owner(text, 8002) is None


def test_docker_run_that_worked_is_the_engine() -> None:
    """Also when it ended at once: exit code and log are there to read."""
    parts = {"code": "0", "inspect": inspected(container())}
    assert isinstance(outcome.of_docker(parts, DOCKER, "swap-1", "s"), Engine)
    parts = {"code": "125", "output": "is already in use by container", "inspect": parts["inspect"]}
    assert isinstance(outcome.of_docker(parts, DOCKER, "swap-1", "s"), Engine)


def test_what_else_bears_the_name_is_refused_or_cleared() -> None:
    """Running others are a conflict, ended ones of ours a leftover, foreign ones a conflict."""
    taken = {"code": "125", "output": "is already in use by container"}
    with pytest.raises(Conflict, match="tiny already runs on s"):
        outcome.of_docker(taken | {"inspect": inspected(container("x"))}, DOCKER, "swap-1", "s")
    ended = taken | {"inspect": inspected(container("x", "exited"))}
    assert isinstance(outcome.of_docker(ended, DOCKER, "swap-1", "s"), Leftover)
    half = taken | {"inspect": inspected(container("swap-1", "created"))}
    assert isinstance(outcome.of_docker(half, DOCKER, "swap-1", "s"), Leftover)
    foreign = taken | {"inspect": inspected(container(Config={"Labels": {}}))}
    with pytest.raises(Conflict, match="not started by Spark Control"):
        outcome.of_docker(foreign, DOCKER, "swap-1", "s")


def test_docker_run_that_failed_says_why() -> None:
    """A container that could be created but not started is a failure, not a leftover."""
    parts = {
        "code": "125",
        "output": 'could not select device driver "" with capabilities: [[gpu]].',
        "inspect": inspected(container(status="created")),
    }
    with pytest.raises(LaunchFailed) as caught:
        outcome.of_docker(parts, DOCKER, "swap-1", "s")
    assert caught.value.diagnosis.code == "no_gpu_runtime"
    assert caught.value.advice


def test_a_launcher_that_skipped_is_a_failure_even_with_exit_0() -> None:
    """And one whose container does not bear our tag."""
    inspect = inspected(container(launcher="launch-cluster"))
    parts = {"code": "0", "output": "already running. Skipping launch.", "inspect": inspect}
    with pytest.raises(LaunchFailed) as caught:
        outcome.of_cluster(parts, CLUSTER, "swap-1", "s")
    assert caught.value.diagnosis.code == "already_running"
    done = {"code": "0", "output": "ok", "inspect": inspect}
    assert isinstance(outcome.of_cluster(done, CLUSTER, "swap-1", "s"), Engine)
    with pytest.raises(LaunchFailed):
        outcome.of_cluster(done | {"code": "1"}, CLUSTER, "swap-1", "s")
    with pytest.raises(LaunchFailed):
        outcome.of_cluster({"code": "0", "output": "ok"}, CLUSTER, "swap-1", "s")


def test_a_live_container_is_adopted_only_while_its_vllm_runs() -> None:
    """A second exec would start a second vLLM, so the program does not even try."""
    inspect = inspected(container(launcher="launch-cluster"))
    live = {"present": "", "serving": "spark-control-engine", "inspect": inspect}
    assert isinstance(outcome.of_cluster(live, CLUSTER, "swap-1", "s"), Engine)
    assert isinstance(outcome.of_cluster(live | {"serving": ""}, CLUSTER, "swap-1", "s"), Leftover)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"busy": ""}, "still at work on s"),
        ({"nostate": "/home/u/.spark-control"}, "cannot be written"),
        ({"missing": "/srv/x"}, "no folder /srv/x on s"),
    ],
)
def test_a_start_that_could_not_begin_says_why(parts: dict[str, str], message: str) -> None:
    """Before anything was touched."""
    with pytest.raises(Exception, match=message):
        outcome.refusal(parts, DOCKER, "s")


def test_a_start_behind_the_fence_learns_where_it_is() -> None:
    """So that a live caller can go above it."""
    assert outcome.refusal({"superseded": "00042"}, DOCKER, "s") == Superseded(42)
    assert outcome.refusal({"code": "0"}, DOCKER, "s") is None


def test_different_images_on_two_nodes_are_a_warning() -> None:
    """Image drift breaks a pair in ways that are hard to read."""
    looks = {
        "a": {"image": json.dumps([{"Id": "sha256:1"}]) + "\nrc=0"},
        "b": {"image": json.dumps([{"Id": "sha256:2"}]) + "\nrc=0"},
    }
    (finding,) = survey.findings(CLUSTER, looks)
    assert (finding.code, finding.severity) == ("image_differs", "warning")


def test_a_host_that_does_not_answer_is_unknown() -> None:
    """Grey, not red; and a bug of ours is not hidden as one."""
    (finding,) = survey.findings(DOCKER, {"spark-1": Unavailable("no answer")})
    assert (finding.severity, finding.host) == ("unknown", "spark-1")
    with pytest.raises(ZeroDivisionError):
        survey.findings(DOCKER, {"spark-1": ZeroDivisionError()})


def test_docker_that_does_not_answer_is_not_an_image_that_is_missing() -> None:
    ((code, text, advice),) = survey.problems(DOCKER, {"image": "rc=124"})
    assert (code, bool(text), bool(advice)) == ("docker_silent", True, True)


DF = """Filesystem        1-blocks         Used    Available Capacity Mounted on
/dev/nvme0n1p2  3936818806784 3736800000000            0     100% /
/dev/nvme0n1p2  3936818806784 3736800000000            0     100% /
/dev/nvme1n1p1  3936818806784 1180000000000 2556700000000      32% /mnt/my models
"""


def test_a_full_disk_is_a_problem_once_and_an_answer_without_figures_is_none() -> None:
    assert survey.full_disks(DF) == ["/"]
    assert survey.full_disks("") == []
    assert survey.full_disks("Filesystem\nno figures here at all x") == []
    assert ("disk_full", "the disk at / is full") in [
        problem[:2] for problem in survey.problems(DOCKER, {"space": DF})
    ]
