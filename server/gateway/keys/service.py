"""All keys, in memory and in the database: made, changed, revoked, found by what a caller presents.

A change is in the database before it counts. Looking one up costs microseconds and no disk; when a
key was last used is written back by a task of its own, at most once a minute.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from server.base.clock import Clock
from server.base.errors import Conflict, NotFound, SparkError
from server.base.logs import get_logger
from server.gateway.keys import token
from server.gateway.keys.ledger import KeyLedger
from server.gateway.keys.model import Draft, Key, Minted

WRITE_BACK_SECONDS = 60.0
MOST = 1000
"""Keys that may be active at once: more than a person looks through."""


class Keys:
    """`changed` are called (sync) with a key after it was loaded, made, changed or revoked."""

    def __init__(
        self,
        ledger: KeyLedger,
        clock: Clock,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._entropy = entropy
        self._log = get_logger("keys")
        self._keys: dict[str, Key] = {}
        self._used: dict[str, datetime] = {}
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.changed: list[Callable[[Key], None]] = []

    async def start(self) -> None:
        """Raises what the database raises: without its keys the gateway would let nobody in."""
        for key in await self._ledger.every():
            self._keep(key)
        self._task = asyncio.create_task(self._write_back(), name="last use of keys")

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await self.flush()

    # -- for requests

    def find(self, text: str) -> tuple[Key | None, str]:
        """The key that `text` is, or None and why not, in words for the log alone."""
        parsed = token.parsed(text)
        if parsed is None:
            return None, "malformed"
        key = self._keys.get(parsed.id)
        if key is None:
            return None, "unknown"
        if not token.is_secret_of(parsed.secret, key.digest):
            return None, "wrong secret"
        if key.revoked_at is not None or key.draft.expires_at is not None:
            state = key.state(self._clock.now())
            if state != "active":
                return None, state
        return key, ""

    def used(self, key: Key) -> None:
        self._used[key.id] = self._clock.now()

    def seen(self, key_id: str, now: datetime) -> None:
        """What was asked by this key was answered now."""
        if key_id in self._keys:
            self._used[key_id] = now

    # -- for people

    def every(self) -> tuple[Key, ...]:
        """Oldest first; revoked ones are kept, so that what they used has a name."""
        return tuple(self._with_use(key) for key in self._keys.values())

    def get(self, ref: str) -> Key:
        """By id, or by name (the active one of that name first). Raises `NotFound`."""
        key = self._keys.get(ref) or self._named(ref, active=True) or self._named(ref)
        if key is None:
            raise NotFound(
                f"There is no key {ref[:64]!r}.",
                param="key_id",
                advice="GET /api/v1/keys or `spark-control keys list` has all of them.",
            )
        return self._with_use(key)

    def name_of(self, key_id: str) -> str | None:
        key = self._keys.get(key_id)
        return None if key is None else key.name

    async def create(self, draft: Draft) -> Minted:
        """Raises `Conflict` when the name is taken."""
        async with self._writing:
            self._unique(draft.name)
            if sum(key.revoked_at is None for key in self._keys.values()) >= MOST:
                raise Conflict(f"There are {MOST} keys already: revoke some first.")
            made = self._mint()
            while made.id in self._keys or self._named(made.id):
                made = self._mint()
            key = Key(made.id, draft, token.digest(made.secret), self._clock.now())
            await self._save(key)
        return Minted(key, token.written(made))

    async def replace(self, ref: str, draft: Draft) -> Key:
        async with self._writing:
            key = self._usable(ref)
            self._unique(draft.name, but=key.id)
            changed = key.with_(draft=draft)
            await self._save(changed)
        return changed

    async def rotate(self, ref: str) -> Minted:
        """A new secret under the same id and rules; the old one is refused from now on."""
        async with self._writing:
            key = self._usable(ref)
            made = token.Token(key.id, self._mint().secret)
            changed = key.with_(digest=token.digest(made.secret))
            await self._save(changed)
        return Minted(changed, token.written(made))

    async def revoke(self, ref: str) -> Key:
        """For good. Revoking again changes nothing."""
        async with self._writing:
            key = self.get(ref)
            if key.revoked_at is None:
                key = key.with_(revoked_at=self._clock.now())
                await self._save(key)
        return key

    async def flush(self) -> None:
        """Write back when keys were used. What cannot be written now is tried again later."""
        moments, self._used = self._used, {}
        if not moments:
            return
        try:
            await self._ledger.used(moments)
        except BaseException as error:
            self._used = moments | self._used
            if not isinstance(error, SparkError):
                raise
            self._log.warning("last use of keys not saved", reason=error.message)
            return
        for key_id, at in moments.items():
            self._keys[key_id] = self._keys[key_id].with_(last_used_at=at)

    # -- inside

    async def _write_back(self) -> None:
        while True:
            await self._clock.sleep(WRITE_BACK_SECONDS)
            await self.flush()

    async def _save(self, key: Key) -> None:
        await self._ledger.save(key)
        self._keep(key)

    def _keep(self, key: Key) -> None:
        self._keys[key.id] = key
        for told in self.changed:
            told(key)

    def _mint(self) -> token.Token:
        return token.minted(self._entropy(token.ID_BYTES), self._entropy(token.SECRET_BYTES))

    def _with_use(self, key: Key) -> Key:
        at = self._used.get(key.id)
        return key if at is None else key.with_(last_used_at=at)

    def _named(self, name: str, *, active: bool = False) -> Key | None:
        found = [key for key in self._keys.values() if key.name == name]
        if active:
            found = [key for key in found if key.revoked_at is None]
        return found[-1] if found else None

    def _unique(self, name: str, but: str = "") -> None:
        taken = self._named(name, active=True)
        if (taken is not None and taken.id != but) or name in self._keys:
            raise Conflict(f"There is a key named {name!r} already.", param="name")

    def _usable(self, ref: str) -> Key:
        key = self.get(ref)
        if key.revoked_at is not None:
            raise Conflict(
                f"The key {key.name!r} was revoked, for good.", advice="Create a new one."
            )
        return key
