"""How often a password may be tried. Pure: time is an argument. Bounded in memory.

Theory: each failure from an address doubles the wait for its next try, from the fourth on, up to
five minutes; an hour of quiet forgets it. Of IPv6 a whole /64 is one address, since that is what
one machine gets. Somebody with many addresses is slowed by a bucket for all of them together. A
right password is checked as well only when it is its turn, so that guessing learns nothing from the
answer; but who is right is let in and clears the address.
"""

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

FREE = 3
FIRST = 2.0
LONGEST = 300.0
QUIET = 3600.0
ADDRESSES = 4096
TOGETHER = 60
TOGETHER_SECONDS = 600.0


@dataclass(slots=True)
class _Failures:
    count: int
    last: float

    def until(self) -> float:
        if self.count <= FREE:
            return self.last
        return self.last + min(LONGEST, FIRST * 2.0 ** (self.count - FREE - 1))


class Throttle:
    def __init__(self, addresses: int = ADDRESSES) -> None:
        self._addresses = addresses
        self._failures: dict[str, _Failures] = {}
        self._together: list[float] = []

    def wait(self, address: str, now: float) -> float:
        """Seconds until this address may try; 0: now."""
        address = one_machine(address)
        self._together = [at for at in self._together if now - at < TOGETHER_SECONDS]
        everybody = 0.0
        if len(self._together) >= TOGETHER:
            everybody = self._together[-TOGETHER] + TOGETHER_SECONDS - now
        mine = self._failures.get(address)
        if mine is not None and now - mine.last >= QUIET:
            del self._failures[address]
            mine = None
        return max(0.0, everybody, mine.until() - now if mine else 0.0)

    def failed(self, address: str, now: float) -> None:
        address = one_machine(address)
        mine = self._failures.pop(address, None) or _Failures(0, now)
        mine.count, mine.last = mine.count + 1, now
        self._failures[address] = mine  # the newest last: the oldest is forgotten first
        if len(self._failures) > self._addresses:
            del self._failures[next(iter(self._failures))]
        self._together.append(now)

    def succeeded(self, address: str) -> None:
        self._failures.pop(one_machine(address), None)


def one_machine(address: str) -> str:
    """What all addresses of one machine have in common, as far as that can be told."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if not isinstance(known, IPv6Address):
        return address
    return str(known.ipv4_mapped or known.packed[:8].hex())
