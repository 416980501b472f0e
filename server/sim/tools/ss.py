"""`ss` on a simulated host: TCP listeners on this host's own address, shown as on all interfaces.

Owns `-l -t -n -H -p` and the filter `sport = :PORT`. Reads /proc/net/tcp, so it needs no iproute2.
"""

import contextlib
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from server.sim import procs
from server.sim.layout import HostDir

LISTEN = "0A"
PORT = re.compile(r"sport\s*(?:=|==|eq)\s*:?(\d+)")


def listeners(address: str) -> Iterator[tuple[int, str]]:
    """(port, inode) of what listens on `address`."""
    raw = socket.inet_aton(address)[::-1].hex().upper()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, port = fields[1].split(":")
        if fields[3] == LISTEN and local == raw:
            yield int(port, 16), fields[9]


def owner(host: HostDir, inode: str) -> str:
    """The `users:` column, for processes of this host."""
    for pid in procs.carrying("SIM_HOST", str(host.root)):
        with contextlib.suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                if str(link.readlink()) == f"socket:[{inode}]":
                    return f'users:(("{name(pid)}",pid={pid},fd={link.name}))'
    return ""


def name(pid: int) -> str:
    words = procs.argv(pid)
    return Path(words[2]).name if len(words) > 2 and words[1] == "-IS" else Path(words[0]).name


def main(argv: Sequence[str]) -> int:
    letters = "".join(word[1:] for word in argv if re.fullmatch(r"-[a-zA-Z]+", word))
    wanted = [int(port) for port in PORT.findall(" ".join(argv))]
    host = HostDir.from_environment()
    if "H" not in letters and "--no-header" not in argv:
        print("State  Recv-Q Send-Q Local Address:Port Peer Address:Port Process")
    for port, inode in sorted(listeners(host.address)):
        if wanted and port not in wanted:
            continue
        users = owner(host, inode) if "p" in letters else ""
        print(f"LISTEN 0      2048         0.0.0.0:{port:<6} 0.0.0.0:*    {users}".rstrip())
    sys.stdout.flush()
    return 0
