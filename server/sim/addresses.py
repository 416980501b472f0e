"""Loopback addresses for the hosts of one simulator, so that several simulators can run at once.

Owns the choice of a block 127.A.B.0/23 and of ports that are free on it. Linux only: other systems
answer on 127.0.0.1 alone. Refuses to guess: an address is taken when it could be bound.
"""

import random
import socket
from collections.abc import Iterable

from server.sim.host import Place

MAX_HOSTS = 200
FIRST = 11
SSH_PORT = 2222


class NoAddressError(RuntimeError):
    """No block of loopback addresses could be bound."""


def free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def free_port(addresses: Iterable[str], wanted: int, rng: random.Random) -> int:
    """`wanted`, or another port that is free on every address."""
    every = list(addresses)
    for port in (wanted, *(rng.randrange(20000, 30000) for _ in range(200))):
        if all(free(address, port) for address in every):
            return port
    raise NoAddressError(f"no port is free on {every[0]}")


class Block:
    """A block that is ours while the lock on its last address is held."""

    def __init__(self, second: int, third: int) -> None:
        self._prefix = f"127.{second}.{third}"
        self._fast = f"127.{second}.{third + 1}"
        self._lock = socket.socket()

    def take(self) -> bool:
        try:
            self._lock.bind((f"{self._prefix}.254", SSH_PORT))
            self._lock.listen(1)
        except OSError:
            self._lock.close()
            return False
        return True

    def release(self) -> None:
        self._lock.close()

    def addresses(self, count: int) -> list[tuple[str, str]]:
        """(address, cluster address) of every host."""
        numbers = range(FIRST, FIRST + count)
        return [(f"{self._prefix}.{n}", f"{self._fast}.{n}") for n in numbers]


def take_block(rng: random.Random, before: str | None = None) -> Block:
    """A block nobody holds; the one of `before` (an address used earlier) when it is free."""
    candidates: list[tuple[int, int]] = []
    if before is not None:
        parts = before.split(".")
        candidates.append((int(parts[1]), int(parts[2])))
    candidates += [(rng.randrange(16, 240), rng.randrange(0, 127) * 2) for _ in range(200)]
    for second, third in candidates:
        block = Block(second, third)
        if block.take():
            return block
    raise NoAddressError("no block of loopback addresses is free: the simulator needs Linux")


def places(block: Block, count: int, port: int) -> list[Place]:
    return [
        Place(f"spark-{at}", address, fast, port)
        for at, (address, fast) in enumerate(block.addresses(count), start=1)
    ]
