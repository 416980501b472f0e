"""Three ways to measure use against a limit. Pure: every call is told the time.

* `Window`: at most `limit` in any 60 seconds. Counts by second, and lets a second go only when all
  of it is out of sight, so that no window of 60 seconds, wherever it begins, holds more.
* `Bucket`: a level that fills at a rate. What is taken may be more than there is, since the cost of
  an answer is known at its end: the debt must fill up again before more is let in.
* `Day`: a sum that starts anew at midnight UTC.

Time that goes back counts as time that stands still.
"""

from collections import deque

MINUTE = 60.0
DAY = 86400


class Window:
    """`take` counts one; ask `wait` first."""

    __slots__ = ("_newest", "_seconds", "limit", "total")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.total = 0
        self._seconds: deque[list[int]] = deque()  # [second, how many], ascending
        self._newest = float("-inf")

    def wait(self, now: float) -> float:
        """Seconds until one more may be taken; 0: now."""
        now = self._forget(now)
        surplus = self.total - self.limit + 1
        if surplus <= 0:
            return 0.0
        for second, count in self._seconds:
            surplus -= count
            if surplus <= 0:
                return second + 1 + MINUTE - now
        return MINUTE

    def take(self, now: float) -> None:
        second = int(self._forget(now) // 1)
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1][1] += 1
        else:
            self._seconds.append([second, 1])
        self.total += 1

    def remaining(self, now: float) -> int:
        self._forget(now)
        return max(0, self.limit - self.total)

    def reset(self, now: float) -> float:
        """Seconds until all of the limit is there again."""
        now = self._forget(now)
        return self._seconds[-1][0] + 1 + MINUTE - now if self._seconds else 0.0

    def _forget(self, now: float) -> float:
        now = self._newest = max(now, self._newest)
        seconds, gone = self._seconds, now - MINUTE
        while seconds and seconds[0][0] + 1 <= gone:
            self.total -= seconds.popleft()[1]
        return now


class Bucket:
    """Holds `limit`, full at the beginning, filled by `limit` in `seconds`."""

    __slots__ = ("_at", "_level", "_rate", "limit")

    def __init__(self, limit: float, seconds: float = MINUTE) -> None:
        self.limit = limit
        self._rate = limit / seconds
        self._level = float(limit)
        self._at: float | None = None

    def level(self, now: float) -> float:
        """Below 0 is a debt."""
        if self._at is None or now > self._at:
            if self._at is not None:
                self._level = min(self.limit, self._level + (now - self._at) * self._rate)
            self._at = now
        return self._level

    def wait(self, now: float, amount: float = 1.0) -> float:
        """Seconds until `amount` is there; 0: now. More than all of it is never waited for."""
        missing = min(amount, self.limit) - self.level(now)
        return missing / self._rate if missing > 0 else 0.0

    def take(self, now: float, amount: float) -> None:
        self._level = self.level(now) - amount

    def reset(self, now: float) -> float:
        """Seconds until it is full."""
        return (self.limit - self.level(now)) / self._rate


class Day:
    """`wall` is seconds since the epoch."""

    __slots__ = ("_day", "_used", "limit")

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._day = -1
        self._used = 0.0

    def wait(self, wall: float) -> float:
        """Seconds until something may be used; 0: now."""
        return DAY - wall % DAY if self.used(wall) >= self.limit else 0.0

    def take(self, wall: float, amount: float) -> None:
        self._used = self.used(wall) + amount

    def used(self, wall: float) -> float:
        day = int(wall // DAY)
        if day > self._day:
            self._day, self._used = day, 0.0
        return self._used
