"""How long a request takes in a pool, and what that makes of a place in its queue. Pure.

Owns the weighted mean of service times and the estimate from a position. An estimate ignores
other pools that share an upstream, so it can be too short; what is never learned is None, not 0.
"""

import math
from dataclasses import dataclass

WEIGHT = 0.2
SOONEST = 1.0
LATEST = 120.0
UNLEARNED = 5.0


@dataclass(slots=True)
class Learned:
    """`seconds`: how long a request takes, None before the first one. `ready_at`: when the pool
    begins to answer, as somebody who loads it says."""

    seconds: float | None = None
    ready_at: float | None = None

    def saw(self, seconds: float) -> None:
        if self.seconds is None:
            self.seconds = seconds
        else:
            self.seconds += WEIGHT * (seconds - self.seconds)

    def expect(self, seconds: float | None, now: float) -> None:
        self.ready_at = None if seconds is None else now + max(0.0, seconds)

    def wait(self, position: int, room: int | None, now: float) -> float | None:
        """Seconds until the one at `position` is let in. `room`: how many the pool takes at once,
        None: no bound, 0: nothing answers yet."""
        begins = None if self.ready_at is None else max(0.0, self.ready_at - now)
        if begins is not None:
            # After a load everything is free: the first `room` go in at once.
            behind = max(0, position - max(room or 0, 1))
            return begins + (self.seconds or 0.0) * behind / max(room or 0, 1)
        if self.seconds is None or not room:
            return None
        return self.seconds * position / room


def retry_after(wait: float | None) -> float:
    """What a refused caller is told: whole seconds within sane bounds."""
    if wait is None:
        return UNLEARNED
    return float(math.ceil(min(max(wait, SOONEST), LATEST)))
