"""The key that a machine shows before anybody logs in."""

import socket

import pytest

from server.base.errors import HostUnreachable
from server.ssh.hostkeys import HostKeys, fingerprint
from server.ssh.model import Limits, Target
from server.ssh.offer import offered
from server.ssh.pool import SshPool
from tests.ssh.far_side import FarSide


async def test_the_key_is_shown_and_nothing_is_trusted_by_it(
    targets: dict[str, Target], hostkeys: HostKeys, pool: SshPool, side: FarSide
) -> None:
    """It is the one that a connection then pins."""
    target = targets["spark-1"]
    key = await offered(target)
    assert hostkeys.pinned(target) is None
    hostkeys.pin(target, key)
    await pool.shell("spark-1").run(["true"], deadline=10)
    assert hostkeys.pinned(target) == fingerprint(key)
    assert hostkeys.refused("spark-1") is None


async def test_a_machine_that_does_not_answer_is_told_with_what_to_check() -> None:
    """Refused, unknown, silent: within the time that a connection may take."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = Target("a", "127.0.0.1", probe.getsockname()[1], "ubuntu")
    with pytest.raises(HostUnreachable, match="nothing listens there"):
        await offered(nobody)
    with pytest.raises(HostUnreachable, match="cannot be resolved"):
        await offered(Target("a", "no-such-name.invalid", 22, "ubuntu"))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and then says nothing
        port = silent.getsockname()[1]
        with pytest.raises(HostUnreachable, match="did not answer within"):
            await offered(Target("a", "127.0.0.1", port, "ubuntu"), Limits(connect_timeout=0.3))
