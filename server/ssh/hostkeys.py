"""The pinned host keys: trusted on first use, a change refused until a person accepts it.

Owns one file in OpenSSH's known_hosts format, so that `ssh -o UserKnownHostsFile=…` agrees with us
and people may edit it. Lines that are not about the asked host are kept as they are. Refuses to
guess: a pinned line that cannot be read counts as another key, and a file that cannot be read is
an error, never an empty file. The file is read again at each question; it is asked at connects.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from server.base.errors import Conflict, HostKeyChanged, NotFound, Unavailable
from server.base.files import atomic_write, locked
from server.ssh.model import Refusal, Target

UNREADABLE = "unreadable"
SSH_PORT = 22


def fingerprint(key: str) -> str:
    """`SHA256:…` of a public key line (`ssh-ed25519 AAAA…`), as `ssh-keygen -l` prints it."""
    try:
        blob = base64.b64decode(key.split()[1], validate=True)
    except (IndexError, ValueError, binascii.Error):
        return UNREADABLE
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def pattern(target: Target) -> str:
    """How OpenSSH writes the host in known_hosts."""
    address = target.address.lower()
    return address if target.port == SSH_PORT else f"[{address}]:{target.port}"


class HostKeys:
    """One per app; also a second process may write the file (lock, atomic replace)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._refused: dict[str, Refusal] = {}

    def pinned(self, target: Target) -> str | None:
        """The fingerprint pinned for `target`, the first one when there are several."""
        keys = self.pinned_keys(target)
        return fingerprint(keys[0]) if keys else None

    def pinned_keys(self, target: Target) -> list[str]:
        """All keys pinned for `target`, as `type base64`."""
        name = pattern(target)
        return [key for _, patterns, key in _entries(self._read()) if _matches(patterns, name)]

    def check(self, target: Target, key: str) -> None:
        """Pin the key of a host seen for the first time; raise HostKeyChanged for another one."""
        key = _bare(key)
        pins = self.pinned_keys(target)
        if not pins:
            self.pin(target, key)
        elif key not in pins:
            refusal = Refusal(target, fingerprint(pins[0]), fingerprint(key), key)
            self._refused[target.name] = refusal
            raise changed(refusal)
        self._refused.pop(target.name, None)

    def pin(self, target: Target, key: str) -> None:
        """Trust `key`, and no other, for `target`."""
        self._rewrite(target, f"{pattern(target)} {_bare(key)}")
        self._refused.pop(target.name, None)

    def accept(self, target: Target, expected: str | None = None) -> str:
        """Pin the key that was refused last, and return its fingerprint.

        `expected` is the fingerprint that the person saw: another one in the meantime is refused.
        """
        refusal = self._refused.get(target.name)
        if refusal is None or pattern(refusal.target) != pattern(target):
            raise NotFound(
                f"No changed host key of {target.name} waits to be accepted.",
                advice="Check the host first; its key is then compared again.",
            )
        if expected is not None and expected != refusal.new:
            raise Conflict(
                f"{target.name} now shows the host key {refusal.new}, not {expected}.",
                advice="Compare the new fingerprint with the machine before accepting it.",
            )
        self.pin(target, refusal.key)
        return refusal.new

    def refused(self, name: str) -> Refusal | None:
        """The change that waits for a person, by the name of the host."""
        return self._refused.get(name)

    def forget(self, target: Target) -> None:
        """Remove what is pinned: the next connection pins anew."""
        self._rewrite(target, None)
        self._refused.pop(target.name, None)

    def _read(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise Unavailable(
                f"{self._path.name} could not be read, so no host key can be checked.",
                advice="Give the user that runs Spark Control read and write access to it.",
            ) from error

    def _rewrite(self, target: Target, line: str | None) -> None:
        name = pattern(target)
        with locked(self._path):
            text = self._read()
            drop = {number for number, pats, _ in _entries(text) if _matches(pats, name)}
            kept = [
                _without(old, name) if number in drop else old
                for number, old in enumerate(text.splitlines())
            ]
            lines = [old for old in kept if old is not None]
            if line is not None:
                lines.append(line)
            data = "".join(f"{one}\n" for one in lines)
            atomic_write(self._path, data.encode("utf-8", "surrogateescape"))


def changed(refusal: Refusal) -> HostKeyChanged:
    """The error that tells a person both fingerprints and what to do."""
    target = refusal.target
    return HostKeyChanged(
        f"The host key of {target.name} ({target.address}:{target.port}) has changed: "
        f"pinned is {refusal.old}, it now shows {refusal.new}. Nothing was sent to it.",
        advice=(
            "If the machine was set up anew, compare the new fingerprint with "
            "`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on its own console and accept the "
            "key. If nobody touched it, another machine answers at this address."
        ),
        source=target.name,
    )


def _bare(key: str) -> str:
    return " ".join(key.split()[:2])


def _entries(text: str) -> Iterator[tuple[int, str, str]]:
    """(line number, host patterns, key) of each plain line; markers and comments are not ours."""
    for number, line in enumerate(text.splitlines()):
        fields = line.split()
        if len(fields) >= 2 and not line.lstrip().startswith(("#", "@")):
            yield number, fields[0], " ".join(fields[1:3])


def _matches(patterns: str, name: str) -> bool:
    return any(_is(one, name) for one in patterns.split(","))


def _is(one: str, name: str) -> bool:
    if not one.startswith("|1|"):
        return one.lower() == name
    with suppress(ValueError, binascii.Error):  # a hash that cannot be read matches nobody
        salt, wanted = (base64.b64decode(part) for part in one[3:].split("|"))
        return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), wanted)
    return False


def _without(line: str, name: str) -> str | None:
    """The line without this host; None when no other host is left on it."""
    patterns, rest = line.split(maxsplit=1)
    others = [one for one in patterns.split(",") if not _is(one, name)]
    return f"{','.join(others)} {rest}" if others else None
