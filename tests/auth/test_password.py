"""The password's hash, and sessions."""

import asyncio
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from server.auth.ledger import SessionLedger
from server.auth.password import Password, check_new
from server.auth.service import Auth
from server.auth.session import IDLE, LONGEST, is_secret_of, minted, split
from server.base.errors import InvalidValue, NotFound, RateLimited, Unavailable
from server.store.database import Database

RIGHT = "correct horse battery"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Time:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds


class Chance:
    def __init__(self) -> None:
        self.given = 0

    def __call__(self, length: int) -> bytes:
        self.given += 1
        return self.given.to_bytes(length, "big")


async def made(folder: Path, clock: Time) -> tuple[Auth, Database]:
    database = Database(f"sqlite+aiosqlite:///{folder}/a.db")
    await database.open()
    password = Password(folder / "password", CHEAP)
    return Auth(password, SessionLedger(database), clock, Chance()), database


@pytest.mark.parametrize("bad", ["short", "aaaaaaaaaaaaaa", "x" * 1001, "tab\tin the word", ""])
def test_a_weak_password_is_refused_with_what_is_wrong(bad: str) -> None:
    """And the password is not in the error."""
    with pytest.raises(InvalidValue) as error:
        check_new(bad)
    assert error.value.param == "password"
    assert not bad or bad not in error.value.message


async def test_a_hash_is_kept_for_our_user_alone(tmp_path: Path) -> None:
    """argon2id, and never the password."""
    password = Password(tmp_path / "password", CHEAP)
    assert not password.is_set()
    assert not await password.matches(RIGHT)
    await password.change(RIGHT)
    kept = (tmp_path / "password").read_text()
    assert kept.startswith("$argon2id$")
    assert RIGHT not in kept
    assert stat.S_IMODE((tmp_path / "password").stat().st_mode) == 0o600
    assert await password.matches(RIGHT)
    assert not await password.matches(RIGHT + " ")


async def test_a_damaged_file_is_said_and_opens_nothing(tmp_path: Path) -> None:
    """With what to do."""
    (tmp_path / "password").write_text("plain words")
    with pytest.raises(Unavailable) as error:
        await Password(tmp_path / "password", CHEAP).matches("plain words")
    assert "spark-control password" in (error.value.advice or "")


def test_a_cookie_is_known_by_its_digest_alone() -> None:
    """What is kept does not tell the secret; nobody else's secret fits."""
    one, cookie = minted(b"\1" * 6, b"\2" * 32, now=NOW, address="a", agent="b")
    other, _ = minted(b"\1" * 6, b"\3" * 32, now=NOW, address="a", agent="b")
    parts = split(cookie)
    assert parts is not None
    assert is_secret_of(one, parts[1])
    assert not is_secret_of(other, parts[1])
    assert parts[1] not in str(one.to_row())
    assert "digest" not in one.to_dict()
    assert split("nonsense") is None
    assert split(cookie + "x") is None


async def test_the_right_password_begins_a_session_that_outlives_a_restart(tmp_path: Path) -> None:
    """It is found by its cookie until it was idle for a week, or is a month old."""
    clock = Time()
    auth, database = await made(tmp_path, clock)
    await auth.password.change(RIGHT)
    session, cookie = await auth.log_in(RIGHT, address="192.0.2.9", agent="Firefox")
    again = Auth(auth.password, SessionLedger(database), clock, Chance())
    await again.load()
    assert again.find(cookie) == session
    clock.passed = IDLE.total_seconds() - 1
    assert again.find(cookie) is not None
    clock.passed += IDLE.total_seconds() - 1
    assert again.find(cookie) is not None
    clock.passed = LONGEST.total_seconds()
    assert again.find(cookie) is None
    await again.keep()
    assert await SessionLedger(database).every() == []
    await database.close()


async def test_a_session_that_is_ended_is_over_at_once(tmp_path: Path) -> None:
    """Also for what waits on it; ending it twice says that it is not there."""
    auth, database = await made(tmp_path, Time())
    await auth.password.change(RIGHT)
    session, cookie = await auth.log_in(RIGHT, address="a", agent="b")
    _, kept = await auth.log_in(RIGHT, address="c", agent="d")
    waiting = asyncio.create_task(auth.over(session.id).wait())
    await auth.end(session.id)
    assert await waiting
    assert auth.find(cookie) is None
    assert auth.find(kept) is not None
    with pytest.raises(NotFound):
        await auth.end(session.id)
    assert await auth.end_others(None) == 1
    assert auth.find(kept) is None
    await database.close()


async def test_guessing_is_slowed_and_the_right_one_waits_its_turn_too(tmp_path: Path) -> None:
    """Else the wait itself would tell which guess was right."""
    clock = Time()
    auth, database = await made(tmp_path, clock)
    await auth.password.change(RIGHT)
    for _ in range(4):
        with pytest.raises(InvalidValue, match="not the password"):
            await auth.log_in("wrong", address="a", agent="")
    with pytest.raises(RateLimited) as error:
        await auth.log_in(RIGHT, address="a", agent="")
    assert error.value.retry_after == 2
    await auth.log_in(RIGHT, address="b", agent="")
    clock.passed += 2
    await auth.log_in(RIGHT, address="a", agent="")
    await database.close()


@pytest.mark.parametrize("kept", ["", "$argon2id$v=19$m=8,t=1,p=1$half", "ü", "plain words"])
async def test_half_a_hash_is_no_wrong_password(tmp_path: Path, kept: str) -> None:
    """The owner is told what to do, and is not made to wait for it."""
    (tmp_path / "password").write_text(kept)
    auth, database = await made(tmp_path, Time())
    for _ in range(5):
        with pytest.raises(Unavailable, match="cannot be read"):
            await auth.log_in(RIGHT, address="192.0.2.1", agent="")
    await database.close()


async def test_accents_are_the_same_however_they_are_typed(tmp_path: Path) -> None:
    """Some systems send a letter and its accent apart."""
    password = Password(tmp_path / "password", CHEAP)
    await password.change("größe über alles")
    assert await password.matches("gro\u0308ße u\u0308ber alles")
