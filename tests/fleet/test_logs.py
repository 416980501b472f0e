"""The end of a container's log: names checked, size bounded, secrets out."""

import os
from pathlib import Path

import pytest

from server.base.errors import InvalidValue, NotFound, RemoteCommandFailed, Unavailable
from server.fleet.logs import MOST_BYTES, logs
from server.ssh.model import Target
from tests.fleet.fakes import LocalShell, shim


def shell(directory: Path, docker: str | None) -> LocalShell:
    if docker is not None:
        shim(directory, "docker", docker)
    path = f"{directory}:{os.environ['PATH']}" if docker is not None else str(directory)
    if docker is None:
        for name in ("sh", "tail", "timeout"):
            (directory / name).symlink_to(f"/usr/bin/{name}")
    return LocalShell(Target("spark-1", "127.0.0.1", 22, "u"), {"PATH": path})


async def test_both_streams_come_in_their_order(tmp_path: Path) -> None:
    """What docker writes to stdout and stderr is one text; the argv is what was asked."""
    docker = 'echo "$*"; echo second >&2; printf third'
    text = await logs(shell(tmp_path, docker), "parakeet-asr", 50)
    assert text == "logs --tail 50 parakeet-asr\nsecond\nthird"


async def test_secrets_and_colours_are_taken_out(tmp_path: Path) -> None:
    """A token in a log does not reach the page."""
    text = await logs(
        shell(tmp_path, "printf '\\033[31mHF_TOKEN=hf_abcdefGHIJKL123\\033[0m\\n'"), "a"
    )
    assert "hf_abc" not in text
    assert "\033" not in text


async def test_a_huge_log_keeps_its_end(tmp_path: Path) -> None:
    """At most a megabyte travels, and it is the newest."""
    text = await logs(shell(tmp_path, "seq 1 400000"), "a")
    assert len(text) <= MOST_BYTES
    assert text.endswith("399999\n400000\n")


@pytest.mark.parametrize("name", ["", "-v", "a;b", "$(id)", "a b", "../x", "a\nb", "ä", "a" * 200])
async def test_odd_names_never_reach_the_host(name: str, tmp_path: Path) -> None:
    """Refused before anything is run."""
    with pytest.raises(InvalidValue):
        await logs(shell(tmp_path, "exit 0"), name)


@pytest.mark.parametrize("lines", [0, -1, 10_001])
async def test_the_number_of_lines_has_bounds(lines: int, tmp_path: Path) -> None:
    """Neither none nor everything."""
    with pytest.raises(InvalidValue):
        await logs(shell(tmp_path, "exit 0"), "a", lines)


async def test_each_failure_has_its_error(tmp_path: Path) -> None:
    """No such container, docker denied or absent, docker's own trouble."""
    missing = "echo 'Error response from daemon: No such container: a' >&2; exit 1"
    with pytest.raises(NotFound):
        await logs(shell(tmp_path, missing), "a")
    denied = "echo 'permission denied while trying to connect to the Docker daemon' >&2; exit 1"
    with pytest.raises(Unavailable, match="permission denied"):
        await logs(shell(tmp_path, denied), "a")
    with pytest.raises(RemoteCommandFailed):
        await logs(shell(tmp_path, "echo 'log driver cannot read' >&2; exit 1"), "a")
    absent = tmp_path / "absent"
    absent.mkdir()
    with pytest.raises(Unavailable, match="not installed"):
        await logs(shell(absent, None), "a")
