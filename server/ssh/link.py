"""The one connection to a host as one user: made once for all who wait, kept alive, made again.

Owns when to connect (single flight, backoff with full jitter, fail fast in between), opening
sessions within the server's limit, and the kill of a remote process group. Refuses to know how one
attempt is made (`connect.py`), what a command means and how its end is told (`remote.py`).

States: idle -> connecting -> connected -> (lost) idle | backoff; connecting -> backoff | refused.
Connecting happens when somebody needs the connection. A connection that dies young counts as a
failed attempt, so that a host which accepts and drops us is not hammered.
"""

import asyncio
import random
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import asyncssh

from server.base.clock import Clock
from server.base.errors import HostUnreachable, SparkError, Unavailable
from server.base.logs import get_logger
from server.base.redact import one_line
from server.ssh import failures
from server.ssh.backoff import delay
from server.ssh.connect import Client, Live, connect, reason_of
from server.ssh.failures import Failure
from server.ssh.hostkeys import HostKeys
from server.ssh.model import Limits, LinkState, LinkStatus, Target
from server.ssh.quote import kill_group
from server.ssh.session import Collected, Group, Session

_WINDOW = 512 * 1024
_KILL_SLACK = 3.0


class _SessionRefused(Exception):
    """The server would open no further session; the text is its own word for it."""


class _Stale(Exception):
    """The connection was lost before the command was sent: nothing ran."""


