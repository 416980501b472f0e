"""How many seconds of sound a file holds, told from its bytes as they pass. Pure.

    head ── magic ──> a reader of that container ── asks for a few bytes at a place ──> figures
      └─ none known: estimated by size

Owns that no figure is believed beyond what the bytes that came can hold: a header may claim any
length, so each container bounds how many bytes a second takes at least and at most. Nothing is held
but the few bytes that a reader asked for and, of Ogg, the end. What cannot be read is estimated by
`ESTIMATED` bytes a second. Raises nothing, whatever it is fed.
"""

from dataclasses import dataclass
from typing import Literal

from server.gateway.usage.containers import MAGIC, Mpeg, container_of
from server.gateway.usage.samples import Container, Wants

Source = Literal["measured", "estimated"]

ESTIMATED = 16_000.0
"""Bytes a second of what is not known: 128 kbit/s, what recorders and converters write."""
LEAST = 25.0
"""No container in use spends less on a second, silence included."""


@dataclass(frozen=True, slots=True)
class Heard:
    """`source`: by the container's own word, or by the size alone."""

    seconds: float
    source: Source


class Sound:
    """One file. `feed` it in order; `heard` may be asked at any time."""

    __slots__ = ("_container", "_have", "_head", "_reading", "_start", "_wanted", "size")

    def __init__(self) -> None:
        self.size = 0
        self._head: bytearray | None = bytearray()
        self._container: Container | None = None
        self._reading: Wants | None = None
        self._start = 0  # where what is wanted begins
        self._wanted = 0  # how much of it
        self._have = bytearray()

    @property
    def known(self) -> bool:
        """Whether it is a container that can be read."""
        return self._container is not None

    @property
    def doubtful(self) -> bool:
        """Whether plain samples could look like it: so far no second frame was where it should."""
        return isinstance(self._container, Mpeg) and not self._container.per_second

    def feed(self, chunk: bytes) -> None:
        head = self._head
        if head is not None:
            head += chunk
            self.size = len(head)
            if len(head) < MAGIC:
                return
            self._head, self.size, chunk = None, 0, bytes(head)
            self._container = container_of(chunk)
            if self._container is not None:
                self._reading = self._container.read()
                self._go_on(None)
        if self._reading is not None:
            self._look(chunk)
        if self._container is not None:
            self._container.passed(chunk, self.size)
        self.size += len(chunk)

    def heard(self) -> Heard:
        size, container = self.size, self._container
        seconds = None if container is None else container.seconds(size)
        if container is None or seconds is None:
            return Heard(size / ESTIMATED, "estimated")
        return Heard(min(max(seconds, size / container.most), size / LEAST), "measured")

    # -- inside

    def _look(self, chunk: bytes) -> None:
        """`chunk` lies at `size`. Most chunks hold nothing that is wanted."""
        while self._reading is not None:
            missing = self._wanted - len(self._have)
            if missing > 0:
                at = self._start + len(self._have) - self.size
                if at < 0:
                    self._reading = None  # it passed before it was asked for
                    return
                self._have += chunk[at : at + missing]
                if len(self._have) < self._wanted:
                    return
            self._go_on(bytes(self._have[: self._wanted]))

    def _go_on(self, answer: bytes | None) -> None:
        """Hand the reader what it asked for, and hear what it wants next."""
        reading, before = self._reading, self._start
        if reading is None:
            return
        try:
            self._start, self._wanted = next(reading) if answer is None else reading.send(answer)
        except StopIteration:
            self._reading = None
        # Two wants may overlap, also where a chunk ends.
        del self._have[: max(0, self._start - before)]
