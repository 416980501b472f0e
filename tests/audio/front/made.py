"""A gateway whose routes for recordings are answered as in the product; recordings; services."""

import io
import wave
from array import array
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from math import pi, sin
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from server.audio.front.desk import Desk
from server.audio.front.dual import PATH as LABEL_MERGE
from server.audio.front.dual import DualFront
from server.audio.front.hearing import TASKS, Hearing
from server.audio.front.inner import Seen
from server.audio.sound.ear import Ear
from server.base.clock import SystemClock
from server.config.model import Audio, Service, Settings
from server.gateway.front import Front
from server.gateway.listing import listing
from tests.gateway.made import Running, gateway, service
from tests.gateway.running import ScriptedEngine, serve
from tests.swap.made import T0

RATE = 16_000
TRANSCRIBE = "/v1/audio/transcriptions"


def wav(seconds: float, *, loud: float = 0.3, rate: int = RATE) -> bytes:
    """A tone of 220 Hz that pauses for half a second every two."""
    cycle = array("h", (round(32767 * loud * sin(2 * pi * 220 * i / rate)) for i in range(rate)))
    block = array("h", cycle)
    block.extend(cycle[: rate // 2])
    block.extend(array("h", bytes(rate)))  # half a second of nothing
    whole = array("h")
    while len(whole) < seconds * rate:
        whole.extend(block)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(whole[: round(seconds * rate)].tobytes())
    return out.getvalue()


@dataclass
class Room:
    """What a test looks at."""

    running: Running
    desk: Desk
    tmp: Path
    seen: list[Any] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def audio(self) -> dict[str, Any]:
        """The settings, which a test may change."""
        return self.settings

    @asynccontextmanager
    async def posting(
        self, recording: bytes, path: str = TRANSCRIBE, **fields: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        data = _form(recording, "a.wav", fields)
        async with self.running.session.post(self.running.url + path, data=data) as got:
            yield got

    async def ask(
        self,
        recording: bytes | None,
        path: str = TRANSCRIBE,
        *,
        filename: str = "a.wav",
        **fields: Any,
    ) -> "Told":
        form = _form(recording, filename, fields)
        async with self.running.session.post(self.running.url + path, data=form) as got:
            return Told(got.status, dict(got.headers), await got.read())


def _form(recording: bytes | None, filename: str, fields: Mapping[str, Any]) -> aiohttp.FormData:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            form.add_field(name, one)
    if recording is not None:
        form.add_field("file", recording, filename=filename, content_type="audio/wav")
    return form


@dataclass(frozen=True)
class Told:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]


@asynccontextmanager
async def room(
    ear: Ear,
    tmp: Path,
    *,
    asr: ScriptedEngine | None = None,
    diarizer: ScriptedEngine | None = None,
    services: Mapping[str, Any] | None = None,
    replica: ScriptedEngine | None = None,
    audio: Mapping[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Room]:
    """`services` are further settings of the service `ears`. At the end nothing is left behind."""
    chosen = dict(audio or {})
    numbers = count()
    seen: list[Any] = []
    running: list[Running] = []

    def settings() -> Settings:
        whole = running[0].whole_settings()
        return whole.model_copy(update={"audio": Audio(**chosen)})

    desk = Desk(
        tmp=tmp,
        settings=settings,
        ear=ear,
        clock=SystemClock(),
        boundary=lambda: f"boundary{next(numbers)}",
        entries=lambda: listing(running[0].catalog, running[0].layout(), (), T0),
        seen=Seen(ended=[seen.append]),
    )
    fronts: dict[str, Front] = {one: Hearing(desk) for one in TASKS}
    fronts[LABEL_MERGE] = DualFront(desk)
    options.setdefault("max_upload_mb", 16)
    async with gateway(fronts=fronts, **options) as gate:
        running.append(gate)
        async with _services(gate, (asr, replica, diarizer), services or {}):
            yield Room(gate, desk, tmp, seen, chosen)
    # The server has ended: so has every request.
    assert (desk.under_way, desk.room.used, desk.room.busy) == (set(), 0, 0)
    assert not tmp.exists() or not list(tmp.iterdir())


@asynccontextmanager
async def _services(
    gate: Running,
    engines: tuple[ScriptedEngine | None, ...],
    more: Mapping[str, Any],
) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        made: list[Service] = []
        names = (("ears", "asr"), ("other", "asr"), ("voices", "diarize"))
        for (name, kind), engine in zip(names, engines, strict=True):
            if engine is not None:
                url = await stack.enter_async_context(serve(engine))
                made.append(service(name, kind, url, **(more if name == "ears" else {})))
        gate.services = tuple(made)
        yield


def fields_of(raw: bytes) -> dict[str, list[str]]:
    """The fields of a form that a service was sent, without its file."""
    boundary = raw[2 : raw.index(b"\r\n")]
    found: dict[str, list[str]] = {}
    for part in raw.split(b"--" + boundary):
        head, _, value = part.partition(b"\r\n\r\n")
        if b'name="' in head and b"filename" not in head:
            name = head.split(b'name="')[1].split(b'"')[0].decode()
            found.setdefault(name, []).append(value[:-2].decode())
    return found


def words(*texts: str, step: float = 0.5) -> Sequence[dict[str, Any]]:
    return [
        {"word": text, "start": i * step, "end": i * step + 0.4} for i, text in enumerate(texts)
    ]
