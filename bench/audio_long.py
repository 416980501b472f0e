"""Long recordings: what our part of two hours costs.

Two hours are sent to the real app as a file. Its services answer at once (`bench.audio_engine`), so
all the time there is, is ours: receiving, decoding, cutting, sending parts on, reading answers,
weaving, linking speakers, writing. It is set beside a recogniser that hears `PACE` times faster
than was spoken. Memory is that of all processes of the app, sampled while the request runs.
"""

import http.client
import json
import random
import threading
import time
import wave
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench.audio_engine import engine
from bench.ours import served
from bench.peers import MODEL, Peer
from bench.process import cpu_seconds, resident_mib, tree, tree_cpu_seconds
from bench.table import Row, shown
from tests.e2e.running import free_port

PACE = 70.0
"""Times faster than speech: Whisper large v3 on a data centre's GPU. Parakeet is 50 times faster
still, a Spark is slower."""
RATE = 16_000
BOUNDARY = "bench-7c1f0e5d"


@dataclass(frozen=True, slots=True)
class _Way:
    """One form of asking. `speakers`: who spoke is told apart as well."""

    what: str
    file: Path
    minutes: int
    speakers: bool = False


@dataclass(frozen=True, slots=True)
class _Took:
    """Seconds until the whole answer; MiB at the most meanwhile; seconds of CPU of the app itself,
    and of the process that decodes."""

    wall: float
    most: float
    app: float
    ear: float


def measure(place: Path, *, quick: bool) -> list[Row]:
    short, long = (1, 2) if quick else (30, 120)
    minute = _minute(place)
    ways = [
        _Way("a WAV file", _wav(place, minute, short), short),
        _Way("a WAV file", _wav(place, minute, long), long),
        _Way("an MP3 file", _mp3(place, minute, long), long),
        _Way("a WAV file, with speakers", place / f"{long}.wav", long, speakers=True),
    ]
    port = free_port()
    rows: list[Row] = []
    with engine(port), _app(place, port, quick=quick) as peer:
        idle = _resident(peer.pid)
        for way in ways:
            took = _asked(peer, way)
            if way.minutes == long:
                rows += _rows(way, took, idle)
            else:
                what = f"{short} minutes, {way.what}: memory above idle"
                rows.append(Row(what, took.most - idle, "MiB"))
    return rows


def _rows(way: _Way, took: _Took, idle: float) -> list[Row]:
    engine_seconds = way.minutes * 60 / PACE
    note = (
        f"beside {shown(engine_seconds, 's')} of a recogniser {PACE:.0f} times faster than speech"
    )
    share = 100 * took.wall / engine_seconds
    cpu = f"CPU: app {shown(took.app, 's')}, decoder {shown(took.ear, 's')}"
    return [
        Row(f"{way.minutes} minutes, {way.what}: our time", took.wall, "s", None, cpu),
        Row("  beyond the recogniser's", share, "%", 3 if way.minutes >= 60 else None, note),
        Row("  memory above idle", took.most - idle, "MiB", 150),
    ]


@contextmanager
def _app(place: Path, port: int, *, quick: bool) -> Iterator[Peer]:
    data = place / "data"
    data.mkdir()
    where = {"host": "bench", "port": port, "health_path": "/health"}
    host = {"name": "bench", "address": "127.0.0.1", "port": free_port(), "user": "bench"}
    config = {
        "hosts": [host],
        "services": [
            {"name": "llm", "kind": "llm", "models": [MODEL], **where},
            {"name": "asr", "kind": "asr", **where},
            {"name": "diarizer", "kind": "diarize", **where},
        ],
        "gateway": {"require_key": True, "max_upload_mb": 2048},
        "audio": {"long_seconds": 30.0, "part_seconds": 60.0} if quick else {},
    }
    (data / "config.yaml").write_text(json.dumps(config))
    with served(data, "ours") as peer:
        yield peer


