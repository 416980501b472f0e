"""The services of the audio bench: they answer at once, with as much as real ones say.

Words and sentences as `verbose_json` has them, 150 a minute, and two speakers with embeddings; what
is said does not matter to what is measured. Runs as a thread of the program that measures, so its
time is none of the app's. It reads what it is sent, and drops it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

WORDS_A_SECOND = 2.5
BYTES_A_SECOND = 32_000
DIMENSIONS = 256
CHAT = {
    "id": "bench",
    "object": "chat.completion",
    "created": 0,
    "model": "bench",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hello"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


def transcript(seconds: float) -> dict[str, Any]:
    each = 1 / WORDS_A_SECOND
    words = [
        {
            "word": f"word{number % 997}",
            "start": round(number * each, 3),
            "end": round(number * each + 0.3, 3),
            "probability": 0.9,
        }
        for number in range(int(seconds * WORDS_A_SECOND))
    ]
    lines = [words[at : at + 12] for at in range(0, len(words), 12)]
    segments = [
        {
            "id": number,
            "start": line[0]["start"],
            "end": line[-1]["end"],
            "text": " ".join(str(word["word"]) for word in line) + ".",
            "avg_logprob": -0.2,
        }
        for number, line in enumerate(lines)
    ]
    text = " ".join(str(line["text"]) for line in segments)
    return {
        "task": "transcribe",
        "language": "en",
        "duration": seconds,
        "text": text,
        "segments": segments,
        "words": words,
    }


def speakers(seconds: float) -> dict[str, Any]:
    turns = [
        {"speaker": f"S{number % 2}", "start": number * 5.0, "end": number * 5.0 + 4.5}
        for number in range(int(seconds / 5))
    ]
    here = [1.0] * (DIMENSIONS // 2) + [0.0] * (DIMENSIONS // 2)
    return {"segments": turns, "embeddings": {"S0": here, "S1": here[::-1]}}


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({"status": "ok", "data": []})

    def do_POST(self) -> None:
        seconds = self._read() / BYTES_A_SECOND
        if self.path.endswith("/transcriptions"):
            self._answer(transcript(seconds))
        elif "diarize" in self.path:
            self._answer(speakers(seconds))
        else:
            self._answer(CHAT)

    def _read(self) -> int:
        """How many bytes came."""
        left = int(self.headers.get("content-length") or -1)
        total = 0
        if left >= 0:
            while left and (piece := self.rfile.read(min(left, 1 << 18))):
                left -= len(piece)
                total += len(piece)
            return total
        while size := int(self.rfile.readline().split(b";")[0], 16):
            total += len(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return total

    def _answer(self, shape: dict[str, Any]) -> None:
        body = json.dumps(shape).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        del format, args


@contextmanager
def engine(port: int) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", port), _Answering)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
