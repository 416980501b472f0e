"""The host key that a machine shows to somebody who does not log in.

Owns one look, so that a person can compare the fingerprint before anything is trusted. Refuses to
pin: that is `hostkeys`'s, when the person said so.
"""

import asyncio

import asyncssh

from server.base.errors import HostUnreachable
from server.ssh import failures
from server.ssh.connect import HOST_KEY_ALGS
from server.ssh.model import Limits, Target


async def offered(target: Target, limits: Limits | None = None) -> str:
    """The key as `type base64`. Raises `HostUnreachable` with what to check."""
    patience = (limits or Limits()).connect_timeout
    try:
        async with asyncio.timeout(patience):
            key = await asyncssh.get_server_host_key(
                target.address, target.port, server_host_key_algs=HOST_KEY_ALGS, config=None
            )
    except (OSError, ValueError, asyncssh.Error) as error:
        failure = failures.connect_failure(target, error, timeout=patience, public_key="")
        raise failure.error() from error
    if key is None:
        raise HostUnreachable(
            f"{failures.where(target)} answered, but showed no host key.",
            advice="Check that an SSH server listens on this port.",
            source=target.name,
        )
    return " ".join(key.export_public_key().decode().split()[:2])
