"""The sampler script, run for real by `sh -s` with stand-ins for the tools on its PATH."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from server.fleet.parse import FrameParser
from server.fleet.script import SAMPLER, sampler_argv
from server.ssh.model import Target
from tests.fleet.captures import CONTAINER_ID, DOCKER
from tests.fleet.fakes import EPOCH, LocalShell, shim

NVIDIA = """
case "$*" in
  *query-gpu*) i=0
    while [ $i -lt 50 ]; do
      echo "0, NVIDIA GB10, $i, 61, [N/A], 2411, 580.95.05"; i=$((i+1)); sleep 0.1
    done;;
  *) echo "$PPID, VLLM::EngineCore, 106448";;
esac
"""
DOCKER_SHIM = f"""
case "$1" in
  ps) cat <<'X'
{DOCKER}
X
  ;;
  info) echo '{{"DockerRootDir":"/usr"}}';;
esac
"""
LINK = ("cat", "sleep", "df", "timeout", "getconf", "stdbuf")


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with the plain tools only: no docker, no nvidia-smi."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in LINK:
        found = next(p for p in (Path("/usr/bin") / name, Path("/bin") / name) if p.exists())
        (directory / name).symlink_to(found)
    return directory


def shell_with(tools: Path, home: Path) -> LocalShell:
    return LocalShell(Target("h", "127.0.0.1", 22, "u"), {"PATH": str(tools), "HOME": str(home)})


async def collect(
    shell: LocalShell, until: Callable[[list[str]], bool], argv: Sequence[str] | None = None
) -> list[str]:
    """Lines of the sampler until they are enough."""
    lines: list[str] = []
    wanted = ("/bin/" + (argv or sampler_argv(0.1, 60, ["/usr"], slow=0.2))[0],)
    rest = tuple((argv or sampler_argv(0.1, 60, ["/usr"], slow=0.2))[1:])
    async with (
        asyncio.timeout(20),
        shell.stream(wanted + rest, lifetime=60, stdin=SAMPLER.encode()) as stream,
    ):
        async for line in stream:
            lines.append(line)
            if until(lines):
                break
    return lines


def tags(lines: list[str]) -> set[str]:
    return {line.partition("\t")[0] for line in lines}


async def test_everything_is_read_when_the_tools_are_there(tools: Path, tmp_path: Path) -> None:
    """One stream carries frames, GPU lines, processes, containers and disks, all readable."""
    shim(tools, "nvidia-smi", NVIDIA)
    shim(tools, "docker", DOCKER_SHIM)
    wanted = {"@H", "@F", "@G", "@p", "@k", "@d"}

    def enough(lines: list[str]) -> bool:
        return wanted <= tags(lines) and lines[-1].startswith("@F")

    lines = await collect(shell_with(tools, tmp_path), enough)
    parser = FrameParser("h")
    samples = [parser.feed(line, 0.0, EPOCH) for line in lines]
    last = [sample for sample in samples if sample is not None][-1]
    assert last.boot_id
    assert last.cores
    assert last.memory.total
    assert last.memory.available
    assert last.gpus[0].name == "NVIDIA GB10"
    assert last.gpus[0].power is None
    assert last.gpus[0].processes[0].used_bytes == 106448 * 1024 * 1024
    assert last.containers is not None
    assert [container.id for container in last.containers] == [CONTAINER_ID]
    assert last.disks
    # The header of df is the only line that says nothing.
    assert parser.ignored == 0


async def test_missing_tools_are_told_and_frames_still_come(tools: Path, tmp_path: Path) -> None:
    """No docker, no nvidia-smi: both are said to be absent, the machine itself is still read."""
    lines = await collect(
        shell_with(tools, tmp_path), lambda lines: {"@g", "@k", "@d", "@F"} <= tags(lines)
    )
    assert "@g\t127\t@E" in lines
    assert "@k\t127\t0\t@E" in lines


async def test_hanging_tools_delay_no_frame(tools: Path, tmp_path: Path) -> None:
    """docker, nvidia-smi and df that never answer: frames keep coming all the same."""
    for name in ("docker", "nvidia-smi", "df"):
        (tools / name).unlink(missing_ok=True)
        shim(tools, name, "exec sleep 300")

    def ten_frames(lines: list[str]) -> bool:
        return sum(line.startswith("@F") for line in lines) >= 10

    assert await collect(shell_with(tools, tmp_path), ten_frames)


async def test_a_denied_docker_hands_over_its_complaint(tools: Path, tmp_path: Path) -> None:
    """The sentence of docker reaches the parser, with its status."""
    shim(tools, "docker", "echo 'permission denied while trying to connect' >&2; exit 1")
    lines = await collect(shell_with(tools, tmp_path), lambda lines: "@k" in tags(lines))
    assert "@K\tpermission denied while trying to connect\t@E" in lines
    assert "@k\t1\t1\t@E" in lines


async def test_it_ends_by_itself_when_its_time_is_over(tools: Path, tmp_path: Path) -> None:
    """The agreed number of ticks, then its farewell: the stream is renewed by plan."""
    argv = sampler_argv(0.05, 0.15, [])
    lines = await collect(shell_with(tools, tmp_path), lambda lines: lines[-1] == "@X\t@E", argv)
    assert sum(line.startswith("@F") for line in lines) == 3


def below(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


async def _run_and_break(
    tools: Path, home: Path, end: Callable[[asyncio.subprocess.Process], None]
) -> list[psutil.Process]:
    """Start the sampler with hanging tools, wait for a frame, end it; what it had started."""
    shim(tools, "nvidia-smi", NVIDIA)
    shim(tools, "docker", "exec sleep 300")
    shell = shell_with(tools, home)
    argv = ("/bin/sh", *sampler_argv(0.1, 60, [])[1:])
    async with (
        asyncio.timeout(20),
        shell.stream(argv, lifetime=60, stdin=SAMPLER.encode()) as stream,
    ):
        async for line in stream:
            if line.startswith("@G"):
                break
        children = below(stream.process.pid)
        assert len(children) >= 4
        end(stream.process)
        await stream.process.wait()
        gone, alive = await asyncio.to_thread(psutil.wait_procs, children, 10)
        assert gone
        return alive


async def test_it_dies_with_its_stream(tools: Path, tmp_path: Path) -> None:
    """The reader went away without a kill (a lost link): nothing of it is left running."""

    def close(process: asyncio.subprocess.Process) -> None:
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]

    assert await _run_and_break(tools, tmp_path, close) == []


async def test_a_term_takes_its_background_readers_along(tools: Path, tmp_path: Path) -> None:
    """TERM to the shell alone, not to its group: the readers go too."""

    def term(process: asyncio.subprocess.Process) -> None:
        os.kill(process.pid, signal.SIGTERM)

    assert await _run_and_break(tools, tmp_path, term) == []


async def test_a_kill_of_the_group_reaches_everything(tools: Path, tmp_path: Path) -> None:
    """`timeout` stays in our process group: KILL to the group leaves nothing behind."""

    def kill(process: asyncio.subprocess.Process) -> None:
        os.killpg(process.pid, signal.SIGKILL)

    assert await _run_and_break(tools, tmp_path, kill) == []


def test_the_shell_accepts_the_script() -> None:
    """`sh -n` reads it without complaint."""
    import subprocess

    done = subprocess.run(["sh", "-n"], input=SAMPLER, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("seconds", "often"), [(1.0, ("-l", "1")), (5, ("-l", "5")), (0.5, ("-lms", "500"))]
)
def test_nvidia_smi_ticks_as_the_sampler_does(seconds: float, often: tuple[str, str]) -> None:
    """Whole seconds by -l, fractions by -lms."""
    assert sampler_argv(seconds, 60, [])[4:6] == often