def _asked(peer: Peer, way: _Way) -> _Took:
    fields = {"response_format": "diarized_json" if way.speakers else "verbose_json"}
    head, tail = _form(fields, way.file.name)
    length = len(head) + way.file.stat().st_size + len(tail)
    link = http.client.HTTPConnection("127.0.0.1", peer.port, timeout=600)
    app, whole = cpu_seconds(peer.pid), tree_cpu_seconds(peer.pid)
    with _watched(peer.pid) as most:
        began = time.monotonic()
        link.putrequest("POST", "/v1/audio/transcriptions")
        link.putheader("authorization", f"Bearer {peer.key}")
        link.putheader("content-type", f"multipart/form-data; boundary={BOUNDARY}")
        link.putheader("content-length", str(length))
        link.endheaders()
        link.send(head)
        with way.file.open("rb") as source:
            link.send(source)
        link.send(tail)
        answer = link.getresponse()
        found = answer.read()
        wall = time.monotonic() - began
    link.close()
    if answer.status != 200:
        raise RuntimeError(f"{way.what}: {answer.status} {found[:500]!r}")
    told = orjson.loads(found)
    # An MP3 minute is a frame or two longer than the minute it was made of.
    if told.get("gaps") or abs(told["duration"] / way.minutes - 60) > 0.2:
        raise RuntimeError(f"{way.what}: heard {told['duration']} s, gaps {told.get('gaps')}")
    app, whole = cpu_seconds(peer.pid) - app, tree_cpu_seconds(peer.pid) - whole
    return _Took(wall, max(most), app, whole - app)


def _form(fields: dict[str, str], name: str) -> tuple[bytes, bytes]:
    parts = [
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in fields.items()
    ]
    file = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return ("".join(parts) + file).encode(), f"\r\n--{BOUNDARY}--\r\n".encode()


@contextmanager
def _watched(pid: int) -> Iterator[list[float]]:
    """What all processes of the app hold together, thirty times a second."""
    held = [_resident(pid)]
    leave = threading.Event()

    def watch() -> None:
        while not leave.wait(0.03):
            held.append(_resident(pid))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield held
    finally:
        leave.set()
        thread.join(10)


def _resident(pid: int) -> float:
    total = 0.0
    for one in tree(pid):
        try:
            total += resident_mib(one)
        except (OSError, RuntimeError):
            continue  # it ended meanwhile
    return total


# ---- the recordings


def _minute(place: Path) -> bytes:
    """Speech as far as loudness goes: bursts of noise as long as words, and pauses."""
    del place
    chance = random.Random(7)
    noise = array("h", (int(chance.gauss(0, 3000)) for _ in range(RATE)))
    samples = array("h")
    while len(samples) < 60 * RATE:
        samples.extend(noise[: chance.randint(RATE // 8, RATE // 2)])
        samples.extend(array("h", [0]) * chance.randint(RATE // 50, RATE // 2))
    return samples[: 60 * RATE].tobytes()


def _wav(place: Path, minute: bytes, minutes: int) -> Path:
    path = place / f"{minutes}.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for _ in range(minutes):
            file.writeframesraw(minute)
    return path


def _mp3(place: Path, minute: bytes, minutes: int) -> Path:
    """Frames of MP3 stand alone, so one minute is encoded and repeated."""
    import av  # noqa: PLC0415 - slow to import

    one, path = place / "minute.mp3", place / f"{minutes}.mp3"
    with av.open(str(one), "w", format="mp3", options={"write_xing": "0"}) as out:
        stream = out.add_stream("libmp3lame", rate=RATE)
        stream.bit_rate = 64_000
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(minute) // 2)
        frame.sample_rate = RATE
        frame.planes[0].update(minute)
        resampler = av.AudioResampler(format="s16p", layout="mono", rate=RATE, frame_size=576)
        for piece in resampler.resample(frame):
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    with path.open("wb") as file:
        for _ in range(minutes):
            file.write(one.read_bytes())
    return path
