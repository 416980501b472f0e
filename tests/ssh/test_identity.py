"""Our key pair: made once, private, and refused with a reason when it cannot be used."""

import subprocess

import asyncssh
import pytest

from server.base.errors import InvalidValue
from server.ssh.identity import ensure_identity


def test_the_first_start_makes_a_key_and_later_ones_keep_it(tmp_path):
    """ed25519, readable by us only, with the line for authorized_keys beside it."""
    path = tmp_path / "ssh" / "id_ed25519"
    line = ensure_identity(path)
    assert line.startswith("ssh-ed25519 ")
    assert line.endswith(" spark-control")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.with_name("id_ed25519.pub").read_text() == f"{line}\n"
    assert ensure_identity(path) == line


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_read_is_refused(tmp_path, mode):
    """As OpenSSH does; the message gives the command that helps and no path of the server."""
    path = tmp_path / "id_ed25519"
    ensure_identity(path)
    path.chmod(mode)
    with pytest.raises(InvalidValue, match=f"{mode:04o}") as told:
        ensure_identity(path)
    assert "chmod 600" in (told.value.advice or "")
    assert str(tmp_path) not in told.value.message


def test_a_key_behind_a_passphrase_is_refused(tmp_path):
    """Nobody is there to type it."""
    path = tmp_path / "id_ed25519"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(path)]
    subprocess.run(command, check=True)
    with pytest.raises(InvalidValue, match="passphrase"):
        ensure_identity(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 40, None])
def test_a_broken_key_is_refused_and_kept(tmp_path, content):
    """It may be the only copy of somebody's key: never replaced."""
    path = tmp_path / "id_ed25519"
    if content is None:
        ensure_identity(path)
        content = path.read_bytes()[:200]
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(InvalidValue):
        ensure_identity(path)
    assert path.read_bytes() == content


def test_a_key_that_a_person_brought_is_used(tmp_path):
    """RSA from an older set-up works as well."""
    path = tmp_path / "id_ed25519"
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    path.write_bytes(key.export_private_key())
    path.chmod(0o600)
    assert ensure_identity(path).startswith("ssh-rsa ")
