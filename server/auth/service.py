"""Sessions: begun by the right password, looked up by every request, ended by a person or by time.

All of them are in memory; the database has them for the next start. Owns that one that is ended is
ended at once, also for what is still streaming to it.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from server.auth.ledger import SessionLedger
from server.auth.password import Password
from server.auth.session import ID_BYTES, SECRET_BYTES, Session, is_secret_of, minted, split
from server.auth.throttle import Throttle
from server.base.clock import Clock
from server.base.errors import Conflict, InvalidValue, NotFound, RateLimited, SparkError
from server.base.logs import get_logger

MOST = 200
"""Sessions at once; the one that was used longest ago goes first."""
TOUCH = timedelta(minutes=5)
"""How old what is saved of a use may be: looking at a page writes nothing."""


class Auth:
    """`randomness(n)` gives n random bytes."""

    def __init__(
        self,
        password: Password,
        ledger: SessionLedger,
        clock: Clock,
        randomness: Callable[[int], bytes],
    ) -> None:
        self.password = password
        self._ledger = ledger
        self._clock = clock
        self._randomness = randomness
        self._throttle = Throttle()
        self._trying = asyncio.Lock()
        self._sessions: dict[str, Session] = {}
        self._over: dict[str, asyncio.Event] = {}
        self._touched: set[str] = set()
        self._log = get_logger("auth")

    async def load(self) -> None:
        """Once, before requests come."""
        self._sessions = {one.id: one for one in await self._ledger.every()}
        await self._sweep()

    # ---- in and out

    async def log_in(self, password: str, *, address: str, agent: str) -> tuple[Session, str]:
        """A new session and its cookie. Raises what `prove` does."""
        await self.prove(password, address=address, param="password")
        session, cookie = minted(
            self._randomness(ID_BYTES),
            self._randomness(SECRET_BYTES),
            now=self._clock.now(),
            address=address[:80],
            agent=agent[:200],
        )
        self._sessions[session.id] = session
        try:
            await self._ledger.save(session)
            await self._sweep()
        except SparkError as error:  # on a full disk somebody must come in to make room
            self._touched.add(session.id)
            self._log.warning("session not saved", session=session.id, error=error.message)
        self._log.info("logged in", session=session.id, address=address)
        return session, cookie

    async def prove(self, password: str, *, address: str, param: str = "current") -> None:
        """Raises `RateLimited`, or `InvalidValue` (of the field `param`) when it is wrong.

        One try is checked at a time: a check costs tens of milliseconds of a core, and many at once
        would be a way to keep everybody else waiting.
        """
        self._refuse_early(address)
        async with self._trying:
            self._refuse_early(address)
            if not await self.password.matches(password):
                self._throttle.failed(address, self._clock.monotonic())
                self._log.warning("password refused", address=address)
                raise InvalidValue("That is not the password.", param=param)
        self._throttle.succeeded(address)

    def need_password(self) -> None:
        """Before the lock is put on. Raises `Conflict` when no password is set."""
        if not self.password.is_set():
            raise Conflict("Set a password first: without one nobody could log in.", param="mode")

    async def end(self, session_id: str) -> None:
        """At once and for good. Raises `NotFound`."""
        if session_id not in self._sessions:
            raise NotFound("There is no such session; it may have ended already.")
        await self._remove([session_id])
        self._log.info("session ended", session=session_id)

    async def end_others(self, kept: str | None) -> int:
        """All but one, as after a change of the password."""
        others = [one for one in self._sessions if one != kept]
        await self._remove(others)
        return len(others)

    # ---- looking

    def find(self, cookie: str) -> Session | None:
        """Who holds this cookie; a use counts, but is saved now and then only (`keep`)."""
        parts = split(cookie)
        session = self._sessions.get(parts[0]) if parts else None
        now = self._clock.now()
        if session is None or parts is None or not is_secret_of(session, parts[1]):
            return None
        if session.expires_at <= now:
            return None
        if now - session.last_used_at >= TOUCH:
            session = self._sessions[session.id] = session.used(now)
            self._touched.add(session.id)
        return session

    def every(self) -> list[Session]:
        """Those that are not over, the one used last first."""
        now = self._clock.now()
        alive = [one for one in self._sessions.values() if one.expires_at > now]
        return sorted(alive, key=lambda one: one.last_used_at, reverse=True)

    def over(self, session_id: str) -> asyncio.Event:
        """Set when the session is ended by hand."""
        return self._over.setdefault(session_id, asyncio.Event())

    async def keep(self) -> None:
        """Save what was used, drop what is over: now and then, and at the end."""
        for session_id in tuple(self._touched):
            if session := self._sessions.get(session_id):
                await self._ledger.save(session)
            if session is self._sessions.get(session_id):  # not used again meanwhile
                self._touched.discard(session_id)
        await self._sweep()

    # ---- inside

    def _refuse_early(self, address: str) -> None:
        wait = self._throttle.wait(address, self._clock.monotonic())
        if wait > 0:
            raise RateLimited(
                f"Too many wrong passwords. Try again in {max(1, round(wait))} s.",
                retry_after=wait,
            )

    async def _sweep(self) -> None:
        alive = self.every()
        kept = {one.id for one in alive[:MOST]}
        await self._remove([one for one in self._sessions if one not in kept])

    async def _remove(self, ids: list[str]) -> None:
        if not ids:
            return
        for session_id in ids:  # first here: what cannot be saved must not keep a door open
            self._sessions.pop(session_id, None)
            if over := self._over.pop(session_id, None):
                over.set()
        await self._ledger.remove(ids)
