"""A tongue of tones and a service that understands it: two hours of it cost seconds.

Each word is a tone of its own pitch, so that what is heard can be told exactly, without a model: a
word that is lost or doubled where a recording was cut is seen. A tone of which a part is missing is
not understood, as with people. Owns the sound, and the service (over HTTP, as a recogniser that
tells times).
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

RATE = 8000
WORDS, SENTENCE = 97, 16
"""Different words, and how many of them lie between two pauses."""
TONE, GAP, PAUSE = 0.3, 0.08, 0.7
LEAST = 0.85
"""Of a tone, to be understood."""
LOW, STEP = 400, 30


def text(number: int) -> str:
    return f"word{number % WORDS}"


def speech(words: int) -> npt.NDArray[np.uint8]:
    """So many words, in sentences; 8 kHz, 8 bit."""
    at = np.arange(round(TONE * RATE)) / RATE
    fade = np.minimum(1, np.minimum(at, TONE - at) / 0.01)
    tones = [np.sin(2 * np.pi * (LOW + STEP * n) * at) * fade for n in range(WORDS)]
    spoken = [np.asarray(128 + 80 * tone, np.uint8) for tone in tones]
    gap, pause = (np.full(round(s * RATE), 128, np.uint8) for s in (GAP, PAUSE))
    parts: list[npt.NDArray[np.uint8]] = []
    for number in range(words):
        parts += [spoken[number % WORDS], pause if number % SENTENCE == SENTENCE - 1 else gap]
    return np.concatenate(parts)


def write_wav(path: Path, sound: npt.NDArray[np.uint8]) -> None:
    head = (
        b"RIFF"
        + (36 + sound.size).to_bytes(4, "little")
        + b"WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"
    )
    head += RATE.to_bytes(4, "little") * 2 + b"\x01\x00\x08\x00"
    with path.open("wb") as file:
        file.write(head + b"data" + sound.size.to_bytes(4, "little"))
        file.write(sound.tobytes())


def understood(samples: npt.NDArray[np.int16], rate: int) -> list[dict[str, Any]]:
    """Every whole tone with its times."""
    frame = rate // 100
    frames = samples[: samples.size // frame * frame].reshape(-1, frame).astype(np.float32)
    loud = np.sqrt(np.mean(frames**2, axis=1)) > 1500
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]])))
    found = []
    for first, after in zip(edges[::2], edges[1::2], strict=True):
        if (after - first) / 100 < LEAST * TONE:
            continue
        tone = samples[first * frame : after * frame].astype(np.float32)
        power = np.abs(np.fft.rfft(tone * np.hanning(tone.size)))
        pitch = float(np.argmax(power)) * rate / tone.size
        number = round((pitch - LOW) / STEP)
        found.append({"word": text(number), "start": float(first) / 100, "end": float(after) / 100})
    return found


@contextmanager
def running_ears() -> Iterator[int]:
    """The port of the service."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._say({"object": "list", "data": [{"id": "tones", "object": "model"}]})

        def do_POST(self) -> None:
            body = self._body()
            at = body.index(b"RIFF")
            rate = int.from_bytes(body[at + 24 : at + 28], "little")
            data = body.index(b"data", at)
            size = int.from_bytes(body[data + 4 : data + 8], "little")
            samples = np.frombuffer(body[data + 8 : data + 8 + size], "<i2")
            words = understood(samples, rate)
            told = " ".join(one["word"] for one in words)
            seconds = samples.size / rate
            line = {"id": 0, "start": 0.0, "end": seconds, "text": told}
            self._say({"text": told, "duration": seconds, "segments": [line], "words": words})

        def _body(self) -> bytes:
            if "content-length" in self.headers:
                return self.rfile.read(int(self.headers["content-length"]))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _say(self, shape: dict[str, Any]) -> None:
            body = json.dumps(shape).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
