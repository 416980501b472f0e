"""Sessions where the disk is full."""

from pathlib import Path

import pytest
from argon2 import PasswordHasher

from server.auth.ledger import SessionLedger
from server.auth.password import Password
from server.auth.service import Auth
from server.auth.session import Session
from server.base.clock import SystemClock
from server.base.errors import InsufficientStorage

RIGHT = "correct horse battery"


class Shelf(SessionLedger):
    """`full`: nothing more can be written."""

    def __init__(self) -> None:
        self.full = True
        self.saved: list[str] = []

    async def save(self, session: Session) -> None:
        if self.full:
            raise InsufficientStorage("The disk is full.")
        self.saved.append(session.id)


async def test_who_knows_the_password_comes_in_when_the_disk_is_full(tmp_path: Path) -> None:
    """To make room. The session is saved when there is some, and kept in memory until then."""
    password = Password(tmp_path / "p", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    password.write(RIGHT)
    shelf = Shelf()
    auth = Auth(password, shelf, SystemClock(), bytes)
    session, cookie = await auth.log_in(RIGHT, address="192.0.2.1", agent="")
    with pytest.raises(InsufficientStorage):
        await auth.keep()
    assert auth.find(cookie) == session
    shelf.full = False
    await auth.keep()
    await auth.keep()
    assert shelf.saved == [session.id]
