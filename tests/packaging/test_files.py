"""Dockerfile, compose.yaml and the systemd unit: hardened alike, and agreeing with the program."""

import configparser
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from server.cli.main import cli
from server.cli.serve import serve
from tests.packaging.installed import ROOT

PORT = next(option.default for option in serve.params if option.name == "port")


def instructions() -> list[list[tuple[str, str]]]:
    """The Dockerfile's stages: each a list of (instruction, rest)."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    words = [tuple(line.split(None, 1)) for line in lines if line.strip()]
    stages: list[list[tuple[str, str]]] = [[]]
    for name, rest in words:
        if name == "FROM":
            stages.append([])
        stages[-1].append((name, rest))
    return stages


def last_stage(name: str) -> str:
    """The one instruction of this name in what runs."""
    (rest,) = [rest for found, rest in instructions()[-1] if found == name]
    return rest


def compose() -> dict[str, Any]:
    services: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())[
        "services"
    ]
    (only,) = services.values()
    return only


def unit() -> configparser.ConfigParser:
    """The unit file. A repeated key keeps its last value, which is enough here."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(ROOT / "deploy" / "spark-control.service")
    return parser


def test_every_stage_stands_on_the_base_that_was_asked_for() -> None:
    """One argument pins them all; nothing floats on `latest`."""
    first, *stages = instructions()
    assert ("ARG", "BASE_IMAGE=docker.io/library/python:3.12-slim") in first
    assert ("ARG", "WHEEL_IMAGE=${BASE_IMAGE}") in first
    bases = [stage[0][1] for stage in stages]
    assert all("${BASE_IMAGE}" in base or "${WHEEL_IMAGE}" in base for base in bases)


def test_the_image_runs_as_a_numbered_user_with_the_data_directory_as_its_volume() -> None:
    """A number, so that an orchestrator can see that it is not root."""
    assert last_stage("USER") == "1000:1000"
    assert json.loads(last_stage("VOLUME")) == ["/data"]
    assert "SPARK_CONTROL_DATA=/data" in last_stage("ENV")
    assert last_stage("EXPOSE") == str(PORT)


def test_the_last_stage_takes_only_the_environment_along() -> None:
    """No source, no uv, no npm: what built it stays behind."""
    copies = [rest for name, rest in instructions()[-1] if name in {"COPY", "ADD"}]
    assert copies == ["--from=environment /opt/venv /opt/venv"]


def test_packages_are_installed_by_hash_and_never_compiled() -> None:
    """What uv.lock names, and no other file."""
    text = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes" in text
    assert "--only-binary :all:" in text
    assert "--no-deps" in text


def test_the_health_check_asks_whether_it_lives() -> None:
    """Not whether it is ready: a restart mends no full disk. No shell, no curl."""
    words = json.loads(last_stage("HEALTHCHECK").partition("CMD")[2])
    assert words[0] == "python3"
    assert "'/livez'" in words[-1]
    assert f"127.0.0.1', {PORT}" in words[-1]


def arguments(words: list[str]) -> None:
    """Fails unless `serve` understands the words."""
    serve.make_context("serve", list(words))


def test_the_program_understands_what_image_and_unit_call_it_with() -> None:
    """An option that was renamed would show only on somebody's machine."""
    assert json.loads(last_stage("ENTRYPOINT")) == ["spark-control"]
    verb, *options = json.loads(last_stage("CMD"))
    assert (verb, options) == ("serve", ["--host", "0.0.0.0", "--port", str(PORT)])
    arguments(options)
    program, verb, *options = unit()["Service"]["ExecStart"].split()
    assert (Path(program).name, verb) == ("spark-control", "serve")
    arguments(options)
    assert CliRunner().invoke(cli, ["serve", "--help"]).exit_code == 0


def test_compose_is_as_locked_down_as_the_image_allows() -> None:
    """Root read-only, no capability, none to gain; reachable from this machine alone."""
    app = compose()
    assert app["read_only"] is True
    assert app["cap_drop"] == ["ALL"]
    assert app["security_opt"] == ["no-new-privileges:true"]
    assert app["user"] == last_stage("USER")
    (tmp,) = app["tmpfs"]
    assert {"/tmp", "noexec", "nosuid", "nodev"} <= set(re.split("[:,]", tmp))
    assert app["volumes"] == ["data:/data"]
    assert app["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert "privileged" not in app


@pytest.mark.parametrize(
    "option",
    [
        "NoNewPrivileges", "DynamicUser", "ProtectHome", "PrivateTmp", "PrivateDevices",
        "ProtectKernelModules", "ProtectKernelTunables", "ProtectControlGroups", "LockPersonality",
        "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "MemoryDenyWriteExecute",
    ],
)  # fmt: skip
def test_the_unit_is_locked_down(option: str) -> None:
    """Each of them is on."""
    assert unit()["Service"][option] == "yes"


def test_the_unit_may_write_its_data_directory_and_nothing_else() -> None:
    """And has no capability. Wrong settings (status 2) are not tried again and again."""
    service = unit()["Service"]
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert service["Environment"] == f"SPARK_CONTROL_DATA=/var/lib/{service['StateDirectory']}"
    assert service["RestartPreventExitStatus"] == "2"
    assert "ReadWritePaths" not in service


def test_the_build_sees_nothing_but_sources() -> None:
    """Everything is shut out first; data directories and history cannot come along."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    assert all((ROOT / name).exists() for name in allowed)
    assert not allowed & {".git", ".env", "data", "tests", "."}
