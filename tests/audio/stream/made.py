"""A recogniser that hears perfectly, sound whose words it knows, and a gateway before it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import orjson
from starlette.types import Receive, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from server.audio.front.dialect.learned import Learned
from server.audio.front.inner import Seen
from server.audio.model import Word
from server.audio.stream.model import RATE, SAMPLE, Rules
from server.audio.stream.service import SOCKETS, Streams
from server.config.model import Audio, Settings
from server.gateway.model import Passage
from server.gateway.operations import OPERATIONS
from server.gateway.wire import NOTES
from tests.gateway.made import Running, gateway, service
from tests.gateway.running import Call, ScriptedEngine, begin, part, serve

FRAME = RATE // 10 * SAMPLE
"""Bytes of 100 ms."""
PLAIN = "/v1/audio/stream"


@dataclass(frozen=True)
class Speech:
    """Sound, and the words in it."""

    pcm: bytes
    words: tuple[Word, ...]

    @property
    def texts(self) -> list[str]:
        return [word.text for word in self.words]

    def hears(self, pcm: bytes) -> list[Word]:
        """What a perfect recogniser hears in a piece of it: the words that are whole, timed from
        its begin. No two places of the sound are alike, so the piece says where it is from."""
        at = self.pcm.find(pcm[: FRAME // 2]) // SAMPLE / RATE
        length = len(pcm) / SAMPLE / RATE
        return [
            word._replace(start=word.start - at, end=word.end - at)
            for word in self.words
            if word.start >= at - 0.01 and word.end <= at + length + 0.01
        ]


def speech(*parts: float, each: float = 0.25, gap: float = 0.05) -> Speech:
    """A float is seconds of silence, a whole number so many words."""
    rng = np.random.default_rng(11)
    pieces: list[Any] = []
    words: list[Word] = []
    at, number = 0.0, count()
    for one in parts:
        if isinstance(one, float):
            pieces.append(np.zeros(round(one * RATE)))
            at += one
            continue
        for _ in range(one):
            name = next(number)
            pieces += [_syllable(each), np.zeros(round(gap * RATE))]
            words.append(Word(f"word{name}", at, at + each, 0.9))
            at += each + gap
    sound = np.concatenate(pieces)
    sound = sound + rng.normal(0, 6, len(sound))
    return Speech(sound.astype("<i2").tobytes(), tuple(words))


def _syllable(seconds: float) -> Any:
    """Harmonics: a detector takes it for a voice."""
    at = np.arange(round(seconds * RATE)) / RATE
    return sum(np.sin(2 * np.pi * 130 * k * at) / k for k in range(1, 20)) * 2600


def frames(pcm: bytes, size: int = FRAME) -> Iterator[bytes]:
    for at in range(0, len(pcm), size):
        yield pcm[at : at + size]


class Ears(ScriptedEngine):
    """A service that hears `speech` perfectly. `windows` is what it was asked for, in seconds;
    `fail` are statuses for the next ones."""

    def __init__(self, heard: Speech, *, fail: Sequence[int] = ()) -> None:
        super().__init__(self._hear)
        self.speech = heard
        self.fail = list(fail)
        self.windows: list[float] = []
        self.fields: list[bytes] = []

    async def _hear(self, call: Call, send: Send) -> None:
        status = self.fail.pop(0) if self.fail else 200
        fields, _, rest = call.raw.partition(b"Content-Type: audio/wav\r\n\r\n")
        pcm = rest[44 : rest.rfind(b"\r\n--")]
        self.windows.append(len(pcm) / SAMPLE / RATE)
        self.fields.append(fields)
        words = [
            {"word": word.text, "start": word.start, "end": word.end, "probability": 0.9}
            for word in self.speech.hears(pcm)
        ]
        body = {"text": " ".join(word["word"] for word in words), "words": words}  # type: ignore[misc]
        await begin(send, "application/json", status)
        await part(send, orjson.dumps(body if status == 200 else {"detail": "no"}), last=True)


@dataclass
class House:
    """A gateway before a service `ears`, and its streams."""

    running: Running
    streams: Streams
    audio: dict[str, Any]
    ears: ScriptedEngine

    def url(self, path: str = PLAIN) -> str:
        return self.running.url.replace("http", "ws") + path

    def connect(self, path: str = PLAIN, **options: Any) -> connect:
        return connect(self.url(path), compression=None, **options)


@asynccontextmanager
async def house(ears: ScriptedEngine, **options: Any) -> AsyncIterator[House]:
    """`audio` are settings of the section, `cap` what the service takes at once, `native` whether
    it hears streams itself."""
    audio: dict[str, Any] = options.pop("audio", {})
    fields = {"max_in_flight": options.pop("cap", 2), "native_stream": options.pop("native", False)}
    settings: list[Running] = []
    numbers = count(1)
    streams = Streams(
        settings=lambda: Settings.model_construct(
            audio=Audio(**audio), services=settings[0].services
        ),
        learned=Learned(),
        seen=Seen(),
        monotonic=time.monotonic,
        token=lambda: f"token-{next(numbers)}",
        boundary=lambda: "b" * 32,
        name=lambda: f"stream-{next(numbers)}",
        store=options.pop("store", None),
    )
    fronts = dict.fromkeys(SOCKETS, streams)
    async with serve(ears) as url, gateway(fronts=fronts, **options) as running:
        settings.append(running)
        running.services = (service("ears", "asr", url, **fields),)
        streams.restore()
        try:
            yield House(running, streams, audio, ears)
        finally:
            await streams.close()


class Hand:
    """A client without a network. `said` is what it says; it leaves when it is closed, and when the
    message of that number cannot be sent to it. `asked` for a message, `heard` all, `greeted` with
    the first text."""

    def __init__(self, fails: int | None = None) -> None:
        self.said: asyncio.Queue[Any] = asyncio.Queue()
        self.told: list[Any] = []
        self.asked = asyncio.Event()
        self.heard = asyncio.Event()
        self.greeted = asyncio.Event()
        self._fails = fails

    def says(self, *messages: bytes | str) -> None:
        for one in messages:
            kind = "text" if isinstance(one, str) else "bytes"
            self.said.put_nowait({"type": "websocket.receive", kind: one})

    def connects(self) -> None:
        self.said.put_nowait({"type": "websocket.connect"})

    def leaves(self) -> None:
        self.said.put_nowait({"type": "websocket.disconnect", "code": 1006})

    @property
    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(one["text"]) for one in self.told if one.get("text")]

    async def receive(self) -> Any:
        self.asked.set()
        await asyncio.sleep(0)  # A network is never so fast that nobody else has a turn.
        message = await self.said.get()
        if self.said.empty():
            self.heard.set()
        return message

    async def send(self, message: Any) -> None:
        gone = len(self.told) == self._fails
        if gone or message["type"] == "websocket.close":
            self.leaves()
        if gone:
            raise OSError("It is gone.")
        self.told.append(message)
        if message.get("text"):
            self.greeted.set()


async def by_hand(
    here: House,
    receive: Receive,
    send: Send,
    path: str = PLAIN,
    clock: Callable[[], float] | None = None,
) -> Passage:
    """One connection without a network, from its first message to its last."""
    crew = here.running.crew if clock is None else replace(here.running.crew, monotonic=clock)
    path, _, query = path.partition("?")
    passage = Passage("req-1", crew.now(), crew.monotonic(), path)
    scope: dict[str, Any] = {
        "type": "websocket",
        "path": path,
        "query_string": query.encode(),
        "headers": [],
        NOTES: {},
    }
    await here.streams(crew, OPERATIONS[path], passage, (scope, receive, send))
    return passage


async def until(socket: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """Everything up to the first message of that type."""
    seen: list[dict[str, Any]] = []
    async for text in socket:
        seen.append(orjson.loads(text))
        if seen[-1]["type"] == kind:
            return seen
    raise AssertionError(f"closed before {kind}: {seen}")


async def rest(socket: ClientConnection) -> list[dict[str, Any]]:
    """Everything until it is closed, however it is."""
    seen: list[dict[str, Any]] = []
    with suppress(ConnectionClosed):
        while True:
            seen.append(orjson.loads(await socket.recv()))
    return seen


def finals(events: Sequence[dict[str, Any]]) -> list[str]:
    """The words of all finals."""
    return [word["word"] for one in events if one["type"] == "final" for word in one["words"]]


def rules(**fields: Any) -> Rules:
    return Rules(**fields)
