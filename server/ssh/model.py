"""Frozen values of the ssh room, and the `Shell` interface that every other room is handed."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Target:
    """Where a shell runs: `name` is the host's name in `hosts:`, the rest is how to reach it."""

    name: str
    address: str
    port: int
    user: str


@dataclass(frozen=True, slots=True)
class Result:
    """A finished remote command. `stdout` and `stderr` are decoded with replacement and bounded.

    `exit_status` is 128 + n when signal n ended it. `truncated` says that the command was ended
    because it printed more than the bound; only calls without `check` ever see that.
    """

    argv: tuple[str, ...]
    exit_status: int
    stdout: str
    stderr: str
    seconds: float
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of the room, in seconds and bytes. `sessions` leaves one of sshd's default ten
    (MaxSessions) free, so that a kill always finds a channel. `linger` is how long the output of an
    ended command may be silent before it is given up; `belt` how much later than we the remote
    `timeout` acts; a connection lost before `stable_after` counts as a failed attempt."""

    connect_timeout: float = 10.0
    keepalive_interval: float = 5.0
    keepalive_count: int = 3
    sessions: int = 9
    kill_grace: int = 2
    output_cap: int = 8 * 1024 * 1024
    line_cap: int = 64 * 1024
    stable_after: float = 5.0
    linger: float = 1.0
    belt: float = 5.0


class LinkStatus(StrEnum):
    """`backoff` waits before the next attempt; `refused` waits for a person (host key)."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    BACKOFF = "backoff"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class LinkState:
    """How the connection to a host stands. `reason` is a sentence for people, "" while all is well;
    `retry_after` is the seconds until the next attempt is allowed."""

    status: LinkStatus
    reason: str = ""
    retry_after: float | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A host key that was not the pinned one: fingerprints as `ssh-keygen -l` prints them."""

    target: Target
    old: str
    new: str
    key: str


class Stream(Protocol):
    """Lines (without their newline, bounded in length) of a running remote command, in order.

    Iteration ends when the command ends; `exit_status` is set then. Losing the connection raises
    `HostUnreachable` from the iteration.
    """

    exit_status: int | None

    def __aiter__(self) -> AsyncIterator[str]: ...
    async def __anext__(self) -> str: ...


class Shell(Protocol):
    """Runs argv on one host. Nothing here is ever handed to a shell unquoted.

    Every call closes the remote stdin (after `stdin`, when given). On deadline or cancellation the
    whole remote process group is killed, TERM first, then KILL. Errors: `HostUnreachable`,
    `SshAuthFailed`, `HostKeyChanged`, `DeadlineExceeded`, and with `check` `RemoteCommandFailed`.
    Secrets go by `stdin` or `put`, never into `argv`.
    """

    @property
    def target(self) -> Target: ...

    async def run(
        self,
        argv: Sequence[str],
        *,
        deadline: float,
        stdin: bytes | None = None,
        check: bool = True,
    ) -> Result: ...

    def stream(
        self,
        argv: Sequence[str],
        *,
        lifetime: float,
        stdin: bytes | None = None,
        stderr: bool = True,
    ) -> AbstractAsyncContextManager[Stream]:
        """Follow a long command, which ends on its own after `lifetime` seconds.

        `stderr` merges the standard error in, in order; else it is dropped.

        Leaving the block kills the remote process group.
        """
        ...

    async def put(
        self,
        path: str,
        data: bytes | AsyncIterable[bytes],
        *,
        mode: int = 0o600,
        deadline: float,
    ) -> None:
        """Write a remote file atomically (temp file beside it, then rename), data by stdin."""
        ...


class Shells(Protocol):
    """Hands out shells by host name. Raises `NotFound` for a host that is not configured."""

    def shell(self, host: str, user: str | None = None) -> Shell: ...


ShellOf = Callable[[str], Shell]
