"""The admin's password: its argon2id hash in one file, `password`, of the data directory.

Owns the file and the hash. It may be replaced while the app runs (by `spark-control password`, an
action of StartOS): the next login reads it anew. Refuses passwords that are guessed in an hour.
"""

import asyncio
import unicodedata
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError

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
            atomic_write(self._file, (self._hasher.hash(_typed(password)) + "\n").encode())

    def _matches(self, password: str) -> bool:
        try:
            kept = self._file.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            self._hasher.hash(_typed(password))  # as long as the real thing takes
            return False
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(self._file) from error
        try:
            return self._hasher.verify(kept, _typed(password))
        except VerifyMismatchError:
            return False
        except (Argon2Error, InvalidHashError) as error:  # half a hash is nobody's wrong password
            raise _unreadable(self._file) from error


def _typed(password: str) -> str:
    """The same letters are the same password, however a keyboard puts its accents on them."""
    return unicodedata.normalize("NFC", password[: LONGEST + 1])


def _unreadable(file: Path) -> Unavailable:
    return Unavailable(
        f"The file {file.name} of the data directory cannot be read as a password's hash.",
        advice="Set the password anew: `spark-control password`.",
    )
