"""How fast one client may send, sound and everything else. Pure.

Theory. Sound that comes faster than it is spoken is a file, which can wait; TCP makes it wait when
nothing is read. Sound that comes as it is spoken is a microphone, which cannot: making it wait only
hides how late its words will be. So a client may be `AHEAD` of real time, and from then on `SPEED`
times as fast, and as long as it is more than `LIVE` ahead it also waits for room in the ring
instead of losing sound. One client costs at most as much as `SPEED` that speak.

A message costs something, whatever is in it. One that is a control, or carries no sound, is taken
from a token bucket (as in ITU-T I.371, the virtual scheduling form): `BURST` at once, `OFTEN` a
second. Sound in crumbs takes a small share of a token: a browser sends 128 samples at a time, which
is more than `CRUMB`, so nobody who speaks is in it. Who is made to wait, and for `PATIENCE` never
lets the bucket fill again, means no good.
"""

AHEAD = 30.0
SPEED = 4.0
LIVE = 2.0
OFTEN = 50.0
BURST = 100.0
PATIENCE = 10.0
CRUMB = 0.002
"""Seconds of sound: a message with less has the price `CRUMBS`, one with none that of a control."""
CRUMBS = 0.05
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


class Bucket:
    """One connection's messages that carry nothing, or next to nothing."""

    __slots__ = ("_full", "_waits")

    def __init__(self) -> None:
        self._full = 0.0
        self._waits: float | None = None

    def came(self, now: float, price: float = 1.0) -> float:
        """For so long nothing more is read; 0: go on."""
        if now >= self._full:
            self._full, self._waits = now, None
        self._full += price / OFTEN
        wait = max(0.0, self._full - now - BURST / OFTEN)
        if wait and self._waits is None:
            self._waits = now
        return wait

    def endless(self, now: float) -> bool:
        """Whether it was made to wait for `PATIENCE` by now, and never paused."""
        return self._waits is not None and now - self._waits >= PATIENCE
