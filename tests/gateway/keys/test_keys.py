"""Keys are kept as digests, survive a restart, and are refused the moment they are revoked."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from server.base.errors import Conflict, NotFound, Unavailable
from server.gateway.keys.ledger import KeyLedger
from server.gateway.keys.model import Draft, Key
from server.gateway.keys.service import Keys
from server.gateway.limits.model import Limits
from tests.gateway.keys.made import NOON, HandClock, house

WHOLE = Draft(
    "laptop",
    scopes=frozenset({"gateway", "read"}),
    models=("qwen", "kokoro"),
    priority=-3,
    max_in_flight=2,
    swap="never",
    limits=Limits(60, 1000, 50_000, 90.5),
    expires_at=NOON + timedelta(days=1),
)


async def test_a_key_is_as_it_was_after_a_restart(tmp_path: Path) -> None:
    """All of it, but for the secret, which is nowhere on the disk."""
    async with house(tmp_path) as one:
        minted = await one.keys.create(WHOLE)
        assert one.keys.find(minted.text) == (minted.key, "")
    secret = minted.text[-43:].encode()  # it may hold a dash itself
    for file in tmp_path.iterdir():
        assert secret not in file.read_bytes()
    async with house(tmp_path) as again:
        assert again.keys.every() == (minted.key,)
        assert again.keys.find(minted.text) == (minted.key, "")
        shown = again.keys.get("laptop").to_dict(NOON)
    assert "digest" not in shown
    assert minted.key.digest not in str(shown)
    assert shown["prefix"] == f"sk-spark-{minted.key.id}-…"


async def test_why_a_key_is_refused_is_known_to_us(tmp_path: Path) -> None:
    """Five ways not to be a key."""
    async with house(tmp_path) as one:
        minted = await one.keys.create(WHOLE)
        other = await one.keys.create(Draft("other"))
        wrong = minted.text.replace(minted.key.id, other.key.id)
        unknown = minted.text.replace(minted.key.id, "0" * 12)
        assert one.keys.find("sk-spark-x") == (None, "malformed")
        assert one.keys.find(unknown) == (None, "unknown")
        assert one.keys.find(wrong) == (None, "wrong secret")
        one.clock.pass_(days=1)
        assert one.keys.find(minted.text) == (None, "expired")
        await one.keys.revoke("other")
        assert one.keys.find(other.text) == (None, "revoked")


async def test_a_rotated_key_keeps_its_id_and_loses_its_old_secret(tmp_path: Path) -> None:
    """At once, and after a restart."""
    async with house(tmp_path) as one:
        old = await one.keys.create(WHOLE)
        new = await one.keys.rotate("laptop")
        assert new.key.id == old.key.id
        assert one.keys.find(old.text) == (None, "wrong secret")
        assert one.keys.find(new.text)[0] == new.key
    async with house(tmp_path) as again:
        assert again.keys.find(old.text)[0] is None
        assert again.keys.find(new.text)[0] == new.key


async def test_a_revoked_key_stays_in_the_list_and_frees_its_name(tmp_path: Path) -> None:
    """What it used must keep a name; nothing brings it back."""
    async with house(tmp_path) as one:
        old = await one.keys.create(Draft("laptop"))
        revoked = await one.keys.revoke(old.key.id)
        assert await one.keys.revoke("laptop") == revoked
        for change in (one.keys.rotate("laptop"), one.keys.replace("laptop", Draft("laptop"))):
            with pytest.raises(Conflict, match="revoked"):
                await change
        new = await one.keys.create(Draft("laptop"))
        assert one.keys.get("laptop").id == new.key.id
        assert one.keys.name_of(old.key.id) == "laptop"
        assert [key.state(NOON) for key in one.keys.every()] == ["revoked", "active"]


async def test_names_are_unique_among_those_in_use(tmp_path: Path) -> None:
    """Also when one is renamed; an id cannot be taken for a name."""
    async with house(tmp_path) as one:
        first = await one.keys.create(Draft("laptop"))
        await one.keys.create(Draft("phone"))
        for name in ("laptop", first.key.id):
            with pytest.raises(Conflict, match="already"):
                await one.keys.create(Draft(name))
        with pytest.raises(Conflict):
            await one.keys.replace("phone", Draft("laptop"))
        assert (await one.keys.replace("laptop", Draft("laptop", priority=1))).draft.priority == 1
        with pytest.raises(NotFound, match="nobody"):
            one.keys.get("nobody")


async def test_the_last_use_is_seen_at_once_and_written_back_later(tmp_path: Path) -> None:
    """A request costs no disk."""
    async with house(tmp_path) as one:
        minted = await one.keys.create(Draft("laptop"))
        one.clock.pass_(minutes=5)
        one.keys.used(minted.key)
        at = one.clock.now()
        assert one.keys.get("laptop").last_used_at == at
        await one.keys.replace("laptop", Draft("laptop", priority=1))
        assert one.keys.get("laptop").last_used_at == at
    async with house(tmp_path) as again:
        key = again.keys.get("laptop")
        assert (key.last_used_at, key.draft.priority) == (at, 1)


async def test_the_last_use_is_written_back_while_the_app_runs(tmp_path: Path) -> None:
    """A crash loses a minute of it at most."""
    written = asyncio.Event()

    class Told(KeyLedger):
        async def used(self, moments: Mapping[str, datetime]) -> None:
            await super().used(moments)
            written.set()

    async with house(tmp_path) as one:
        keys = Keys(Told(one.database), one.clock)
        await keys.start()
        minted = await keys.create(Draft("laptop"))
        keys.used(minted.key)
        one.clock.wake.set()
        await written.wait()
        [saved] = await KeyLedger(one.database).every()
        assert saved.last_used_at == NOON
        await keys.close()


async def test_a_disk_that_fails_changes_nothing_in_memory(tmp_path: Path) -> None:
    """A key that could not be saved does not work, one that could not be revoked still does, and
    the last use is written when it can be."""
    clock = HandClock()
    async with house(tmp_path, clock) as one:
        minted = await one.keys.create(Draft("laptop"))
        told: list[Key] = []
        one.keys.changed.append(told.append)
        one.keys.used(minted.key)
        await one.database.close()
        with pytest.raises(Unavailable):
            await one.keys.create(Draft("phone"))
        with pytest.raises(Unavailable):
            await one.keys.revoke("laptop")
        await one.keys.flush()
        assert one.keys.find(minted.text) == (minted.key, "")
        assert told == []
        await one.database.open()
        await one.keys.flush()
    async with house(tmp_path, clock) as again:
        assert [key.name for key in again.keys.every()] == ["laptop"]
        assert again.keys.get("laptop").last_used_at == NOON