class Link:
    """One per (host, user)."""

    def __init__(
        self,
        target: Target,
        *,
        key_path: Path,
        hostkeys: HostKeys,
        clock: Clock,
        rng: random.Random,
        limits: Limits,
    ) -> None:
        self.target = target
        self.limits = limits
        self.clock = clock
        self._key_path = key_path
        self._hostkeys = hostkeys
        self.rng = rng
        self._live: Live | None = None
        self._connecting: asyncio.Task[Live | Failure] | None = None
        self._failure: Failure | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._log = get_logger("ssh")

    # --- the connection ------------------------------------------------------------------------

    def state(self) -> LinkState:
        if self._live is not None:
            return LinkState(LinkStatus.CONNECTED, failures=self._failures)
        reason = self._failure.message if self._failure else ""
        if self._connecting is not None:
            return LinkState(LinkStatus.CONNECTING, reason, failures=self._failures)
        if self._failure is None:
            return LinkState(LinkStatus.IDLE)
        status = LinkStatus.REFUSED if self._failure.needs_person else LinkStatus.BACKOFF
        return LinkState(status, reason, self._wait_left(), self._failures)

    async def connection(self) -> Live:
        """The connection, made when there is none. Fails at once while an attempt is not due."""
        if self._closed:
            raise Unavailable("Spark Control is closing its SSH connections.", retry_after=5)
        if self._live is not None:
            return self._live
        if self._connecting is None:
            self._raise_while_waiting()
            self._connecting = self._spawn(self._connect())
        outcome = await asyncio.shield(self._connecting)
        if isinstance(outcome, Failure):
            raise outcome.error(self._wait_left())
        return outcome

    def _wait_left(self) -> float:
        return max(0.0, self._retry_at - self.clock.monotonic())

    def _raise_while_waiting(self) -> None:
        if self._failure is None or self._wait_left() <= 0:
            return
        if self._failure.needs_person and self._hostkeys.refused(self.target.name) is None:
            return  # the person has decided: look again now
        raise self._failure.error(self._wait_left())

    async def _connect(self) -> Live | Failure:
        try:
            outcome = await self._attempt()
        finally:
            self._connecting = None
        if isinstance(outcome, Live) and outcome.gone:
            outcome = self._died_young(outcome.client)
        if isinstance(outcome, Failure):
            self._note_failure(outcome)
            self._log.warning("ssh connect failed", host=self.target.name, reason=outcome.message)
            return outcome
        self._live = outcome
        self._failure = None
        self._log.info("ssh connected", host=self.target.name, user=self.target.user)
        return outcome

    async def _attempt(self) -> Live | Failure:
        return await connect(
            self.target,
            key_path=self._key_path,
            hostkeys=self._hostkeys,
            clock=self.clock,
            limits=self.limits,
            on_lost=self._on_lost,
        )

    def _note_failure(self, failure: Failure) -> None:
        self._failures += 1
        self._failure = failure
        self._retry_at = self.clock.monotonic() + delay(self._failures, self.rng.random())

    def _on_lost(self, client: Client) -> None:
        live = self._live
        if live is None or live.client is not client:
            return  # a connection that was never ours, or is not any more
        self._live = None
        self._log.info("ssh connection lost", host=self.target.name, reason=client.reason)
        if self.clock.monotonic() - live.born >= self.limits.stable_after:
            self._failures = 0
        elif not self._closed:
            self._note_failure(self._died_young(client))

    def _died_young(self, client: Client) -> Failure:
        reason = one_line(client.reason, 200).rstrip(".") or "the host closed it"
        return Failure(
            HostUnreachable,
            f"The connection to {failures.where(self.target)} was lost soon after it was made: "
            f"{reason}.",
            "Check the network, and the log of sshd on the host (`journalctl -u ssh`).",
            self.target.name,
        )

    def not_started(self, waited: float) -> HostUnreachable:
        """The error of a command whose time was over before it could be sent."""
        if self._live is not None:
            return failures.no_session(self.target, waited, self._live.slots.limit)
        return HostUnreachable(
            f"There was no connection to {failures.where(self.target)} within {waited:g} s.",
            advice="Check that the host is on and reachable.",
            source=self.target.name,
        )

    # --- sessions ------------------------------------------------------------------------------

    async def start(self, session: Session, command: str) -> None:
        """Run `command` in a session of the connection, as soon as one is free.

        Cancelled or not, an opening that was begun goes on to its end, so that `stop` can find
        out what to kill.
        """
        fresh_tried = False
        while True:
            live = await self.connection()
            session.hold(await live.slots.take())
            session.opening = self._spawn(self._open(live, session, command))
            try:
                await asyncio.shield(session.opening)
            except _SessionRefused as refused:
                session.opening = None
                if live.slots.taken == 0:
                    raise failures.refuses_sessions(self.target, str(refused)) from None
                live.slots.shrink(live.slots.taken)
            except _Stale:
                session.opening = None
                if fresh_tried:
                    raise failures.link_lost(self.target, "the opening of a session") from None
                fresh_tried = True
            else:
                return

    async def _open(self, live: Live, session: Session, command: str) -> None:
        try:
            await live.ssh.create_session(
                lambda: session, command, encoding=None, request_pty=False, window=_WINDOW
            )
        except (OSError, asyncssh.Error) as error:
            await asyncio.sleep(0)  # let a loss of the connection be noticed
            session.let_go()
            if session.channel is None:
                raise (_Stale() if live.gone else _SessionRefused(reason_of(error))) from None
            if not live.gone:  # the session was opened, but `exec` was refused
                raise failures.refuses_sessions(self.target, reason_of(error)) from None
            # Lost after the command was sent: asyncssh has told the session.

    # --- the kill ------------------------------------------------------------------------------

    async def stop(self, session: Session) -> None:
        """End what the session started, and close it. A caller that is cancelled again, or whose
        patience ends, leaves; the kill goes on."""
        if session.opening is None or session.closed:
            session.let_go()
            return
        task = self._spawn(self._kill(session))
        await asyncio.wait([task], timeout=self.limits.kill_grace + _KILL_SLACK)

    async def _kill(self, session: Session) -> None:
        patience = self.limits.kill_grace + self.limits.connect_timeout + _KILL_SLACK
        try:
            async with asyncio.timeout(patience):
                if session.opening is not None:
                    await asyncio.wait([session.opening])
                group = await session.group if session.channel is not None else None
                session.break_off_input()
                if group is not None and not session.closed:
                    await self._signal(group)
        except (TimeoutError, OSError, asyncssh.Error, SparkError) as error:
            reason = error.message if isinstance(error, SparkError) else "no answer"
            self._log.warning("remote kill failed", host=self.target.name, reason=reason)
        finally:
            session.close()
            session.let_go()

    async def _signal(self, group: Group) -> None:
        """Over the same connection; when that has no session left, over one made for the kill."""
        command = kill_group(group.number, group.ticks, self.limits.kill_grace)
        live = self._live or await self.connection()
        try:
            survived = await self._ask(live.ssh, command)
        except asyncssh.ChannelOpenError:
            extra = await self._attempt()
            if isinstance(extra, Failure):
                raise extra.error() from None
            try:
                survived = await self._ask(extra.ssh, command)
            finally:
                extra.ssh.close()
        if survived:
            self._log.error("a remote process outlived KILL", host=self.target.name, group=group)

    async def _ask(self, ssh: asyncssh.SSHClientConnection, command: str) -> bool:
        session = Collected(self.limits)
        await ssh.create_session(
            lambda: session, command, encoding=None, request_pty=False, window=_WINDOW
        )
        try:
            await session.ended
        finally:
            session.close()
        return session.status != 0

    # --- the end -------------------------------------------------------------------------------

    async def close(self) -> None:
        """Let kills under way finish (for a moment), then close the connection."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=_KILL_SLACK)
        for task in tuple(self._tasks):
            task.cancel()
        live, self._live = self._live, None
        if live is None:
            return
        live.ssh.close()
        try:
            async with asyncio.timeout(1):
                await live.ssh.wait_closed()
        except TimeoutError:
            live.ssh.abort()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()  # whoever waited has it; nobody may have waited
        if error is not None and not isinstance(error, SparkError | _SessionRefused | _Stale):
            self._log.error("ssh task failed", host=self.target.name, exc_info=error)
