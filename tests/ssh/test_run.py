"""`run`: argv in, output and status out, over a real SSH connection to real processes."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.base.errors import (
    HostUnreachable,
    InvalidValue,
    NotFound,
    RemoteCommandFailed,
    SparkError,
)
from server.ssh.fanout import fanout
from tests.ssh.test_quote import NASTY, WORDS


async def test_output_status_and_time_come_back(shell):
    """One channel, both outputs apart, decoded."""
    result = await shell.run(["sh", "-c", "echo out; echo é >&2"], deadline=10)
    assert (result.exit_status, result.stdout, result.stderr) == (0, "out\n", "é\n")
    assert result.argv == ("sh", "-c", "echo out; echo é >&2")


async def test_only_the_intended_argv_runs(shell, side):
    """The whole corpus through SSH: nothing is expanded, nothing else is started."""
    result = await shell.run(["printf", "%s\\0", *NASTY], deadline=10)
    assert result.stdout.split("\0")[:-1] == NASTY
    assert list(side.home.iterdir()) == []


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(words=WORDS, data=st.binary(max_size=200))
def test_any_argv_arrives_over_ssh(words, data, one_loop):
    """Property: argv and stdin are what the remote program sees."""

    async def ask(shell):
        return await shell.run(
            ["sh", "-c", "printf '%s\\0' \"$@\"; od -An -v -tx1", "sh", *words],
            deadline=20,
            stdin=data,
        )

    result = one_loop(ask)
    *seen, dump = result.stdout.split("\0")
    assert seen == (words or [""])
    assert bytes.fromhex(dump) == data


@pytest.mark.parametrize(
    ("argv", "status", "words"),
    [
        (["no-such-program"], 127, "no-such-program was not found"),
        (["/etc/passwd"], 126, "may not be executed"),
        (["sh", "-c", "echo the reason >&2; exit 3"], 3, "status 3: the reason"),
        (["sh", "-c", "kill -SEGV $$"], 139, "the signal SIGSEGV"),
        (["sh", "-c", "kill -9 $$"], 137, "the signal SIGKILL"),
    ],
)
async def test_a_bad_end_is_told_in_words(shell, argv, status, words):
    """127, 126 and signals each say what happened, where, and what the command said itself."""
    with pytest.raises(RemoteCommandFailed) as told:
        await shell.run(argv, deadline=10)
    assert told.value.exit_status == status
    assert words in told.value.message
    assert "on spark-1" in told.value.message
    unchecked = await shell.run(argv, deadline=10, check=False)
    assert unchecked.exit_status == status


async def test_secrets_and_control_characters_stay_out_of_messages(shell):
    """An error text may be shown on a page and written to a log."""
    argv = ["sh", "-c", "printf 'bad hf_abcdefghijklmnopqrstuvwxyzABCD \\033[31m' >&2; exit 1", "x"]
    with pytest.raises(RemoteCommandFailed) as told:
        await shell.run([*argv, "--api-key", "verysecret"], deadline=10)
    everything = f"{told.value.message}{told.value.stderr}"
    assert "hf_abc" not in everything
    assert "verysecret" not in everything
    assert "\033" not in told.value.message


async def test_nul_is_refused_before_anything_is_sent(shell, side):
    """An argument cannot hold it, so no host ever sees it."""
    with pytest.raises(InvalidValue):
        await shell.run(["echo", "a\0b"], deadline=5)
    assert side.commands == []


async def test_stdin_is_closed_when_there_is_none(shell):
    """A program that asks a question gets the end of file, and does not hang."""
    result = await shell.run(["cat"], deadline=10)
    assert result.stdout == ""


async def test_data_goes_in_by_stdin(shell):
    """More than a window of it, with every byte."""
    data = bytes(range(256)) * 12_000
    result = await shell.run(["sha256sum"], deadline=20, stdin=data)
    import hashlib

    assert result.stdout.split()[0] == hashlib.sha256(data).hexdigest()


async def test_a_command_that_does_not_read_its_stdin_ends_well(shell):
    """`true` with a megabyte in front of it is not an error."""
    assert (await shell.run(["true"], deadline=10, stdin=b"x" * 4_000_000)).exit_status == 0


async def test_too_much_output_is_an_error_and_ends_the_command(shell):
    """Bounded memory, and no half of a JSON document passed off as the whole."""
    with pytest.raises(RemoteCommandFailed, match=r"more than 64\.0 KiB"):
        await shell.run(["yes"], deadline=30)
    cut = await shell.run(["yes"], deadline=30, check=False)
    assert cut.truncated
    assert len(cut.stdout) == 64 * 1024


async def test_output_up_to_the_bound_is_whole(shell):
    """The bound itself is allowed."""
    result = await shell.run(["head", "-c", str(64 * 1024), "/dev/zero"], deadline=10)
    assert len(result.stdout) == 64 * 1024
    assert not result.truncated


async def test_a_child_that_holds_the_output_does_not_hold_us(shell):
    """`sh -c 'daemon &'` ends when sh does, not when the daemon lets go of the pipe."""
    result = await shell.run(["sh", "-c", "sleep 60 & echo started"], deadline=20)
    assert result.stdout == "started\n"


async def test_noise_of_the_login_shell_is_not_output(shell, side):
    """A ~/.bashrc that greets must not break what parses the answer."""
    side.login_shell = ("sh", "-c", 'printf "welcome\\nno newline"; eval "$1"', "sh")
    assert (await shell.run(["echo", "hi"], deadline=10)).stdout == "hi\n"


async def test_an_account_without_a_shell_is_told(shell, side):
    """nologin ends with status 1 and a sentence: that is not the command's answer."""
    side.login_shell = ("sh", "-c", "echo This account is currently not available.; exit 1")
    with pytest.raises(HostUnreachable, match="not available") as told:
        await shell.run(["true"], deadline=10, check=False)
    assert "login shell" in told.value.message


