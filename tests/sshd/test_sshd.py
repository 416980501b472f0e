"""What the ssh room promises, against the sshd that a Spark really runs."""

import asyncio
import hashlib
import re
import signal
from dataclasses import replace

import pytest

from server.base.errors import (
    DeadlineExceeded,
    HostKeyChanged,
    HostUnreachable,
    RemoteCommandFailed,
    SshAuthFailed,
)
from tests.ssh.remote_life import Pipe, alive, finish_off
from tests.ssh.test_kill import FAMILY, STUBBORN
from tests.ssh.test_quote import NASTY
from tests.sshd.conftest import QUICK

LOGIN_SHELLS = ("bash", "zsh", "fish", "dash")


def as_login_shell(name):
    """The sshd_config line that hands every command to this shell, as a login shell gets it."""
    return f'ForceCommand exec {name} -c "$SSH_ORIGINAL_COMMAND"'


async def ok(shell):
    return (await shell.run(["echo", "ok"], deadline=20)).stdout == "ok\n"


async def under_way(shell, pipe, script, deadline=60.0):
    argv = ["sh", "-c", script, "sh", str(pipe.path)]
    task = asyncio.create_task(shell.run(argv, deadline=deadline))
    pids = [int(word) for word in await pipe.words()]
    assert pids
    assert all(alive(pid) for pid in pids)
    return task, pids


@pytest.fixture
def pipe(tmp_path):
    return Pipe(tmp_path / "pids")


async def test_output_and_status_come_back(shell):
    """Both outputs apart, the status as it is."""
    script = "echo out; echo err >&2; exit 5"
    result = await shell.run(["sh", "-c", script], deadline=20, check=False)
    assert (result.stdout, result.stderr, result.exit_status) == ("out\n", "err\n", 5)


@pytest.mark.parametrize(
    ("script", "status", "words"),
    [
        ("kill -9 $$", 137, "SIGKILL"),
        ("kill -SEGV $$", 139, "SIGSEGV"),
        ("exec no-such-program", 127, "not found"),
        ("exec /etc/passwd", 126, "may not be executed"),
    ],
)
async def test_bad_ends_are_told(shell, script, status, words):
    """sshd reports a signal as such; we tell it by name."""
    with pytest.raises(RemoteCommandFailed, match=words) as told:
        await shell.run(["sh", "-c", script], deadline=20)
    assert told.value.exit_status == status


@pytest.mark.parametrize("login_shell", LOGIN_SHELLS)
async def test_only_the_intended_argv_runs_under_any_login_shell(start_sshd, pools, login_shell):
    """The whole corpus, through sshd, through bash, zsh, fish and dash."""
    shell = pools(start_sshd(as_login_shell(login_shell))).shell("spark-1")
    result = await shell.run(["printf", "%s\\0", *NASTY], deadline=20)
    assert result.stdout.split("\0")[:-1] == NASTY


@pytest.mark.parametrize("login_shell", LOGIN_SHELLS)
async def test_a_cancel_kills_the_group_under_any_login_shell(start_sshd, pools, pipe, login_shell):
    """Closing the channel would leave them running."""
    shell = pools(start_sshd(as_login_shell(login_shell))).shell("spark-1")
    task, pids = await under_way(shell, pipe, FAMILY)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(alive(pid) for pid in pids)


async def test_a_deadline_kills_what_ignores_term(shell, pipe):
    """TERM, then KILL, and the error when both are done."""
    task, pids = await under_way(shell, pipe, STUBBORN, deadline=3)
    with pytest.raises(DeadlineExceeded):
        await task
    assert not any(alive(pid) for pid in pids)


async def test_leaving_a_stream_kills_its_group(shell, pipe):
    """`tail -f` does not stay behind."""
    argv = ["sh", "-c", f"echo ready; {FAMILY}", "sh", str(pipe.path)]
    async with shell.stream(argv, lifetime=60) as stream:
        assert await anext(stream) == "ready"
        pids = [int(word) for word in await pipe.words()]
    assert not any(alive(pid) for pid in pids)


async def test_lines_come_merged_and_in_order(shell):
    """The order of the writes, and the status at the end."""
    script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done; exit 3"
    async with shell.stream(["sh", "-c", script], lifetime=20) as stream:
        lines = [line async for line in stream]
    assert lines == [f"{kind} {n}" for n in (1, 2, 3) for kind in ("out", "err")]
    assert stream.exit_status == 3


async def test_stdin_is_closed_or_the_data(shell):
    """Nothing waits for a person who is not there."""
    assert (await shell.run(["cat"], deadline=20)).stdout == ""
    data = bytes(range(256)) * 10_000
    result = await shell.run(["sha256sum"], deadline=20, stdin=data)
    assert result.stdout.split()[0] == hashlib.sha256(data).hexdigest()


async def test_a_file_is_put_whole(shell, tmp_path):
    """Bytes, mode, and nothing beside it."""
    directory = tmp_path / "there"
    directory.mkdir()
    data = bytes(range(256)) * 20_000
    await shell.put(str(directory / "it's $(here)"), data, mode=0o640, deadline=20)
    (path,) = directory.iterdir()
    assert path.name == "it's $(here)"
    assert path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o640


