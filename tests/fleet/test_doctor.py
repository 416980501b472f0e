"""The doctor: what each state of a host becomes, and the real script run for real."""

import os
import subprocess
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.base.errors import (
    DeadlineExceeded,
    HostKeyChanged,
    HostUnreachable,
    SparkError,
    SshAuthFailed,
)
from server.base.finding import Finding, Severity
from server.config.model import Settings
from server.fleet.diagnosis import clock_finding, diagnose
from server.fleet.doctor import check
from server.fleet.facts import SCRIPT, facts_argv, read_facts
from server.ssh.model import Refusal, Result, Target
from tests.fleet.captures import DF, MEMINFO
from tests.fleet.fakes import FakeClock, FakeKeys, LocalShells, ScriptedShells, shim

TARGET = Target("spark-1", "192.0.2.11", 22, "ubuntu")


def configured(**engine: Any) -> Settings:
    return Settings.model_validate(
        {
            "hosts": [
                {"name": "spark-1", "address": "192.0.2.11", "cluster_address": "198.51.100.11"},
                {"name": "spark-2", "address": "192.0.2.12", "cluster_address": "198.51.100.12"},
            ],
            "engine": engine,
        }
    )


def healthy() -> dict[str, list[str]]:
    """What a Spark in order answers, by tag."""
    tools = ["setsid", "timeout", "stdbuf", "df", "cat", "sleep", "docker", "nvidia-smi", "ss"]
    return {
        "tool": [f"{tool}\tyes" for tool in tools],
        "docker": ["0"],
        "docker-says": ['{"ServerVersion":"28.3.3","Runtimes":{"nvidia":{},"runc":{}}}'],
        "gpu": ["0"],
        "gpu-says": ["NVIDIA GB10, 580.95.05"],
        "memory": MEMINFO.splitlines(),
        "disk": DF.splitlines()[:2],
        "link": [
            "lo\tunknown\t65536\t",
            "enP7s7\tup\t1500\tr8127",
            "enp1s0f1np1\tup\t9000\tmlx5_core",
            "enp1s0f0np0\tdown\t1500\tmlx5_core",
        ],
        "ip": [
            "1: lo    inet 127.0.0.1/8 scope host lo",
            "5: enp1s0f1np1    inet 198.51.100.11/24 brd 198.51.100.255 scope global enp1s0f1np1",
        ],
        "end": [""],
    }


def findings(body: dict[str, list[str]], config: Settings | None = None) -> dict[str, Finding]:
    """By code; the worst of several."""
    text = "\n".join(f"{tag}\t{line}" for tag, lines in body.items() for line in lines)
    config = config or configured()
    order = list(Severity)
    found: dict[str, Finding] = {}
    for finding in diagnose(read_facts(text), config.hosts[0], config):
        assert finding.host == "spark-1"
        assert finding.advice or finding.severity in {Severity.OK, Severity.UNKNOWN}
        before = found.get(finding.code)
        if before is None or order.index(before.severity) < order.index(finding.severity):
            found[finding.code] = finding
    return found


def with_(**changes: list[str]) -> dict[str, list[str]]:
    return healthy() | {key.replace("_", "-"): value for key, value in changes.items()}


def test_a_spark_in_order_has_only_good_findings() -> None:
    """Every finding is ok, and each thing the doctor promises is among them."""
    found = findings(healthy())
    assert {finding.severity for finding in found.values()} == {Severity.OK}
    assert set(found) == {
        "tools", "docker", "nvidia_smi", "driver", "memory", "disk", "interfaces"
    }  # fmt: skip


NO_DOCKER = [line.replace("docker\tyes", "docker\tno") for line in healthy()["tool"]]
NO_SMI = [line.replace("nvidia-smi\tyes", "nvidia-smi\tno") for line in healthy()["tool"]]
NO_SETSID = [line.replace("setsid\tyes", "setsid\tno") for line in healthy()["tool"]]
DENIED = ["permission denied while trying to connect to the Docker daemon socket"]
SERVER_ERRORS = ['{"ServerErrors":["permission denied while trying to connect to the docker API"]}']
STOPPED = ['{"ID":""}', "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."]
FULL = ["/dev/a 1000000000000 999000000000 1000000000 99% /"]
LITTLE = ["/dev/a 1000000000000 980000000000 20000000000 98% /"]


