"""How long each phase of one swap has taken, and which one runs: what the bar is drawn from."""

from server.base.clock import Clock
from server.launch.model import Progress
from server.swap.estimate import moved_on
from server.swap.node import Node

PHASE_OF_NODE = {
    Node.PREFLIGHT: "preflight",
    Node.CONFIRMING: "warming",
    Node.DRAINING: "draining",
    Node.STOPPING: "stopping",
    Node.STARTING: "starting",
    Node.LOADING: "starting",  # until the log tells more: a download comes before the weights
    Node.WARMING: "warming",
    Node.RELIEVING: "retiring",
    Node.RETIRING: "retiring",
    Node.RB_STOPPING: "stopping",
    Node.RB_STARTING: "starting",
    Node.RB_LOADING: "starting",
    Node.RB_WARMING: "warming",
    Node.RB_CLEANING: "stopping",
}


class PhaseTimer:
    """Seconds per phase of one load; the phase only ever moves forward within a node."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.phase = "preflight"
        self.fraction: float | None = None
        self.detail = ""
        self._since = clock.monotonic()
        self.times: dict[str, float] = {}

    @property
    def elapsed(self) -> float:
        return self._clock.monotonic() - self._since

    def enter(self, phase: str) -> None:
        if phase == self.phase:
            return
        self.times[self.phase] = self.times.get(self.phase, 0.0) + self.elapsed
        self.phase, self.fraction, self.detail = phase, None, ""
        self._since = self._clock.monotonic()

    def hear(self, progress: Progress) -> None:
        phase = moved_on(self.phase, progress.phase)
        self.enter(phase)
        if phase == progress.phase:
            self.fraction, self.detail = progress.fraction, progress.detail

    def closed(self) -> dict[str, float]:
        """The seconds of every phase, the running one as far as it got."""
        return self.times | {self.phase: self.times.get(self.phase, 0.0) + self.elapsed}
