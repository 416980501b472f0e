"""Pinned host keys: trust on first use, a change refused until accepted, OpenSSH's own format."""

import shutil
import subprocess

import pytest

from server.base.errors import Conflict, HostKeyChanged, NotFound, Unavailable
from server.ssh.hostkeys import UNREADABLE, HostKeys, fingerprint, pattern
from server.ssh.model import Target
from tests.ssh.far_side import new_host_key

ONE = Target("spark-1", "192.0.2.11", 22, "ubuntu")
PORT = Target("spark-2", "Spark-2.LAN", 2222, "ubuntu")


def public(key=None) -> str:
    return (key or new_host_key()).export_public_key().decode().strip()


def hashed(name: str, tmp_path, key: str) -> str:
    """The line as `ssh-keygen -H` writes it."""
    path = tmp_path / "hashed"
    path.write_text(f"{name} {key}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(path)], check=True, capture_output=True)
    return path.read_text()


def test_the_first_key_is_pinned_and_stays(hostkeys):
    """Trust on first use; the same key is no news afterwards, not even to a new process."""
    key = public()
    assert hostkeys.pinned(ONE) is None
    hostkeys.check(ONE, f"{key} some comment")
    hostkeys.check(ONE, key)
    assert hostkeys.pinned(ONE) == fingerprint(key)
    assert HostKeys(hostkeys._path).pinned(ONE) == fingerprint(key)


def test_another_key_is_refused_until_a_person_accepts_it(hostkeys):
    """Both fingerprints and the next step are told; nothing is trusted by asking again."""
    old, new = public(), public()
    hostkeys.check(ONE, old)
    for _ in range(2):
        with pytest.raises(HostKeyChanged) as told:
            hostkeys.check(ONE, new)
    assert fingerprint(old) in told.value.message
    assert fingerprint(new) in told.value.message
    assert "192.0.2.11:22" in told.value.message
    assert "ssh-keygen -lf" in (told.value.advice or "")
    assert hostkeys.refused("spark-1").new == fingerprint(new)

    assert hostkeys.accept(ONE, expected=fingerprint(new)) == fingerprint(new)
    hostkeys.check(ONE, new)
    assert hostkeys.refused("spark-1") is None
    with pytest.raises(HostKeyChanged):
        hostkeys.check(ONE, old)


def test_accepting_needs_the_fingerprint_that_was_seen(hostkeys):
    """Between looking and clicking the key may change once more."""
    hostkeys.check(ONE, public())
    with pytest.raises(HostKeyChanged):
        hostkeys.check(ONE, public())
    with pytest.raises(Conflict):
        hostkeys.accept(ONE, expected="SHA256:another")
    with pytest.raises(HostKeyChanged):
        hostkeys.check(ONE, public())


def test_there_is_nothing_to_accept_before_a_refusal(hostkeys):
    """A click on a page that is out of date changes nothing."""
    hostkeys.check(ONE, public())
    with pytest.raises(NotFound):
        hostkeys.accept(ONE)


def test_the_old_key_coming_back_withdraws_the_refusal(hostkeys):
    """Somebody else's machine held the address for a while."""
    old = public()
    hostkeys.check(ONE, old)
    with pytest.raises(HostKeyChanged):
        hostkeys.check(ONE, public())
    hostkeys.check(ONE, old)
    assert hostkeys.refused("spark-1") is None


def test_hosts_are_told_apart_by_address_and_port(hostkeys):
    """OpenSSH's names: plain on port 22, in brackets elsewhere, in lower case."""
    assert pattern(ONE) == "192.0.2.11"
    assert pattern(PORT) == "[spark-2.lan]:2222"
    hostkeys.check(ONE, public())
    hostkeys.check(PORT, public())
    assert hostkeys.pinned(ONE) != hostkeys.pinned(PORT)


def test_forgetting_removes_only_this_host(hostkeys):
    """The next connection pins anew; the others stay pinned."""
    hostkeys.check(ONE, public())
    hostkeys.check(PORT, public())
    kept = hostkeys.pinned(PORT)
    hostkeys.forget(ONE)
    assert hostkeys.pinned(ONE) is None
    assert hostkeys.pinned(PORT) == kept


def test_what_a_person_wrote_in_the_file_stays(hostkeys):
    """Comments, markers, other hosts on the same line and odd bytes are not ours to change."""
    old, new = public(), public()
    hostkeys._path.write_bytes(
        b"# my hosts \xff\n"
        + f"@revoked * {public()}\n".encode()
        + f"192.0.2.11,nas {old} by hand\n".encode()
        + b"broken line\n"
    )
    with pytest.raises(HostKeyChanged):
        hostkeys.check(ONE, new)
    hostkeys.accept(ONE)
    lines = hostkeys._path.read_bytes().splitlines()
    assert lines[0] == b"# my hosts \xff"
    assert lines[1].startswith(b"@revoked")
    assert lines[2] == f"nas {old} by hand".encode()
    assert lines[3] == b"broken line"
    assert lines[4] == f"192.0.2.11 {new}".encode()


def test_hashed_names_are_understood(hostkeys, tmp_path):
    """A file copied from ~/.ssh hashes its names on Debian and Ubuntu."""
    old = public()
    hostkeys._path.write_text(hashed("192.0.2.11", tmp_path, old))
    hostkeys.check(ONE, old)
    with pytest.raises(HostKeyChanged):
        hostkeys.check(ONE, public())
    hostkeys.accept(ONE)
    assert old not in hostkeys._path.read_text()


def test_several_keys_of_a_host_are_all_good(hostkeys):
    """`ssh-keyscan` writes one line per key type."""
    keys = [public(), public()]
    hostkeys._path.write_text("".join(f"192.0.2.11 {key}\n" for key in keys))
    for key in keys:
        hostkeys.check(ONE, key)


def test_a_pinned_line_that_cannot_be_read_is_no_free_pass(hostkeys):
    """Somebody's slip of the keyboard must not turn into trust in whoever answers."""
    hostkeys._path.write_text("192.0.2.11 ssh-ed25519\n")
    with pytest.raises(HostKeyChanged, match=UNREADABLE):
        hostkeys.check(ONE, public())


def test_a_file_that_cannot_be_read_is_an_error_not_an_empty_file(hostkeys):
    """Else the loss of a permission would make every host new."""
    hostkeys._path.mkdir()
    with pytest.raises(Unavailable, match="known_hosts"):
        hostkeys.check(ONE, public())


def test_openssh_reads_the_file_as_we_do(hostkeys):
    """`ssh -o UserKnownHostsFile=` and `ssh-keygen -F` agree with us, fingerprints included."""
    assert shutil.which("ssh-keygen"), "install openssh-client: apt-get install openssh-client"
    hostkeys.check(PORT, public())
    found = subprocess.run(
        ["ssh-keygen", "-l", "-F", "[spark-2.lan]:2222", "-f", str(hostkeys._path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert hostkeys.pinned(PORT) in found.stdout
