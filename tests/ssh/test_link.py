"""One connection per host and user: made once, checked, kept, lost, made again in time."""

import asyncio
import socket
from dataclasses import replace

import asyncssh
import pytest

from server.base.errors import (
    DeadlineExceeded,
    HostKeyChanged,
    HostUnreachable,
    InvalidValue,
    SshAuthFailed,
    Unavailable,
)
from server.ssh.model import LinkStatus
from tests.ssh.conftest import QUICK
from tests.ssh.far_side import new_host_key
from tests.ssh.wire import black_hole, wire_to


async def ok(shell):
    return (await shell.run(["echo", "ok"], deadline=10)).stdout == "ok\n"


# --- connecting ---------------------------------------------------------------------------------


async def test_nothing_is_connected_before_it_is_needed(pool, side):
    """Handing out a shell costs nothing; the state is told without touching the host."""
    shell = pool.shell("spark-1")
    assert pool.state("spark-1").status is LinkStatus.IDLE
    assert await ok(shell)
    assert pool.state("spark-1").status is LinkStatus.CONNECTED
    assert side.connections == 1


async def test_all_who_wait_share_one_attempt(pool, side):
    """Ten callers on a cold link make one connection, and one of them leaving does not end it."""
    tasks = [asyncio.create_task(ok(pool.shell("spark-1"))) for _ in range(10)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[1:] == [True] * 9
    assert side.connections == 1


async def test_a_refused_connection_says_where_and_what_to_check(pool, targets, shell):
    """Host, address:port, advice; no class name, no traceback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        targets["spark-1"] = replace(targets["spark-1"], port=free.getsockname()[1])
    port = targets["spark-1"].port
    with pytest.raises(HostUnreachable, match=f"spark-1 \\(127.0.0.1:{port}\\) refused") as told:
        await ok(shell)
    assert "sshd runs" in (told.value.advice or "")
    assert told.value.source == "spark-1"


async def test_a_name_that_does_not_resolve_is_told(targets, shell):
    """A typing error in the address is not a network problem."""
    targets["spark-1"] = replace(targets["spark-1"], address="no-such-host.invalid")
    with pytest.raises(HostUnreachable, match=r"no-such-host\.invalid, cannot be resolved"):
        await ok(shell)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"address": "a..b"}, "cannot be resolved"),
        ({"address": "x" * 300}, "cannot be resolved"),
        ({"user": "\u0007bell"}, "address or user of spark-1 cannot be used"),
    ],
)
async def test_settings_that_no_network_takes_are_told(targets, shell, change, words):
    """What slipped through the settings ends as a sentence too, not as a traceback."""
    targets["spark-1"] = replace(targets["spark-1"], **change)
    with pytest.raises(HostUnreachable, match=words):
        await ok(shell)


async def test_dropped_packets_end_at_the_connect_timeout(make_pool, targets):
    """A firewall that drops must not hang anybody."""
    with black_hole() as port:
        targets["spark-1"] = replace(targets["spark-1"], port=port)
        shell = make_pool(replace(QUICK, connect_timeout=0.3)).shell("spark-1")
        with pytest.raises(HostUnreachable, match=r"did not answer within 0\.3 s") as told:
            await ok(shell)
    assert "firewall" in (told.value.advice or "")


async def test_a_port_that_accepts_and_says_nothing_ends_too(make_pool, targets):
    """Something listens, but it is no SSH server and never speaks."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        targets["spark-1"] = replace(targets["spark-1"], port=mute.getsockname()[1])
        shell = make_pool(replace(QUICK, connect_timeout=0.3)).shell("spark-1")
        with pytest.raises(HostUnreachable, match="did not answer"):
            await ok(shell)


async def test_a_port_that_speaks_something_else_is_told(shell, targets):
    """The wrong port, for instance that of a web server."""

    async def speak(reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    targets["spark-1"] = replace(targets["spark-1"], port=server.sockets[0].getsockname()[1])
    with pytest.raises(HostUnreachable, match="handshake failed") as told:
        await ok(shell)
    assert "Check that an SSH server listens" in (told.value.advice or "")
    server.close()
    await server.wait_closed()


async def test_a_deadline_shorter_than_the_connect_is_told_as_no_connection(shell, targets):
    """Nothing ran, so nothing "did not finish"."""
    with black_hole() as port:
        targets["spark-1"] = replace(targets["spark-1"], port=port)
        with pytest.raises(HostUnreachable, match=r"no connection to spark-1 .* within 0\.1 s"):
            await shell.run(["true"], deadline=0.1)


async def test_a_user_who_may_not_come_in_is_told_with_our_key(pool, side):
    """The line to add stands in the advice; waiting does not help, so it is not retryable."""
    with pytest.raises(SshAuthFailed, match="user root") as told:
        await ok(pool.shell("spark-1", "root"))
    assert side.authorized in (told.value.advice or "")
    assert "~root/.ssh/authorized_keys" in (told.value.advice or "")
    assert not told.value.retryable


async def test_a_key_of_ours_that_cannot_be_used_is_told(shell, key_path):
    """Readable by others: refused here, before anything is sent."""
    key_path.chmod(0o644)
    with pytest.raises(InvalidValue, match="can be read by other users"):
        await ok(shell)


async def test_nothing_of_the_account_we_run_under_is_used(shell, monkeypatch, tmp_path):
    """No agent, no ~/.ssh/config, no ~/.ssh/known_hosts."""
    home = tmp_path / "account"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "config").write_text("Host *\n  Port 1\n  User nobody\n")
    (home / ".ssh" / "known_hosts").write_text("garbage\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "none"))
    assert await ok(shell)


# --- backoff ------------------------------------------------------------------------------------


async def test_after_a_failure_callers_fail_at_once_until_the_wait_is_over(
    pool, shell, side, clock
):
    """No caller waits for a timeout that another caller has just waited for."""
    await side.stop()
    with pytest.raises(HostUnreachable):
        await ok(shell)
    await side.start()
    connections = side.connections
    with pytest.raises(HostUnreachable) as told:
        await ok(shell)
    assert side.connections == connections
    assert told.value.retry_after == pytest.approx(0.4995)
    state = pool.state("spark-1")
    assert (state.status, state.failures) == (LinkStatus.BACKOFF, 1)
    assert "refused" in state.reason
    clock.seconds += 0.5
    assert await ok(shell)


async def test_the_wait_grows_with_each_failure_and_success_ends_it(pool, shell, side, clock):
    """0.5, 1, 2, 4 … 30 s, as long as it stays down."""
    await side.stop()
    waits = []
    for _ in range(8):
        with pytest.raises(HostUnreachable):
            await ok(shell)
        waits.append(pool.state("spark-1").retry_after)
        clock.seconds += 31
    assert waits == pytest.approx([n * 0.999 for n in (0.5, 1, 2, 4, 8, 16, 30, 30)])
    await side.start()
    assert await ok(shell)
    clock.seconds += 6
    await side.stop()
    await side.start()
    assert await ok(shell)  # it had been stable: no wait at all


async def test_a_connection_that_dies_young_counts_as_a_failure(shell, side, clock):
    """A host that lets us in and throws us out is not hammered."""
    async with shell.stream(["sleep", "60"], lifetime=60) as stream:
        await side.cut()
        with pytest.raises(HostUnreachable):
            await anext(stream)
    with pytest.raises(HostUnreachable, match="soon after"):
        await ok(shell)
    assert side.connections == 1
    clock.seconds += 0.5
    assert await ok(shell)


async def test_a_restarted_server_is_found_again(shell, side, clock):
    """`systemctl restart ssh` in mid-session costs one reconnect."""
    assert await ok(shell)
    clock.seconds += 60
    await side.stop()
    await side.start()
    assert await ok(shell)
    assert side.connections == 2


async def test_a_command_under_way_when_the_link_is_lost_is_told_so(shell, side, tmp_path):
    """It may go on there: the caller must look, not guess."""
    from tests.ssh.remote_life import Pipe, finish_off

    pipe = Pipe(tmp_path / "pid")
    argv = ["sh", "-c", 'echo $$ >"$1"; exec sleep 60', "sh", str(pipe.path)]
    task = asyncio.create_task(shell.run(argv, deadline=60))
    pid = int((await pipe.words())[0])
    await side.cut()
    with pytest.raises(HostUnreachable, match="was lost while `sh") as told:
        await task
    assert "may still run" in (told.value.advice or "")
    finish_off(pid)


async def test_a_link_that_falls_silent_is_noticed_by_keepalive(make_pool, side, targets):
    """A pulled cable closes nothing: only missing answers tell."""
    async with wire_to(side.port) as wire:
        targets["spark-1"] = replace(targets["spark-1"], port=wire.port)
        limits = replace(QUICK, keepalive_interval=0.1, keepalive_count=2)
        pool = make_pool(limits)
        shell = pool.shell("spark-1")
        assert await ok(shell)
        wire.freeze()
        with pytest.raises(HostUnreachable, match="lost"):
            await shell.run(["sleep", "0"], deadline=30)
        await pool.close()


async def test_a_deadline_on_a_silent_link_is_kept(make_pool, side, targets):
    """The kill cannot get through either, and still the caller is let go."""
    async with wire_to(side.port) as wire:
        targets["spark-1"] = replace(targets["spark-1"], port=wire.port)
        limits = replace(QUICK, keepalive_interval=0.3, keepalive_count=1, kill_grace=0)
        pool = make_pool(limits)
        shell = pool.shell("spark-1")
        assert await ok(shell)
        wire.freeze()
        with pytest.raises((DeadlineExceeded, HostUnreachable)):
            await shell.run(["true"], deadline=0.2)
        await pool.close()


# --- host keys ----------------------------------------------------------------------------------


async def test_a_changed_key_is_refused_until_accepted(  # noqa: PLR0917
    pool, shell, side, hostkeys, targets, clock
):
    """In mid-session: the reconnect meets another key, and no command reaches that machine."""
    assert await ok(shell)
    clock.seconds += 60
    commands = len(side.commands)
    await side.stop()
    side.host_keys = [new_host_key()]
    await side.start()
    for _ in range(2):
        with pytest.raises(HostKeyChanged, match=r"SHA256:.*SHA256:") as told:
            await ok(shell)
    assert len(side.commands) == commands
    assert not told.value.retryable
    assert pool.state("spark-1").status is LinkStatus.REFUSED
    clock.seconds += 60
    with pytest.raises(HostKeyChanged):
        await ok(shell)

    hostkeys.accept(targets["spark-1"])
    assert await ok(shell)  # at once: the wait was for a person, and the person came
    assert pool.state("spark-1").reason == ""


async def test_the_old_key_coming_back_needs_nobody(shell, side, clock):
    """The right machine answers again."""
    assert await ok(shell)
    right = side.host_keys
    clock.seconds += 60
    await side.stop()
    side.host_keys = [new_host_key()]
    await side.start()
    with pytest.raises(HostKeyChanged):
        await ok(shell)
    await side.stop()
    side.host_keys = right
    await side.start()
    clock.seconds += 60
    assert await ok(shell)


async def test_a_host_that_gets_a_further_key_is_still_itself(shell, side, clock):
    """The type of the pinned key is asked for first, so a new ed25519 key beside it is no alarm."""
    rsa = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    await side.stop()
    side.host_keys = [rsa]
    await side.start()
    assert await ok(shell)
    clock.seconds += 60
    await side.stop()
    side.host_keys = [new_host_key(), rsa]
    await side.start()
    assert await ok(shell)


# --- sessions -----------------------------------------------------------------------------------


async def test_a_server_that_allows_fewer_sessions_is_obeyed(shell, side):
    """MaxSessions 2: the others wait their turn, nobody fails, one connection."""
    side.max_sessions = 2
    assert await ok(shell)
    results = await asyncio.gather(*(ok(shell) for _ in range(8)))
    assert results == [True] * 8
    assert side.connections == 1


async def test_sessions_in_use_for_long_are_told_with_the_setting_to_change(shell, side):
    """One session only, taken by a stream: the run says what it waited for."""
    side.max_sessions = 1
    async with shell.stream(["sh", "-c", "echo on; sleep 60"], lifetime=60) as stream:
        await anext(stream)
        with pytest.raises(HostUnreachable, match="no SSH session free within 0") as told:
            await shell.run(["true"], deadline=0.3)
    assert "MaxSessions" in (told.value.advice or "")
    assert await ok(shell)


async def test_a_server_that_allows_no_session_is_told(shell, side):
    """MaxSessions 0 lets people in for forwarding only."""
    side.max_sessions = 0
    with pytest.raises(HostUnreachable, match="opens no session"):
        await ok(shell)


# --- settings and the end -----------------------------------------------------------------------


async def test_a_changed_address_moves_the_shell(pool, shell, side, targets):
    """A shell that was handed out before goes to the new address, over a new connection."""
    assert await ok(shell)
    async with wire_to(side.port) as wire:
        targets["spark-1"] = replace(targets["spark-1"], port=wire.port)
        assert await ok(shell)
        assert shell.target.port == wire.port
        assert side.connections == 2
        await pool.close()


async def test_forgetting_a_host_closes_its_connections(pool, shell, side):
    """And the next call makes a new one."""
    assert await ok(shell)
    pool.forget("spark-1")
    assert pool.state("spark-1").status is LinkStatus.IDLE
    assert await ok(shell)
    assert side.connections == 2


async def test_a_closed_pool_says_so(pool, shell):
    """Closing twice is fine; what comes later is told."""
    assert await ok(shell)
    await pool.close()
    await pool.close()
    with pytest.raises(Unavailable, match="shutting down"):
        await ok(shell)


async def test_closing_ends_who_still_waits(pool, shell):
    """A stream that is open when the app stops ends with an error, not with a hang."""
    async with shell.stream(["sh", "-c", "echo on; sleep 60"], lifetime=60) as stream:
        await anext(stream)
        await pool.close()
        with pytest.raises(HostUnreachable):
            await anext(stream)


async def test_the_same_failure_told_often_does_not_grow(shell, side):
    """Each caller gets an error of its own: a kept one would gather tracebacks for ever."""
    await side.stop()
    errors = []
    for _ in range(3):
        with pytest.raises(HostUnreachable) as told:
            await ok(shell)
        errors.append(told.value)
        assert told.value.__cause__ is None
    assert len({id(error) for error in errors}) == 3
