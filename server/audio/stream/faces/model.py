"""What both protocols have in common: what a message asks for, and who can be told. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from server.audio.stream.faces.choice import Choice
from server.audio.stream.model import Told
from server.base.errors import SparkError

LONGEST = 15 << 20
"""Characters of a message: OpenAI's bound for sound in base64."""
SHORT = 64 << 10
"""Longer texts must be sound, and are not read as JSON: a list of a million numbers would cost a
tenth of a second and a hundred times its size."""


class Heard(NamedTuple):
    """Sound, as the client's format has it."""

    data: bytes


class Begin(NamedTuple):
    """These settings from now on."""

    choice: Choice
    """`None` of its setup's model: as it was."""


class EndHere(NamedTuple):
    pass


class Forget(NamedTuple):
    pass


class Leave(NamedTuple):
    """All that was said is told, then it is over."""


class Ping(NamedTuple):
    id: str | None = None


Command = Heard | Begin | EndHere | Forget | Leave | Ping


@dataclass(frozen=True, slots=True)
class About:
    """A stream as it stands. `received` in seconds; `token` takes it up again for `keeps` seconds
    after its connection dropped."""

    id: str
    token: str
    keeps: float
    sequence: int
    received: float
    choice: Choice
    resumed: bool = False


class Waits(NamedTuple):
    """For a place at an engine: counted from 1, and for how long by now."""

    position: int
    seconds: float


class Face(Protocol):
    """Each answer is the texts to send, in order. `read` and `control` raise what the client is
    told; the stream goes on. `states`: of the `Partial`s of one utterance the newest is enough."""

    states: bool

    def hello(self, about: About) -> Sequence[str]: ...

    def read(self, text: str) -> Command: ...

    def control(self, code: int) -> Command: ...

    def changed(self, choice: Choice) -> Sequence[str]: ...

    def told(self, told: Told) -> Sequence[str]: ...

    def waits(self, waits: Waits) -> Sequence[str]: ...

    def behind(self, seconds: float, held: float) -> Sequence[str]: ...

    def pulse(self, received: float, behind: float) -> Sequence[str]: ...

    def pong(self, ping: Ping) -> Sequence[str]: ...

    def fault(self, error: SparkError) -> Sequence[str]: ...

    def bye(self, about: About, code: int, reason: str) -> Sequence[str]: ...
