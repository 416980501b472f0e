"""The admin's password: its argon2id hash in one file, `password`, of the data directory.

Owns the file and the hash. It may be replaced while the app runs (by `spark-control password`, an
action of StartOS): the next login reads it anew. Refuses passwords that are guessed in an hour.
"""

import asyncio
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from server.base.errors import InvalidValue, Unavailable
from server.base.files import atomic_write, storage_errors

SHORTEST, LONGEST = 10, 1000


def check_new(password: str) -> None:
    """Raises `InvalidValue` for one that is too short, too long or too simple."""
    if len(password) < SHORTEST:
        raise InvalidValue(
            f"The password must have at least {SHORTEST} characters.", param="password"
        )
    if len(password) > LONGEST:
        raise InvalidValue(f"The password may have at most {LONGEST} characters.", param="password")
    if len(set(password)) < 5:
        raise InvalidValue(
            "The password must have at least five different characters.", param="password"
        )
    if any(not one.isprintable() for one in password):
        raise InvalidValue("The password holds a character that cannot be typed.", param="password")


class Password:
    """`hasher` is argon2id with the library's own parameters (RFC 9106, low memory)."""

    def __init__(self, file: Path, hasher: PasswordHasher | None = None) -> None:
        self._file = file
        self._hasher = hasher or PasswordHasher()

    def is_set(self) -> bool:
        return self._file.is_file()

    async def matches(self, password: str) -> bool:
        """Takes some tens of milliseconds in a thread, also when no password is set."""
        return await asyncio.to_thread(self._matches, password)

    async def change(self, password: str) -> None:
        check_new(password)
        await asyncio.to_thread(self.write, password)

    def write(self, password: str) -> None:
        """For our user alone, replaced as a whole."""
        check_new(password)
        with storage_errors(self._file.name):
            atomic_write(self._file, (self._hasher.hash(password) + "\n").encode())

    def _matches(self, password: str) -> bool:
        try:
            kept = self._file.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            self._hasher.hash(password[:LONGEST])  # as long as the real thing takes
            return False
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(self._file) from error
        try:
            return self._hasher.verify(kept, password[:LONGEST])
        except InvalidHashError as error:
            raise _unreadable(self._file) from error
        except Argon2Error:
            return False


def _unreadable(file: Path) -> Unavailable:
    return Unavailable(
        f"The file {file.name} of the data directory cannot be read as a password's hash.",
        advice="Set the password anew: `spark-control password`.",
    )