async def test_a_put_that_loses_its_link_leaves_the_old_file(shell, sshd, tmp_path):
    """sshd closes the remote stdin when the connection dies: that is not the end of the data."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    async def pieces():
        yield b"new" * 1000
        sshd.signal_connections(signal.SIGKILL)
        yield b"never"

    with pytest.raises(HostUnreachable):
        await shell.put(str(path), pieces(), deadline=20)
    assert path.read_bytes() == b"old"


async def test_a_child_that_holds_the_output_does_not_hold_us(shell):
    """Plain `ssh host 'sleep 60 &'` hangs here."""
    result = await shell.run(["sh", "-c", "sleep 60 & echo started"], deadline=20)
    assert result.stdout == "started\n"


async def test_a_changed_host_key_is_refused_until_accepted(pools, sshd, hostkeys):
    """In mid-session, at the reconnect."""
    pool = pools(sshd)
    shell = pool.shell("spark-1")
    assert await ok(shell)
    before = hostkeys.pinned(shell.target)
    sshd.stop()
    sshd.change_host_key()
    sshd.start()
    with pytest.raises(HostKeyChanged, match=re.escape(before)) as told:
        await retried(shell)
    assert hostkeys.refused("spark-1").new in told.value.message
    hostkeys.accept(shell.target)
    assert await ok(shell)


async def retried(shell):
    """The first call after a loss may be the one that notices it."""
    try:
        return await ok(shell)
    except HostUnreachable:
        return await ok(shell)


async def test_a_restart_of_the_listener_does_not_touch_us(shell, sshd):
    """`systemctl restart ssh` keeps open connections: so do we."""
    assert await ok(shell)
    (before,) = [process.pid for process in sshd.connections()][:1]
    sshd.stop_listening()
    assert await ok(shell)
    sshd.start()
    assert await ok(shell)
    assert alive(before)
    finish_off(before)


async def test_a_lost_connection_is_made_again(shell, sshd):
    """The process of the connection dies in mid-session, as in a reboot."""
    assert await ok(shell)
    async with shell.stream(["sh", "-c", "echo on; sleep 60"], lifetime=5) as stream:
        await anext(stream)
        sshd.signal_connections(signal.SIGKILL)
        with pytest.raises(HostUnreachable, match="lost"):
            await anext(stream)
    assert await ok(shell)


async def test_a_frozen_machine_is_noticed_by_keepalive(pools, sshd):
    """Nothing is closed, nothing answers: the link is given up after the missed answers."""
    limits = replace(QUICK, keepalive_interval=0.2, keepalive_count=2, connect_timeout=1)
    shell = pools(sshd, limits).shell("spark-1")
    assert await ok(shell)
    sshd.signal_connections(signal.SIGSTOP)
    async with asyncio.timeout(10):
        # A new connection works, since only the processes of the old one are frozen.
        assert await retried(shell)


async def test_refused_sessions_wait_for_their_turn(start_sshd, pools):
    """MaxSessions 2 under ten calls at once: nobody fails."""
    shell = pools(start_sshd("MaxSessions 2")).shell("spark-1")
    assert await ok(shell)
    assert await asyncio.gather(*(ok(shell) for _ in range(10))) == [True] * 10


async def test_a_kill_gets_through_when_every_session_is_taken(start_sshd, pools, pipe):
    """MaxSessions 1: the kill makes a connection of its own."""
    shell = pools(start_sshd("MaxSessions 1")).shell("spark-1")
    task, pids = await under_way(shell, pipe, FAMILY)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(alive(pid) for pid in pids)
    assert await ok(shell)


async def test_no_session_at_all_is_told(start_sshd, pools):
    """MaxSessions 0 is for forwarding only."""
    shell = pools(start_sshd("MaxSessions 0")).shell("spark-1")
    with pytest.raises(HostUnreachable, match="opens no session"):
        await ok(shell)


async def test_a_user_who_may_not_come_in_is_told(pools, sshd):
    """Another account of the machine, and one that does not exist."""
    for user in ("daemon", "no-such-user"):
        with pytest.raises(SshAuthFailed, match=f"user {user} in with our key"):
            await ok(pools(sshd).shell("spark-1", user))


async def test_an_account_without_a_shell_is_told(start_sshd, pools):
    """nologin answers with a sentence instead of the command."""
    shell = pools(start_sshd("ForceCommand /usr/sbin/nologin")).shell("spark-1")
    with pytest.raises(HostUnreachable, match="not available"):
        await shell.run(["true"], deadline=20, check=False)


async def test_openssh_and_we_agree_on_the_pinned_key(shell, sshd, hostkeys, key_path):
    """`ssh` accepts the server by our known_hosts file alone."""
    assert await ok(shell)
    process = await asyncio.create_subprocess_exec(
        "ssh",
        *("-F", "none", "-i", str(key_path), "-p", str(sshd.port), "-o", "BatchMode=yes"),
        *("-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={hostkeys._path}"),
        *(f"{sshd.user}@127.0.0.1", "echo", "agreed"),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert output == b"agreed\n"
