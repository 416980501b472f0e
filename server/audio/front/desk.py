"""What every request with a recording is worked on with: the shared parts, made once.

Owns nothing but their being together, and the set of what is composed, which is ended when the app
ends: a recording whose parts are refused because the gateway closes would wait for them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from server.audio.front.dialect.learned import Learned
from server.audio.front.inner import Seen
from server.audio.front.room import Room
from server.audio.long.model import Rules
from server.audio.sound.ear import Ear
from server.base.clock import Clock
from server.base.errors import SparkError, Unavailable
from server.config.model import Settings
from server.gateway.listing import Entries

MIB = 1 << 20
SHORTEST_PATIENCE = 5.0
ENDLESS = float("inf")


def nobody() -> list[dict[str, object]]:
    """No model is served."""
    return []


@dataclass(frozen=True, slots=True)
class Desk:
    """`tmp` is where uploads lie, `boundary` gives a random one for a form, `entries` are those of
    `/v1/models`, `seen` is told of the parts of a recording. `echo` looks for echo, which takes so
    long that nobody else should wait for it; None: `ear` does."""

    tmp: Path
    settings: Callable[[], Settings]
    ear: Ear
    clock: Clock
    boundary: Callable[[], str]
    entries: Entries = nobody
    seen: Seen = field(default_factory=Seen)
    echo: Ear | None = None
    learned: Learned = field(default_factory=Learned)
    under_way: set[Callable[[SparkError], None]] = field(default_factory=set)
    room: Room = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "room", Room(self._places, self._space))

    @property
    def rules(self) -> Rules:
        """Where the caller waits as long as anybody may."""
        return self.rules_for(ENDLESS)

    def rules_for(self, seconds: float) -> Rules:
        """A service that says it is busy is waited for the longer the longer the recording is: who
        sent ten seconds would sooner hear that it cannot be done now."""
        audio = self.settings().audio
        patience = max(SHORTEST_PATIENCE, seconds / 2)
        return Rules(
            part_seconds=audio.part_seconds,
            overlap_seconds=audio.overlap_seconds,
            patience=min(self.settings().gateway.queue_seconds, patience),
            speaker_distance=audio.speaker_distance,
        )

    def _places(self) -> int:
        return self.settings().audio.max_recordings

    def _space(self) -> int:
        return self.settings().audio.spool_mb * MIB

    def close(self) -> None:
        """End what is under way; who asked is told."""
        error = Unavailable("Spark Control is being stopped.", retry_after=10)
        for end in tuple(self.under_way):
            end(error)