@pytest.mark.parametrize(
    ("changes", "code", "severity", "words"),
    [
        ({"tool": NO_SETSID}, "tools", "error", "setsid"),
        ({"tool": NO_DOCKER}, "docker", "error", "not installed"),
        ({"docker": ["1"], "docker_says": DENIED}, "docker", "error", "permission denied"),
        ({"docker": ["1"], "docker_says": STOPPED}, "docker", "error", "does not run"),
        ({"docker_says": SERVER_ERRORS}, "docker", "error", "permission denied"),
        ({"docker": ["124"], "docker_says": []}, "docker", "unknown", "in time"),
        ({"docker_says": ['{"Runtimes":{"runc":{}}}']}, "gpu_runtime", "warning", "runtime"),
        ({"tool": NO_SMI}, "nvidia_smi", "error", "not installed"),
        ({"gpu": ["124"], "gpu_says": []}, "nvidia_smi", "unknown", "in time"),
        ({"gpu": ["9"], "gpu_says": ["NVIDIA-SMI has failed"]}, "nvidia_smi", "error", "failed"),
        ({"gpu_says": ["NVIDIA GB10, 590.44.01"]}, "driver", "warning", "590.44.01"),
        ({"gpu_says": ["NVIDIA GB10, [N/A]"]}, "driver", "unknown", "not known"),
        ({"memory": []}, "memory", "unknown", "could not be read"),
        ({"disk": FULL}, "disk", "error", "Only"),
        ({"disk": LITTLE}, "disk", "warning", "too little"),
        ({"link": []}, "interfaces", "unknown", "could not be read"),
        ({"link": ["enP7s7\tup\t1500\tr8127"], "ip": []}, "interfaces", "warning", "ConnectX-7"),
        ({"link": ["p1\tdown\t9000\tmlx5_core"], "ip": []}, "interfaces", "error", "No link"),
        ({"ip": ["5: p1    inet 198.51.100.99/24 x"]}, "interfaces", "error", "198.51.100.11"),
        ({"link": ["enp1s0f1np1\tup\t1500\tmlx5_core"]}, "mtu", "warning", "1500"),
        ({"end": []}, "facts", "unknown", "everything"),
    ],
)
def test_each_trouble_has_its_finding(
    changes: dict[str, list[str]], code: str, severity: str, words: str
) -> None:
    """The code is stable, the severity honest, and the sentence says what."""
    finding = findings(with_(**changes))[code]
    assert finding.severity == severity
    assert words in finding.message


def test_a_bad_driver_matters_on_a_gb10_only() -> None:
    """590.x hangs there; on another GPU it is just a driver."""
    assert findings(with_(gpu_says=["NVIDIA RTX 4090, 590.1"]))["driver"].severity == "ok"


def test_the_network_between_sparks_matters_for_several_only() -> None:
    """One host alone needs no fast link: no finding about it, good or bad."""
    alone = Settings.model_validate({"hosts": [{"name": "spark-1", "address": "192.0.2.11"}]})
    assert "interfaces" not in findings(with_(link=[]), alone)


def test_the_launcher_and_ssh_between_sparks_are_checked_when_configured() -> None:
    """launch-cluster.sh needs its files and passwordless ssh from head to worker."""
    config = configured(launcher="launch-cluster")
    good = with_(launcher=["launch-cluster.sh\tyes", "mods\tyes"], peer=["198.51.100.12\t0\t"])
    bad = with_(
        launcher=["launch-cluster.sh\tno"],
        peer=["198.51.100.12\t255\tPermission denied (publickey)."],
    )
    slow = with_(peer=["198.51.100.12\t255\tssh: connect: Connection timed out"])
    assert findings(good, config)["launch_cluster"].severity == "ok"
    assert findings(good, config)["peer_ssh"].severity == "ok"
    assert findings(bad, config)["launch_cluster"].severity == "error"
    assert "publickey" in findings(bad, config)["peer_ssh"].message
    assert findings(slow, config)["peer_ssh"].severity == "unknown"
    assert findings(slow, config)["launch_cluster"].severity == "unknown"


def test_the_bare_launcher_needs_vllm() -> None:
    """Looked for only when it is the launcher."""
    config = configured(launcher="bare")
    assert findings(with_(vllm=["no"]), config)["vllm"].severity == "error"
    assert findings(with_(vllm=["yes"]), config)["vllm"].severity == "ok"


def test_model_roots_are_looked_at() -> None:
    """Missing is a warning, unreadable an error."""
    config = configured(model_roots=["/srv/a", "/srv/b", "/srv/c"])
    paths = ["/srv/a\tyes", "/srv/b\tno", "/srv/c\tunreadable"]
    rows = diagnose(
        read_facts("\n".join(f"path\t{path}" for path in paths)), config.hosts[0], config
    )
    told = [row.severity.value for row in rows if row.code == "model_roots"]
    assert told == ["ok", "warning", "error"]


@pytest.mark.parametrize(
    ("ahead", "uncertainty", "severity"), [(1, 0, "ok"), (-60, 0.1, "warning"), (8, 4, "ok")]
)
def test_a_skewed_clock_is_told(ahead: float, uncertainty: float, severity: str) -> None:
    """A slow answer makes the comparison uncertain: what it may explain is not blamed."""
    assert clock_finding("h", ahead, uncertainty).severity == severity


LINES = st.builds(
    lambda tag, rest: "\t".join([tag, *rest]),
    st.sampled_from([*healthy(), "peer", "path", "launcher", "vllm", "odd"]),
    st.lists(st.text(max_size=30), max_size=5),
)


