"""One attempt to connect: TCP, the check of the host key, our key, each within the timeout.

Owns the options of the connection. Refuses everything of the account we run under: no agent, no
~/.ssh/config, no ~/.ssh/known_hosts, no passwords. Refuses to decide when to try (`link.py`).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from server.base.clock import Clock
from server.base.errors import SparkError
from server.ssh import failures
from server.ssh.failures import Failure
from server.ssh.hostkeys import HostKeys
from server.ssh.identity import load_identity, public_line
from server.ssh.model import Limits, Target
from server.ssh.slots import Slots

# What we know to be sound, cheapest first; the type of a pinned key is moved to the front.
HOST_KEY_ALGS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


class Client(asyncssh.SSHClient):
    """What asyncssh asks while it connects, and tells when the connection ends."""

    def __init__(
        self, target: Target, hostkeys: HostKeys, on_lost: Callable[["Client"], None]
    ) -> None:
        self._target = target
        self._hostkeys = hostkeys
        self._on_lost = on_lost
        self.refusal: SparkError | None = None
        self.gone = False
        self.reason = ""

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        try:
            self._hostkeys.check(self._target, key.export_public_key().decode())
        except SparkError as error:
            self.refusal = error
            return False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self.reason = "" if exc is None else reason_of(exc)
        self._on_lost(self)


@dataclass(frozen=True, slots=True)
class Live:
    """A connection that was made; `client.gone` once it is lost or closed."""

    ssh: asyncssh.SSHClientConnection
    client: Client
    slots: Slots
    born: float

    @property
    def gone(self) -> bool:
        return self.client.gone


async def connect(
    target: Target,
    *,
    key_path: Path,
    hostkeys: HostKeys,
    clock: Clock,
    limits: Limits,
    on_lost: Callable[[Client], None],
) -> Live | Failure:
    """A connection that is ready for sessions, or why there is none."""
    public_key = "our public key"
    client = Client(target, hostkeys, on_lost)
    try:
        key = load_identity(key_path)
        public_key = public_line(key)
        pins = hostkeys.pinned_keys(target)
        async with asyncio.timeout(limits.connect_timeout):
            ssh = await asyncssh.connect(**_options(target, key, client, pins, limits))
    except SparkError as error:
        return failures.told(target, error)
    except (OSError, ValueError, asyncssh.Error) as error:
        if client.refusal is not None:
            return failures.told(target, client.refusal)
        return failures.connect_failure(
            target, error, timeout=limits.connect_timeout, public_key=public_key
        )
    return Live(ssh, client, Slots(limits.sessions), clock.monotonic())


def _options(
    target: Target, key: asyncssh.SSHKey, client: Client, pins: list[str], limits: Limits
) -> dict[str, Any]:
    types = [pin.split()[0] for pin in pins]
    return {
        "host": target.address,
        "port": target.port,
        "username": target.user,
        "config": None,
        "client_factory": lambda: client,
        "client_keys": [key],
        "agent_path": None,
        "gss_kex": False,
        "gss_auth": False,
        "preferred_auth": "publickey",
        "known_hosts": lambda host, addr, port: ([], [], []),
        "server_host_key_algs": sorted(HOST_KEY_ALGS, key=lambda alg: not _is_for(alg, types)),
        "compression_algs": ["none"],
        "keepalive_interval": limits.keepalive_interval,
        "keepalive_count_max": limits.keepalive_count,
        "connect_timeout": limits.connect_timeout,
        "login_timeout": limits.connect_timeout,
    }


def _is_for(algorithm: str, pins: list[str]) -> bool:
    return algorithm in pins or (algorithm.startswith("rsa-") and "ssh-rsa" in pins)


def reason_of(error: BaseException) -> str:
    """The bare reason, in the words of the server where it gave any."""
    if isinstance(error, asyncssh.ChannelOpenError):
        return error.reason
    return str(error)
