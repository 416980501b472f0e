"""Why a connection could not be made, in words that say what to check.

Owns the mapping from what asyncssh and the kernel raise to one of our errors. Refuses tracebacks
and class names in what people read. A `Failure` is kept, and makes a fresh error for each caller.
"""

import errno
import socket
from dataclasses import dataclass

import asyncssh

from server.base.errors import HostKeyChanged, HostUnreachable, SparkError, SshAuthFailed
from server.base.redact import one_line, redact
from server.ssh.model import Target

_NO_ROUTE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt: which error it is, and its words."""

    kind: type[SparkError]
    message: str
    advice: str | None
    source: str

    def error(self, retry_after: float | None = None) -> SparkError:
        return self.kind(
            self.message, advice=self.advice, retry_after=retry_after, source=self.source
        )

    @property
    def needs_person(self) -> bool:
        return issubclass(self.kind, HostKeyChanged)


def told(target: Target, error: SparkError) -> Failure:
    """A failure that already has its words (a changed host key, an unusable key of ours)."""
    return Failure(type(error), error.message, error.advice, target.name)


def where(target: Target) -> str:
    address = f"[{target.address}]" if ":" in target.address else target.address
    return f"{target.name} ({address}:{target.port})"


def connect_failure(
    target: Target, error: BaseException, *, timeout: float, public_key: str
) -> Failure:
    """The failure for what `asyncssh.connect` raised."""
    if isinstance(error, asyncssh.PermissionDenied):
        return auth_failure(target, public_key)
    if isinstance(error, TimeoutError):
        message = f"{where(target)} did not answer within {timeout:g} s."
        advice = (
            "Check that the host is on and reachable (ping), that the address and port are right, "
            "and that no firewall drops the packets."
        )
    elif isinstance(error, socket.gaierror | UnicodeError):
        message = f"The address of {target.name}, {target.address}, cannot be resolved."
        advice = "Check the spelling of the address and the DNS server, or use the IP address."
    elif isinstance(error, ConnectionRefusedError):
        message = f"{where(target)} refused the connection: nothing listens there."
        advice = "Check that sshd runs (`systemctl status ssh`) and that the port is right."
    elif isinstance(error, OSError) and error.errno in _NO_ROUTE:
        message = f"There is no way to {where(target)}: {_plain(error)}."
        advice = "Check that the host is on and in the network (cable, VPN, address)."
    elif isinstance(error, OSError) and not isinstance(error, ConnectionError):
        message = f"{where(target)} could not be reached: {_plain(error)}."
        advice = "Check the network between this machine and the host."
    elif isinstance(error, ValueError):
        message = f"The address or user of {target.name} cannot be used: {_plain(error)}."
        advice = "Correct it in the settings of the host."
    else:
        message = f"{where(target)} answered, but the SSH handshake failed: {_plain(error)}."
        advice = (
            "Check that an SSH server listens on this port, and its log (`journalctl -u ssh`): "
            "MaxStartups, fail2ban or a firewall may close new connections."
        )
    return Failure(HostUnreachable, message, advice, target.name)


def auth_failure(target: Target, public_key: str) -> Failure:
    return Failure(
        SshAuthFailed,
        f"{where(target)} does not let the user {target.user} in with our key.",
        f"Put this line into ~{target.user}/.ssh/authorized_keys on {target.name}: {public_key}",
        target.name,
    )


def _plain(error: BaseException) -> str:
    """The bare reason, without class names."""
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror, 200)
    reason = error.reason if isinstance(error, asyncssh.DisconnectError) else str(error)
    return one_line(redact(reason), 200).rstrip(".") or "the connection was closed"


def link_lost(target: Target, command: str) -> HostUnreachable:
    return HostUnreachable(
        f"The connection to {where(target)} was lost while `{command}` was running.",
        advice="The command may still run there; it ends on its own when its time is over.",
        source=target.name,
    )


def nothing_ran(target: Target, said: str) -> HostUnreachable:
    words = one_line(redact(said.strip()), 300)
    return HostUnreachable(
        f"{where(target)} let the user {target.user} in, but its login shell did not run the "
        f"command{': ' if words else '.'}{words}",
        advice=f"Give {target.user} a normal login shell, and check that `sh` works in it.",
        source=target.name,
    )


def no_session(target: Target, waited: float, limit: int) -> HostUnreachable:
    return HostUnreachable(
        f"{where(target)} had no SSH session free within {waited:g} s: all {limit} are in use.",
        advice="Raise MaxSessions in /etc/ssh/sshd_config on the host, or try again later.",
        source=target.name,
    )


def refuses_sessions(target: Target, reason: str) -> HostUnreachable:
    return HostUnreachable(
        f"{where(target)} lets the user {target.user} in but opens no session: "
        f"{one_line(redact(reason), 200)}.",
        advice="Check MaxSessions and ForceCommand in /etc/ssh/sshd_config on the host.",
        source=target.name,
    )