@given(st.lists(LINES, max_size=20))
@settings(max_examples=200, deadline=None)
def test_no_answer_whatever_breaks_the_doctor(lines: list[str]) -> None:
    """Any text: findings, never an exception, and nothing is called broken out of nothing."""
    config = configured()
    for finding in diagnose(read_facts("\n".join(lines)), config.hosts[0], config):
        finding.to_dict()


def test_silence_is_unknown_and_not_broken() -> None:
    """A host that told nothing has no error: everything is unknown."""
    config = configured(launcher="launch-cluster")
    rows = diagnose(read_facts(""), config.hosts[0], config)
    assert {row.severity for row in rows} == {Severity.UNKNOWN}


class FailingShells(ScriptedShells):
    """Every command fails with that error."""

    def __init__(self, error: SparkError) -> None:
        super().__init__()
        self._error = error

    def shell(self, host: str, user: str | None = None) -> Any:
        error = self._error

        class Failing:
            target = TARGET

            async def run(self, argv: Sequence[str], **options: object) -> Result:
                raise error

        return Failing()


@pytest.mark.parametrize(
    ("error", "severity"),
    [
        (HostUnreachable("No answer.", retry_after=1), "unknown"),
        (DeadlineExceeded("Too late."), "unknown"),
        (SshAuthFailed("The key was refused."), "error"),
        (HostKeyChanged("Another key."), "error"),
    ],
)
async def test_a_host_that_cannot_be_asked_has_findings_too(
    error: SparkError, severity: str
) -> None:
    """A timeout is unknown; a refusal is an answer."""
    config = configured()
    found = await check(
        config.hosts[0],
        FailingShells(error),
        settings=config,
        hostkeys=FakeKeys("SHA256:old"),
        clock=FakeClock(),
    )
    assert [(one.code, one.severity.value) for one in found] == [
        ("ssh", severity),
        ("host_key", "ok"),
    ]
    assert found[0].advice


async def test_a_changed_key_shows_both_fingerprints() -> None:
    """A person must be able to compare them."""
    config = configured()
    refusal = Refusal(TARGET, "SHA256:old", "SHA256:new", "ssh-ed25519 AAAA")
    found = await check(
        config.hosts[0],
        FailingShells(HostKeyChanged("Another key.")),
        settings=config,
        hostkeys=FakeKeys("SHA256:old", refusal),
        clock=FakeClock(),
    )
    key = next(one for one in found if one.code == "host_key")
    assert key.severity == "error"
    assert "SHA256:old" in key.message
    assert "SHA256:new" in key.message


class ShiftedClock(FakeClock):
    """Ours is a day behind."""

    def now(self) -> Any:
        from datetime import UTC, datetime

        return datetime.now(UTC) - timedelta(days=1)


async def test_the_real_script_asks_a_real_machine(tmp_path: Path) -> None:
    """Run here with stand-ins for docker and nvidia-smi: all facts arrive and are judged."""
    shim(tmp_path, "docker", 'echo \'{"ServerVersion":"28","Runtimes":{"nvidia":{}}}\'')
    shim(tmp_path, "nvidia-smi", "echo 'NVIDIA GB10, 590.44.01'")
    shim(tmp_path, "ssh", "echo 'Permission denied (publickey).' >&2; exit 255")
    checkout = tmp_path / "spark-vllm-docker"
    checkout.mkdir()
    shim(checkout, "launch-cluster.sh", "exit 0")
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    config = configured(launcher="launch-cluster", model_roots=["/usr", "/nowhere"])
    found = await check(
        config.hosts[0],
        LocalShells(lambda _: environ, ["spark-1"]),
        settings=config,
        hostkeys=FakeKeys(),
        clock=ShiftedClock(),
    )
    told = {(one.code, one.severity.value) for one in found}
    assert {
        ("ssh", "ok"), ("host_key", "info"), ("clock", "warning"), ("tools", "ok"),
        ("docker", "ok"), ("driver", "warning"), ("model_roots", "ok"),
        ("model_roots", "warning"), ("launch_cluster", "ok"), ("peer_ssh", "error"),
    } <= told  # fmt: skip
    assert "facts" not in {one.code for one in found}
    assert any(one.code == "memory" and one.severity != "unknown" for one in found)
    assert any(one.code == "disk" for one in found)


def test_the_shell_accepts_the_doctors_script() -> None:
    """`sh -n` reads it without complaint."""
    done = subprocess.run(["sh", "-n"], input=SCRIPT, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_odd_paths_stay_single_words() -> None:
    """A path with blanks and a dollar is one argument, and nothing of it is executed."""
    argv = facts_argv(paths=["/tmp/a b $(touch /tmp/pwned) ;`id`"])
    done = subprocess.run(argv, input=SCRIPT, text=True, capture_output=True, check=True)
    assert read_facts(done.stdout).paths == {"/tmp/a b $(touch /tmp/pwned) ;`id`": "no"}
    assert not Path("/tmp/pwned").exists()
