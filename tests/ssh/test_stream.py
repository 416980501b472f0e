"""`stream`: lines as they come, an end that is told, a reader that may be slow."""

import asyncio
import time
from dataclasses import replace

import pytest

from server.base.errors import DeadlineExceeded, HostUnreachable
from tests.ssh.conftest import QUICK


async def test_lines_come_in_order_and_the_status_at_the_end(shell):
    """Standard error is merged in, in the order of the writes."""
    script = "echo one; echo two >&2; printf three; exit 4"
    async with shell.stream(["sh", "-c", script], lifetime=20) as stream:
        assert stream.exit_status is None
        assert [line async for line in stream] == ["one", "two", "three"]
        assert stream.exit_status == 4


async def test_standard_error_can_be_left_out(shell):
    """For a sampler whose lines are parsed."""
    argv = ["sh", "-c", "echo one; echo two >&2"]
    async with shell.stream(argv, lifetime=20, stderr=False) as stream:
        assert [line async for line in stream] == ["one"]


async def test_a_line_comes_when_it_is_written_not_at_the_end(shell, tmp_path):
    """The command waits for our answer to its first line."""
    answer = tmp_path / "answer"
    script = 'echo question; until [ -e "$1" ]; do sleep 0.01; done; echo thanks'
    async with shell.stream(["sh", "-c", script, "sh", str(answer)], lifetime=20) as stream:
        assert await anext(stream) == "question"
        answer.touch()
        assert [line async for line in stream] == ["thanks"]


async def test_a_script_may_come_by_stdin(shell):
    """`sh -s` with the script as data: nothing of it stands in argv."""
    async with shell.stream(["sh", "-s", "x"], lifetime=20, stdin=b"echo $1\ncat\n") as stream:
        assert [line async for line in stream] == ["x"]


async def test_the_lifetime_ends_it_on_the_far_side(shell):
    """Status 124, as `timeout` says it; no error, since it was agreed."""
    async with shell.stream(["sleep", "60"], lifetime=1) as stream:
        assert [line async for line in stream] == []
        assert stream.exit_status == 124


async def test_a_slow_reader_stops_the_writer_not_the_memory(shell, side, tmp_path):
    """50 MB are offered; what we and the channel hold stays bounded until somebody reads."""
    argv = ["sh", "-c", "yes 0123456789012345678901234567890123456789 | head -c 50000000"]
    async with shell.stream(argv, lifetime=60) as stream:
        first = await anext(stream)
        await (await_settled := asyncio.create_task(_settled(stream._session)))
        assert await_settled.result() < 4_000_000
        count = 1
        async for line in stream:
            assert line == first or len(line) < 40
            count += 1
        assert count == -(-50_000_000 // 41)


async def _settled(session):
    """How much is held once the flow has stopped."""
    held = -1
    while held != session._size:
        held = session._size
        await asyncio.sleep(0.1)
    return held


async def test_a_lost_connection_is_an_error_not_an_end(shell, side):
    """Half a log must not look like a whole one."""
    async with shell.stream(["sh", "-c", "echo one; sleep 60"], lifetime=60) as stream:
        assert await anext(stream) == "one"
        await side.cut()
        with pytest.raises(HostUnreachable, match="lost") as told:
            await anext(stream)
        assert stream.exit_status is None
    assert "spark-1 (127.0.0.1:" in told.value.message


async def test_a_stream_of_a_missing_program_ends_with_127(shell):
    """The words of the far side are lines, the status tells the rest."""
    async with shell.stream(["no-such-program"], lifetime=20) as stream:
        lines = [line async for line in stream]
    assert stream.exit_status == 127
    assert "no-such-program" in lines[0]


async def test_a_far_side_that_does_not_end_is_given_up(make_pool, side):
    """When even `timeout` there hangs (a frozen machine), reading ends all the same."""
    shell = make_pool(replace(QUICK, kill_grace=0, belt=0)).shell("spark-1")
    side.login_shell = ("sh", "-c", 'eval "kill -STOP \\$\\$"', "sh")
    async with shell.stream(["true"], lifetime=0.5) as stream:
        with pytest.raises(DeadlineExceeded):
            await anext(stream)


async def test_sixty_four_lines_a_second_are_cheap(shell):
    """A frame per second of 64 hosts: well under a quarter core, so under 4 ms of CPU a line."""
    argv = [
        "sh",
        "-c",
        'i=0; while [ $i -lt 200 ]; do echo "$i $1"; i=$((i+1)); done',
        "sh",
        "x" * 2000,
    ]
    async with shell.stream(argv, lifetime=60) as stream:
        await anext(stream)
        before = time.process_time()
        lines = [line async for line in stream]
        spent = time.process_time() - before
    assert len(lines) == 199
    assert spent / 199 < 0.004
