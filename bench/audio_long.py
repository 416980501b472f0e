"""Long recordings: what our part of two hours costs, and the merging of ten.

Two hours are sent to the real app as a file. Its services answer at once (`bench.audio_engine`), so
all the time there is, is ours: receiving, decoding, cutting, sending parts on, reading answers,
weaving, linking speakers, writing. It is set beside a recogniser that hears `PACE` times faster
than was spoken. Memory is that of all processes of the app, sampled while the request runs.

Merging is timed in this process, without the collector that its own process does without as well;
its memory is that of the process which the app starts for it, JSON in and JSON out.
"""

import gc
import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
import wave
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from bench.audio_engine import engine
from bench.ours import served
from bench.peers import MODEL, Peer
from bench.process import cpu_seconds, resident_mib, tree, tree_cpu_seconds
from bench.table import Row, median, shown
from server.audio import merging
from tests.e2e.running import ROOT, free_port

PACE = 70.0
"""Times faster than speech: Whisper large v3 on a data centre's GPU. Parakeet is 50 times faster
still, a Spark is slower."""
RATE = 16_000
BOUNDARY = "bench-7c1f0e5d"


def measure(place: Path, *, quick: bool) -> list[Row]:
    return [*_merged(place, quick=quick), *_heard(place, quick=quick)]


# ---- merging


def _merged(place: Path, *, quick: bool) -> list[Row]:
    words, turns, rounds = (2_000, 400, 1) if quick else (100_000, 20_000, 5)
    raw = _conversation(words, turns)
    body = merging.Body.model_validate_json(raw)
    took: list[float] = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            began = time.process_time()
            merging.conversation(body)
            took.append((time.process_time() - began) * 1e3)
    finally:
        gc.enable()
    request = place / "merge.json"
    request.write_bytes(raw)
    wall, peak = _worked(request)
    what = f"merging {words:,} words and {turns:,} turns of two channels"
    note = f"CPU; {shown(min(took), '')} to {shown(max(took), '')} of {rounds}"
    size = f"{len(raw) >> 20} MiB of JSON, a process of its own, its start included"
    return [
        Row(what, median(took), "ms", None if quick else 300, note),
        Row("  from request to answer", wall, "ms", None, size),
        Row("  memory of that process", peak, "MiB", 200),
    ]


def _conversation(words: int, turns: int) -> bytes:
    """Ten hours: the far side says three words of five, and a third of ours are its echo."""
    chance, seconds = random.Random(5), 36_000.0
    vocabulary = [
        "".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 9))) for _ in range(4000)
    ]

    def channel(count: int) -> list[dict[str, Any]]:
        each = seconds / count
        return [
            {
                "word": chance.choice(vocabulary) + ("." if number % 14 == 13 else ""),
                "start": round(number * each, 3),
                "end": round(number * each + chance.uniform(0.2, 0.9) * each, 3),
                "probability": 0.9,
            }
            for number in range(count)
        ]

    far, near = channel(words * 3 // 5), channel(words * 2 // 5)
    for word in near:
        word["suppressed_db"] = round(chance.uniform(-3, 25), 1)
        if chance.random() < 1 / 3:
            word["word"] = far[min(len(far) - 1, int(word["start"] / seconds * len(far)))]["word"]
    each = seconds / turns
    shares = [
        {
            "speaker": f"SPEAKER_{chance.randrange(4):02d}",
            "start": round(number * each, 3),
            "end": round(number * each * 1.0 + each * chance.uniform(0.7, 1.2), 3),
        }
        for number in range(turns)
    ]
    return orjson.dumps(
        {
            "mic": {"words": near, "speaker": "me"},
            "system": {"words": far, "turns": shares},
            "response_format": "verbose_json",
        }
    )


def _worked(request: Path) -> tuple[float, float]:
    """Milliseconds from start to end, and MiB at the most."""
    argv = [sys.executable, "-P", "-m", "server.audio.work", "label-merge", "600"]
    began = time.monotonic()
    with request.open("rb") as source:
        process = subprocess.Popen(
            argv,
            stdin=source,
            stdout=subprocess.DEVNULL,
            env={"PYTHONPATH": str(ROOT), "PATH": os.defpath},
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the process that merges ended with {process.returncode}")
    return (time.monotonic() - began) * 1e3, used.ru_maxrss / 1024


# ---- two hours


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


def _heard(place: Path, *, quick: bool) -> list[Row]:
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