async def test_many_commands_share_one_connection(shell, pool, side):
    """One connection per host and user, more at once than it has sessions."""
    side.max_sessions = 10
    results = await asyncio.gather(
        *(pool.shell("spark-1").run(["echo", str(n)], deadline=20) for n in range(25))
    )
    assert [result.stdout for result in results] == [f"{n}\n" for n in range(25)]
    assert side.connections == 1


async def test_a_service_may_name_its_own_user(pool, side):
    """Another user is another connection to the same host."""
    await pool.shell("spark-1").run(["true"], deadline=10)
    await pool.shell("spark-1", "audio").run(["true"], deadline=10)
    assert pool.shell("spark-1", "audio").target.user == "audio"
    assert side.connections == 2


async def test_an_unknown_host_is_not_found(pool):
    """Asking for the shell already says so."""
    with pytest.raises(NotFound):
        pool.shell("spark-9")


@pytest.mark.parametrize("deadline", [0, -1, float("inf"), float("nan")])
async def test_every_command_needs_a_deadline(shell, deadline):
    """No call may wait for ever."""
    with pytest.raises(ValueError, match="finite"):
        await shell.run(["true"], deadline=deadline)


async def test_fan_out_asks_all_at_once_and_keeps_the_errors(targets, pool, side):
    """One host that is not there does not spoil the answer of the others; they run together."""
    from dataclasses import replace

    for name in ("spark-2", "spark-3"):
        targets[name] = replace(targets["spark-1"], name=name)
    targets["spark-4"] = replace(targets["spark-1"], name="spark-4", port=1)
    meet = side.home / "meet"
    # Each waits for the other two: only hosts asked at the same time get through.
    script = 'echo >"$1.$2"; until [ -e "$1.1" ] && [ -e "$1.2" ] && [ -e "$1.3" ]; do :; done'

    async def ask(name):
        argv = ["sh", "-c", f"{script}; echo $2", "sh", str(meet), name[-1]]
        return (await pool.shell(name).run(argv, deadline=20)).stdout

    answers = await fanout(list(targets), ask)
    assert list(answers) == list(targets)
    assert [answers[name] for name in list(targets)[:3]] == ["1\n", "2\n", "3\n"]
    assert isinstance(answers["spark-4"], SparkError)
