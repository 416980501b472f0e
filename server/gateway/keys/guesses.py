"""How often one address may present a key that is wrong. Pure; bounded in memory.

Nobody guesses 256 bits: this keeps a program with an old key, that asks again and again, from
filling the log. So it never stops a key that is right, not even from the same address: behind one
proxy everybody has the same one.
"""

from server.gateway.limits.window import Bucket

PER_MINUTE = 20
ADDRESSES = 4096


class Guesses:
    """`failed` counts one wrong key; it returns the seconds to wait, 0 while that is still few."""

    def __init__(self, per_minute: int = PER_MINUTE, addresses: int = ADDRESSES) -> None:
        self._per_minute = per_minute
        self._addresses = addresses
        self._buckets: dict[str, Bucket] = {}

    def failed(self, address: str, now: float) -> float:
        bucket = self._buckets.pop(address, None) or Bucket(self._per_minute)
        self._buckets[address] = bucket  # the newest last: the oldest is forgotten first
        if len(self._buckets) > self._addresses:
            del self._buckets[next(iter(self._buckets))]
        wait = bucket.wait(now)
        if not wait:
            bucket.take(now, 1)
        return wait
