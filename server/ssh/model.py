"""Frozen values of the ssh room, and the `Shell` interface that every other room is handed."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
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
    """A finished remote command. `stdout` and `stderr` are decoded with replacement and bounded."""

    argv: tuple[str, ...]
    exit_status: int
    stdout: str
    stderr: str
    seconds: float


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
        """Follow a long command. It ends on its own after `lifetime` seconds; `stderr` merges it in.

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
