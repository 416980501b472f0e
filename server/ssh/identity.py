"""Our own key pair: made at the first start, handed out as one line for authorized_keys.

Owns reading, checking and generating the private key file. Refuses a key that others can read, a
key behind a passphrase (nobody is there to type it) and a broken file, and never replaces one.
"""

import stat
from pathlib import Path

import asyncssh

from server.base.errors import InvalidValue
from server.base.files import atomic_write, locked, storage_errors

COMMENT = "spark-control"


def ensure_identity(path: Path) -> str:
    """The public key line of the key at `path`, which is generated (ed25519) when absent."""
    with storage_errors(path.name):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        exists = path.exists()
    if not exists:
        with locked(path):
            if not path.exists():
                key = asyncssh.generate_private_key("ssh-ed25519", comment=COMMENT)
                atomic_write(path, key.export_private_key(), 0o600)
    line = public_line(load_identity(path))
    public = path.with_name(f"{path.name}.pub")
    if not public.exists():
        atomic_write(public, f"{line}\n".encode(), 0o644)
    return line


def load_identity(path: Path) -> asyncssh.SSHKey:
    """The private key, or InvalidValue that says what is wrong with the file."""
    name = path.name
    try:
        mode = path.stat().st_mode
        data = path.read_bytes()
    except FileNotFoundError:
        raise _refused(
            f"The SSH key {name} is missing from the data directory.",
            "Restart Spark Control to have a new one made, or put the old one back.",
        ) from None
    except OSError:
        raise _refused(
            f"The SSH key {name} cannot be read.",
            "Make the user that runs Spark Control the owner of the file.",
        ) from None
    if stat.S_IMODE(mode) & 0o077:
        raise _refused(
            f"The SSH key {name} can be read by other users (mode {stat.S_IMODE(mode):04o}), "
            "so it is not used.",
            f"Run `chmod 600` on {name}; when others may have read it, make a new key.",
        )
    return _imported(name, data)


def _imported(name: str, data: bytes) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_private_key(data)
    except asyncssh.KeyEncryptionError:
        locked_by = True
    except asyncssh.KeyImportError as error:
        locked_by = "passphrase" in str(error).lower()
    if locked_by:
        raise _refused(
            f"The SSH key {name} is protected by a passphrase, which nobody could type here.",
            f"Remove the passphrase (`ssh-keygen -p -f {name}`) or use another key.",
        )
    raise _refused(
        f"The SSH key {name} is not a private key that can be read.",
        "Put the right file back, or move it away and restart to have a new key made.",
    )


def public_line(key: asyncssh.SSHKey) -> str:
    """The line for authorized_keys."""
    line = key.export_public_key().decode().strip()
    return line if len(line.split()) > 2 else f"{line} {COMMENT}"


def _refused(message: str, advice: str) -> InvalidValue:
    return InvalidValue(message, param="ssh_key", advice=advice)
