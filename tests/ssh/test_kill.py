"""Closing a channel stops nothing. These tests look at the processes themselves."""

import asyncio
import contextlib
import os

import pytest

from server.base.errors import DeadlineExceeded
from tests.ssh.remote_life import Pipe, alive, finish_off

# Says its own pid and that of a grandchild, then waits for ever.
FAMILY = 'sleep 300 & echo $$ $! >"$1"; wait'
STUBBORN = 'trap "" TERM HUP; echo $$ >"$1"; while :; do sleep 300; done'


@pytest.fixture
def pipe(tmp_path):
    return Pipe(tmp_path / "pids")


async def started(shell, pipe, script, **how):
    """A run that is under way, and the pids it told."""
    argv = ["sh", "-c", script, "sh", str(pipe.path)]
    task = asyncio.create_task(shell.run(argv, **({"deadline": 60} | how)))
    pids = [int(word) for word in await pipe.words()]
    assert pids
    assert all(alive(pid) for pid in pids)
    return task, pids


async def test_closing_the_channel_alone_stops_nothing(shell, side, pipe, undo):
    """Why the room kills: the far side goes on when the connection is cut."""
    task, pids = await started(shell, pipe, FAMILY)
    for pid in pids:
        undo.callback(finish_off, pid)
    await side.cut()
    with contextlib.suppress(Exception):
        await task
    assert all(alive(pid) for pid in pids)


async def test_cancelling_kills_the_whole_group(shell, pipe):
    """When the cancelled call returns, the command and its children are gone."""
    task, pids = await started(shell, pipe, FAMILY)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(alive(pid) for pid in pids)


async def test_a_deadline_kills_the_whole_group(shell, pipe):
    """The error says what was ended, where, after how long."""
    task, pids = await started(shell, pipe, FAMILY, deadline=2)
    with pytest.raises(DeadlineExceeded, match=r"on spark-1 did not finish within 2 s"):
        await task
    assert not any(alive(pid) for pid in pids)


async def test_what_ignores_term_is_killed(shell, pipe):
    """TERM first, KILL after the grace."""
    task, pids = await started(shell, pipe, STUBBORN)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(alive(pid) for pid in pids)


async def test_term_lets_a_command_tidy_up(shell, pipe, side):
    """Who handles TERM gets to clean up before anything harder comes."""
    script = 'trap "echo tidy >$HOME/tidied; exit" TERM; echo $$ >"$1"; sleep 300 & wait'
    task, _ = await started(shell, pipe, script)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (side.home / "tidied").read_text() == "tidy\n"


@pytest.mark.parametrize(
    "login_shell", [("sh", "-c"), ("bash", "-c"), ("sh", "-c", 'eval "$1"; exit $?', "sh")]
)
async def test_every_kind_of_login_shell_loses_its_children(shell, side, pipe, login_shell):
    """Whether the login shell becomes the command or stays in front of it."""
    side.login_shell = login_shell
    task, pids = await started(shell, pipe, FAMILY)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(alive(pid) for pid in pids)


async def test_a_cancel_at_any_moment_leaves_nothing(shell, side, tmp_path):
    """Also while the session is being opened and before the command told its group."""
    await shell.run(["true"], deadline=10)
    for steps in range(40):
        task = asyncio.create_task(shell.run(["sleep", f"300.{os.getpid()}"], deadline=60))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    # The bracket keeps pgrep's own command line, and the shell's around it, from matching.
    argv = ["pgrep", "-f", f"[s]leep 300.{os.getpid()}"]
    result = await shell.run(argv, deadline=10, check=False)
    assert (result.exit_status, result.stdout) == (1, "")


async def test_a_second_cancel_leaves_at_once_and_the_kill_goes_on(shell, pool, pipe):
    """Shutdown is impatient; closing the pool waits for kills under way."""
    task, pids = await started(shell, pipe, STUBBORN)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await pool.close()
    assert not any(alive(pid) for pid in pids)


async def test_leaving_a_stream_kills_its_group(shell, pipe):
    """A follower that is no longer read must not stay behind."""
    argv = ["sh", "-c", f"echo ready; {FAMILY}", "sh", str(pipe.path)]
    async with shell.stream(argv, lifetime=60) as stream:
        assert await anext(stream) == "ready"
        pids = [int(word) for word in await pipe.words()]
    assert not any(alive(pid) for pid in pids)


async def test_an_error_in_the_block_kills_the_stream_too(shell, pipe):
    """Every way out of the block."""
    argv = ["sh", "-c", FAMILY, "sh", str(pipe.path)]
    with pytest.raises(RuntimeError, match="ours"):  # noqa: PT012
        async with shell.stream(argv, lifetime=60):
            pids = [int(word) for word in await pipe.words()]
            raise RuntimeError("ours")
    assert not any(alive(pid) for pid in pids)


async def test_a_kill_finds_a_way_when_no_session_is_left(shell, side, pipe):
    """The server refuses one more session: the kill comes over a connection of its own."""
    side.max_sessions = 1
    task, pids = await started(shell, pipe, FAMILY)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(alive(pid) for pid in pids)
    assert side.connections == 2


async def test_children_left_in_the_group_end_with_the_command(shell, pipe):
    """What holds the output of an ended command is not left behind either."""
    argv = ["sh", "-c", 'sleep 300 & echo $! >"$1"; echo done', "sh", str(pipe.path)]
    words, result = await asyncio.gather(pipe.words(), shell.run(argv, deadline=20))
    assert result.stdout == "done\n"
    assert not alive(int(words[0]))


async def test_a_detached_process_survives(shell, pipe, undo):
    """An engine started with setsid and its own output is meant to outlive us."""
    script = 'setsid sh -c \'echo $$ >"$1"; exec sleep 300\' sh "$1" </dev/null >/dev/null 2>&1 &'
    argv = ["sh", "-c", script, "sh", str(pipe.path)]
    words, _ = await asyncio.gather(pipe.words(), shell.run(argv, deadline=20))
    undo.callback(finish_off, int(words[0]))
    assert alive(int(words[0]))


async def test_the_far_side_ends_it_when_the_link_is_gone(shell, side, tmp_path, undo):
    """Nobody can kill over a lost link: the remote `timeout` does, within the lifetime."""
    pipe, farewell = Pipe(tmp_path / "pid"), Pipe(tmp_path / "farewell")
    script = 'trap "echo bye >$2; exit" TERM; echo $$ >"$1"; sleep 300 & wait'
    argv = ["sh", "-c", script, "sh", str(pipe.path), str(farewell.path)]
    with contextlib.suppress(Exception):
        async with shell.stream(argv, lifetime=2):
            pid = int((await pipe.words())[0])
            undo.callback(finish_off, pid)
            await side.stop()
    assert await farewell.words() == ["bye"]
