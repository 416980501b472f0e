"""The `Shell` of one host: run, stream, put, each with a deadline and a real kill.

Owns what a caller sees of a remote command and how its end is told. Refuses unquoted text: argv is
wrapped in `quote.py` and nowhere else. The link is looked up at each call, so a shell that was
handed out before the settings changed goes to the new address.
"""

import asyncio
import math
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from server.base.errors import SparkError
from server.ssh import explain, failures
from server.ssh.link import Link
from server.ssh.model import Result, Stream, Target
from server.ssh.quote import Stderr, wrap
from server.ssh.receive import receive, trailed
from server.ssh.session import Collected, Followed, Session

_START_SLACK = 5.0
_CUT_OFF = 128 + 13  # as if by SIGPIPE

Data = bytes | AsyncIterable[bytes] | None


class RemoteShell:
    """Implements `Shell`."""

    def __init__(self, link: Callable[[], Link]) -> None:
        self._link = link

    @property
    def target(self) -> Target:
        return self._link().target

    async def run(
        self,
        argv: Sequence[str],
        *,
        deadline: float,
        stdin: bytes | None = None,
        check: bool = True,
    ) -> Result:
        link = self._link()
        _refuse_endless(deadline)
        command = wrap(
            argv,
            deadline + link.limits.belt,
            stdin=stdin is not None,
            kill_grace=link.limits.kill_grace,
        )
        session = Collected(link.limits)
        result = await _perform(
            link, session, argv=argv, command=command, deadline=deadline, data=stdin
        )
        if check:
            _checked(link, result)
        return result

    @asynccontextmanager
    async def stream(
        self,
        argv: Sequence[str],
        *,
        lifetime: float,
        stdin: bytes | None = None,
        stderr: bool = True,
    ) -> AsyncIterator[Stream]:
        link = self._link()
        _refuse_endless(lifetime)
        command = wrap(
            argv,
            lifetime,
            stdin=stdin is not None,
            stderr=Stderr.MERGED if stderr else Stderr.DROPPED,
            kill_grace=link.limits.kill_grace,
        )
        session = Followed(link.limits)
        try:
            await _begin(link, session, command, link.limits.connect_timeout + _START_SLACK)
            await session.feed(stdin)
            with _ending(session, lifetime + link.limits.kill_grace + link.limits.belt):
                yield RemoteStream(link, session, argv, lifetime)
        finally:
            await link.stop(session)

    async def put(
        self,
        path: str,
        data: bytes | AsyncIterable[bytes],
        *,
        mode: int = 0o600,
        deadline: float,
    ) -> None:
        link = self._link()
        _refuse_endless(deadline)
        argv = receive(path, mode, f"{link.rng.getrandbits(64):016x}")
        command = wrap(
            argv, deadline + link.limits.belt, stdin=True, kill_grace=link.limits.kill_grace
        )
        shown = ("put", path)
        session = Collected(link.limits)
        session.input_is_proved = True
        result = await _perform(
            link,
            session,
            argv=shown,
            command=command,
            deadline=deadline,
            data=trailed(data),
        )
        if result.exit_status != 0:
            full = explain.full_disk(link.target, path, result.stderr)
            raise full or explain.failed(link.target, result)


class RemoteStream:
    """Implements `Stream`."""

    def __init__(self, link: Link, session: Followed, argv: Sequence[str], lifetime: float) -> None:
        self._link = link
        self._session = session
        self._argv = argv
        self._lifetime = lifetime
        self.exit_status: int | None = None

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        line = await self._session.next_line()
        if line is not None:
            return line
        error = _broken_end(self._link, self._session, self._argv, self._lifetime)
        if error is not None:
            raise error
        self.exit_status = self._session.status
        raise StopAsyncIteration


async def _begin(link: Link, session: Session, command: str, patience: float) -> None:
    """Start a long command; only the start has a deadline."""
    try:
        async with asyncio.timeout(patience):
            await link.start(session, command)
    except TimeoutError:
        raise link.not_started(patience) from None


async def _perform(
    link: Link,
    session: Collected,
    *,
    argv: Sequence[str],
    command: str,
    deadline: float,
    data: Data,
) -> Result:
    """Run to the end; whatever else happens, nothing is left running."""
    started = link.clock.monotonic()
    patience = asyncio.timeout(deadline)
    try:
        async with patience:
            await link.start(session, command)
            await session.feed(data)
            await session.ended
    except BaseException as error:
        begun = session.opening is not None
        await link.stop(session)
        if not (isinstance(error, TimeoutError) and patience.expired()):
            raise
        late = explain.too_late(link.target, argv, deadline)
        raise (late if begun else link.not_started(deadline)) from None
    if not session.closed:
        await link.stop(session)
    broken = None if session.truncated else _broken_end(link, session, argv, deadline)
    if broken is not None:
        raise broken
    status = _CUT_OFF if session.status is None else session.status
    seconds = link.clock.monotonic() - started
    return Result(
        tuple(argv), status, session.stdout, session.stderr, seconds, truncated=session.truncated
    )


def _broken_end(
    link: Link, session: Session, argv: Sequence[str], seconds: float
) -> SparkError | None:
    """The error when the end of the session is not the end of the command."""
    if session.lost is not None or (session.closed and session.status is None):
        return failures.link_lost(link.target, explain.shown(argv))
    if session.status is None:
        return explain.too_late(link.target, argv, seconds)
    if session.group.done() and session.group.result() is None:
        return failures.nothing_ran(link.target, session.said)
    return None


def _checked(link: Link, result: Result) -> None:
    if result.truncated:
        raise explain.printed_too_much(link.target, result, link.limits.output_cap)
    if result.exit_status != 0:
        raise explain.failed(link.target, result)


@contextmanager
def _ending(session: Session, seconds: float) -> Iterator[None]:
    """End the reading after `seconds` even when the remote side does not."""
    timer = asyncio.get_running_loop().call_later(seconds, session.finish)
    try:
        yield
    finally:
        timer.cancel()


def _refuse_endless(seconds: float) -> None:
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"a remote command needs a finite time above 0, not {seconds}")
