"""How fast one client may send. Pure.

Theory. Sound that comes faster than it is spoken is a file, which can wait; TCP makes it wait when
nothing is read. Sound that comes as it is spoken is a microphone, which cannot: making it wait only
hides how late its words will be. So a client may be `AHEAD` of real time, and from then on `SPEED`
times as fast, and as long as it is more than `LIVE` ahead it also waits for room in the ring
instead of losing sound. One client costs at most as much as `SPEED` that speak.
"""

AHEAD = 30.0
SPEED = 4.0
LIVE = 2.0
_FULL = 0.75
_ROOM = 0.25
"""Seconds until room is looked for again, where nobody says that there is."""


class Pace:
    """One connection, since `now`; `buffer` is the ring's length in seconds."""

    __slots__ = ("_began", "_buffer", "seconds")

    def __init__(self, now: float, buffer: float) -> None:
        self._began = now
        self._buffer = buffer
        self.seconds = 0.0

    def came(self, seconds: float) -> None:
        self.seconds += seconds

    def wait(self, now: float, held: float) -> float:
        """For so long nothing more is read; 0: go on. `held` seconds are in the ring."""
        elapsed = max(0.0, now - self._began)
        if self.seconds - elapsed > LIVE and held > _FULL * self._buffer:
            return _ROOM
        return max(0.0, (self.seconds - AHEAD - SPEED * elapsed) / SPEED)
