"""The streams that are alive, connected or waiting for their client to come back.

Owns the bounds of how many there are, and by whom; the time that one is kept without a connection,
which is none before its first sound; and that only its own client takes one up again. Refuses to
tell a token that was never given from one that is another's.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator

from server.audio.stream.stream import Stream
from server.base.errors import NotFound, RateLimited, Unavailable
from server.gateway.model import Caller


class Kept:
    """One per app. `most` is the bound of all, `seconds` how long one is kept, of now."""

    def __init__(self, most: Callable[[], int], seconds: Callable[[], float]) -> None:
        self._most = most
        self._seconds = seconds
        self._streams: dict[str, Stream] = {}
        self._clients: Counter[str] = Counter()
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def __iter__(self) -> Iterator[Stream]:
        return iter(list(self._streams.values()))

    def __contains__(self, token: object) -> bool:
        return token in self._streams

    def __len__(self) -> int:
        return len(self._streams)

    def check(self, caller: Caller, cap: int | None) -> None:
        """Whether there is room for one more. `cap` is how many its client may have at once."""
        if cap is not None and self._clients[client_of(caller)] >= cap:
            raise RateLimited(
                f"{cap} streams at once are what this caller may have.",
                advice="End one with a stop, or close it with code 1000.",
                retry_after=5,
            )
        if len(self._streams) >= self._most():
            raise Unavailable(
                f"{self._most()} streams are open, which is all there may be (audio.max_streams).",
                retry_after=10,
            )

    def add(self, stream: Stream) -> None:
        self._streams[stream.token] = stream
        self._clients[client_of(stream.caller)] += 1

    def left(self, stream: Stream) -> None:
        """Its connection dropped."""
        stream.listener = None
        seconds = self._seconds()
        if stream.over or not stream.begun or seconds <= 0:
            self.remove(stream)
        elif stream.token in self._streams:
            loop = asyncio.get_running_loop()
            self._timers[stream.token] = loop.call_later(seconds, self.remove, stream)

    def take_up(self, token: str, caller: Caller) -> Stream:
        """By the same key, or from the same address without one. Raises `NotFound`."""
        stream = self._streams.get(token)
        if stream is None or client_of(stream.caller) != client_of(caller):
            raise NotFound(
                "There is no such stream to take up again: it ended, or was kept long enough.",
                param="resume",
                advice="Connect without `resume`: a new stream begins.",
            )
        self._unset(token)
        return stream

    def remove(self, stream: Stream) -> None:
        """It is over, whether anything of it is still to be told or not."""
        self._unset(stream.token)
        if self._streams.pop(stream.token, None) is None:
            return
        client = client_of(stream.caller)
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]
        stream.forget()

    def _unset(self, token: str) -> None:
        timer = self._timers.pop(token, None)
        if timer is not None:
            timer.cancel()


def client_of(caller: Caller) -> str:
    """A key, or an address that has none."""
    return f"at {caller.address}" if caller.key_id is None else f"key {caller.key_id}"
