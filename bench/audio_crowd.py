"""Many microphones in one process: `python -m bench.audio_crowd PORT STREAMS WARM SECONDS`.

Each stream is a WebSocket of its own that sends 100 ms of sound ten times a second, spoken in for
five seconds of every twenty, each at a time of its own. The frames are made beforehand, so sending
one is one write. What comes back is read as far as its times are needed: how long after the frame
that ended an utterance its final came, and after the newest frame of a window its partial.

Prints `begin` when it has sent for WARM seconds, then after SECONDS what it saw, as JSON. Owns the
bounds: it ends after that time whatever happens, and a frame that is late is sent late, never left
out.
"""

import asyncio
import json
import random
import resource
import sys
import time
from array import array
from functools import partial
from typing import Any, cast

import numpy as np

FRAME_SECONDS = 0.1
RATE = 16_000
CYCLE, SPOKEN = 200, 50
SLOTS = 100
_PATH = b"/v1/audio/stream"
_UPGRADE = (
    b"GET %b HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n"
    b"authorization: Bearer %b\r\n\r\n"
)


def sound() -> list[bytes]:
    """A cycle as masked frames: harmonics in syllables, then faint noise."""
    size = round(RATE * FRAME_SECONDS)
    at = np.arange(size * SPOKEN) / RATE
    tone = sum(np.sin(2 * np.pi * 130 * k * at) / k for k in range(1, 20))
    spoken = tone * 2400 * (0.65 + 0.35 * np.sin(2 * np.pi * 4 * at))
    noise = np.random.default_rng(3).normal(0, 8, size * CYCLE)
    noise[: len(spoken)] += spoken
    whole = noise.astype("<i2").tobytes()
    frames = []
    for number in range(CYCLE):
        body = whole[number * size * 2 : (number + 1) * size * 2]
        # A mask of zeros is a mask: the server takes it off like any other.
        frames.append(b"\x82\xfe" + len(body).to_bytes(2, "big") + b"\0\0\0\0" + body)
    return frames


class Microphone(asyncio.Protocol):
    """One stream. `sent` are the times of its frames."""

    def __init__(self, crowd: "Crowd", offset: int) -> None:
        self.crowd = crowd
        self.offset = offset
        self.sent = array("d")
        self.open = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None
        self._buffer = b""
        self._agreed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(_UPGRADE % (_PATH, self.crowd.key))

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.transport = None
        self.crowd.lost += 0 if self.crowd.over else 1
        if not self.open.done():
            self.open.set_exception(ConnectionError("refused"))

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        buffer = self._buffer + data
        if not self._agreed:
            head, found, buffer = buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            self._agreed = True
            if b" 101 " in head:
                self.open.set_result(None)
            else:
                self.open.set_exception(ConnectionError(head[:200].decode()))
        while len(buffer) >= 2:
            size, start = buffer[1] & 127, 2
            if size == 126:
                size, start = int.from_bytes(buffer[2:4], "big"), 4
            elif size == 127:
                size, start = int.from_bytes(buffer[2:10], "big"), 10
            if len(buffer) < start + size:
                break
            if buffer[0] == 0x89 and self.transport is not None:
                self.transport.write(b"\x8a\x80\0\0\0\0")  # a ping; its pong may be empty
            elif buffer[0] == 0x81:
                self.crowd.told(self, buffer[start : start + size], now)
            buffer = buffer[start + size :]
        self._buffer = buffer

    def speak(self, frames: list[bytes], now: float) -> None:
        if self.transport is not None:
            self.transport.write(frames[(len(self.sent) + self.offset) % CYCLE])
            self.sent.append(now)


class Crowd:
    def __init__(self, key: bytes) -> None:
        self.key = key
        self.over = False
        self.counting = False
        self.lost = 0
        self.lag = 0.0
        self.finals: list[float] = []
        self.partials: list[float] = []
        self.others: dict[str, int] = {}

    def told(self, one: Microphone, text: bytes, now: float) -> None:
        if not self.counting:
            return
        body: dict[str, Any] = json.loads(text)
        kind = body["type"]
        if kind == "final":
            self._since(one, body["at"], now, self.finals)
        elif kind == "partial":
            self._since(one, body["until"], now, self.partials)
        else:
            self.others[kind] = self.others.get(kind, 0) + 1

    def _since(self, one: Microphone, at: float, now: float, into: list[float]) -> None:
        number = round(at / FRAME_SECONDS) - 1
        if 0 <= number < len(one.sent):
            into.append(now - one.sent[number])

    async def run(self, port: int, count: int, warm: float, seconds: float) -> None:
        members = await self._connected(port, count)
        frames = sound()
        slots = [members[slot::SLOTS] for slot in range(SLOTS)]
        began = time.perf_counter()
        for step in range(round((warm + seconds) / FRAME_SECONDS * SLOTS)):
            due = began + step * FRAME_SECONDS / SLOTS
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            now = time.perf_counter()
            self._counts(now - due, now - began >= warm)
            for one in slots[step % SLOTS]:
                one.speak(frames, now)
        self.over = True
        print(json.dumps(self.seen()), flush=True)
        for one in members:
            if one.transport is not None:
                one.transport.abort()

    async def _connected(self, port: int, count: int) -> list[Microphone]:
        loop, chance = asyncio.get_running_loop(), random.Random(5)
        members = [Microphone(self, chance.randrange(CYCLE)) for _ in range(count)]
        for at in range(0, count, 50):
            some = members[at : at + 50]
            for one in some:
                await loop.create_connection(partial(_itself, one), "127.0.0.1", port)
            await asyncio.gather(*(one.open for one in some))
        return members

    def _counts(self, late: float, warmed: bool) -> None:
        if self.counting:
            self.lag = max(self.lag, late)
        elif warmed:
            self.counting = True
            print("begin", flush=True)

    def seen(self) -> dict[str, Any]:
        return {
            "finals": self.finals,
            "partials": self.partials,
            "others": self.others,
            "lost": self.lost,
            "late": self.lag,
        }


def _itself(one: Microphone) -> Microphone:
    return one


def main(argv: list[str]) -> int:
    port, count, warm, seconds = int(argv[0]), int(argv[1]), float(argv[2]), float(argv[3])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1 << 16), hard))
    key = sys.stdin.readline().strip().encode()
    asyncio.run(Crowd(key).run(port, count, warm, seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
