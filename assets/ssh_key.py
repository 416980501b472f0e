"""The SSH key, for the StartOS action: keep (make one when absent), new, or import from stdin.

Runs in the app's image, as its user, inside the data directory; prints the public line. A refusal
is one sentence on stderr and exit status 1, and leaves the old key as it was.
"""

import sys
from pathlib import Path

import asyncssh

from server.base.errors import SparkError
from server.base.files import atomic_write, locked
from server.config.paths import DataDir
from server.ssh.identity import COMMENT, ensure_identity, public_line

MAX_BYTES = 64 * 1024


class Refused(Exception):
    """What was given is not taken; the message is for people."""


def pasted(raw: bytes) -> asyncssh.SSHKey:
    """The private key of a pasted text. Browsers send CRLF and lose the last line break."""
    if len(raw) > MAX_BYTES:
        raise Refused("That is too long to be an SSH private key.")
    text = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").strip() + b"\n"
    if text.startswith((b"ssh-", b"ecdsa-", b"sk-")):
        raise Refused("That is a public key: paste the private one, which begins with -----BEGIN.")
    try:
        return asyncssh.import_private_key(text)
    except asyncssh.KeyEncryptionError:
        locked_by = True
    except asyncssh.KeyImportError as error:
        locked_by = "passphrase" in str(error).lower()
    except (ValueError, ArithmeticError):
        locked_by = False
    if locked_by:
        raise Refused(
            "That key is protected by a passphrase, which nobody could type here: "
            "remove it with `ssh-keygen -p` or use another key."
        )
    raise Refused(
        "That is not a private key that can be read: paste the whole text, "
        "with its first and last line. The key in use was not changed."
    )


def store(path: Path, key: asyncssh.SSHKey) -> str:
    """Put it in the place of the old one: the private half first, it is the one that counts."""
    line = public_line(key)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with locked(path):
        atomic_write(path, key.export_private_key(), 0o600)
        atomic_write(path.with_name(f"{path.name}.pub"), f"{line}\n".encode(), 0o644)
    return line


def main(verb: str) -> str:
    path = DataDir(Path.cwd()).ssh_key
    if verb == "keep":
        return ensure_identity(path)
    if verb == "new":
        return store(path, asyncssh.generate_private_key("ssh-ed25519", comment=COMMENT))
    return store(path, pasted(sys.stdin.buffer.read(MAX_BYTES + 1)))


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{main(sys.argv[1])}\n")
    except (Refused, SparkError) as error:
        advice = getattr(error, "advice", None)
        sys.stderr.write(f"{error}{f' {advice}' if advice else ''}\n")
        sys.exit(1)
