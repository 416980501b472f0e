"""Where a connection gets its stream, and hands it back: what `live` asks of who has them all."""

from typing import Protocol

from server.audio.stream.stream import Listener, Stream
from server.gateway.model import Caller, Passage, Route


class Door(Protocol):
    """Who has the streams. `open` raises what the client is told; it says which finals a client
    that comes back has."""

    def open(self, passage: Passage, route: Route) -> tuple[Stream, int | None]: ...

    def opened(self, live: Listener, stream: Stream) -> None: ...

    def closed(self, live: Listener, stream: Stream, *, dropped: bool) -> None: ...

    def check(self, route: Route, caller: Caller) -> None: ...

    def promises(self, stream: Stream) -> float: ...

    def farewell(self) -> tuple[int, str]: ...
