"""Who can read our data directory is let in: a token in a file of mode 0600, new at every start.

For programs on the same machine: the command line, and the package of StartOS, whose health checks
and actions ask the running app. It proves no more than what it stands for, since the same reader
could take the password's hash and the SSH key.
"""

import hmac
from base64 import urlsafe_b64encode
from contextlib import suppress
from pathlib import Path

from server.base.files import atomic_write, storage_errors

PREFIX = "local-"
BYTES = 32


class LocalToken:
    """`file` is `local.token` of the data directory."""

    def __init__(self, file: Path, random_bytes: bytes) -> None:
        self._file = file
        self._text = PREFIX + urlsafe_b64encode(random_bytes).rstrip(b"=").decode()

    def write(self) -> None:
        with storage_errors(self._file.name):
            atomic_write(self._file, self._text.encode())

    def remove(self) -> None:
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    def is_this(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._text.encode())
