"""What the lane is given and what it tells. Frozen values and seams."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from server.gateway.handover import Handover
from server.gateway.wire import Header


@dataclass(frozen=True, slots=True)
class Done:
    """A request that is over, as its line in the log has it. `notes` are further fields."""

    method: str
    path: str
    route: str
    request_id: str
    client: str | None
    status: int
    seconds: float
    size: int
    notes: dict[str, Any]


class Watch(Protocol):
    """Who sees every request, whichever way it goes: ids, the line in the log, the metrics."""

    def request_id(self, given: bytes | None) -> str: ...

    def always(self, request_id: str) -> list[Header]: ...

    def entered(self) -> None: ...

    def left(self) -> None: ...

    def ended(self, done: Done) -> None: ...


class Flying(Protocol):
    """A request under way: `flush` when its caller is no longer slow, `left` when it is gone.
    `keep_alive` is whether the connection stays, `response_complete` never true: then it is gone.
    """

    keep_alive: bool

    @property
    def response_complete(self) -> bool: ...

    def flush(self) -> None: ...

    def left(self) -> None: ...


class Client(Protocol):
    """The connection of the caller. `flies` tells what carries its request; `over` when the answer
    is out whole, `cut` to end the connection instead; `hand_over` before anything was sent."""

    address: str

    @property
    def paused(self) -> bool:
        """Whether it is slow: nothing more is to be written now."""
        ...

    @property
    def default_headers(self) -> list[Header]: ...

    def flies(self, flight: Flying) -> None: ...

    def send(self, data: bytes) -> None: ...

    def over(self) -> None: ...

    def cut(self) -> None: ...

    def hand_over(self, handover: Handover) -> None: ...


Foreign = Callable[[list[Header]], bool]
"""Whether a request may come from a web page, which is not for the lane to judge."""
