"""Transcripts and voices of the right shape: how much was heard and said, never what.

Owns reading of forms and WAV heads, the response formats, and a tone for an answer. Pure.
"""

import io
import json
import math
import struct
import wave
from collections.abc import Mapping
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

RATE = 24_000
VOICES = ("af_simulated", "am_simulated")
_SECONDS_PER_WORD = 0.4


def form(content_type: str, body: bytes) -> dict[str, bytes]:
    """The fields of a multipart form; of several with one name the last."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    found: dict[str, bytes] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            found[name] = payload
    return found


def seconds_of(audio: bytes) -> float:
    """Exact for a WAV file, else as if 16 kB were a second."""
    try:
        with wave.open(io.BytesIO(audio)) as sound:
            frames, rate = sound.getnframes(), sound.getframerate()
            return float(frames / rate)
    except (wave.Error, EOFError, ZeroDivisionError):
        return len(audio) / 16_000


def text_of(audio: bytes) -> str:
    return f"[simulated] {len(audio)} bytes of audio."


def _stamp(seconds: float, comma: str) -> str:
    whole, part = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{comma}{part:03}"


def transcript(audio: bytes, fields: Mapping[str, bytes], task: str) -> tuple[str, bytes]:
    """Content type and body in the `response_format` that was asked for."""
    text, length = text_of(audio), seconds_of(audio)
    usage = {"type": "duration", "seconds": math.ceil(length)}
    kind = fields.get("response_format", b"json").decode()
    if kind == "text":
        return "text/plain; charset=utf-8", text.encode() + b"\n"
    if kind == "srt":
        lines = f"1\n{_stamp(0, ',')} --> {_stamp(length, ',')}\n{text}\n\n"
        return "application/x-subrip", lines.encode()
    if kind == "vtt":
        lines = f"WEBVTT\n\n{_stamp(0, '.')} --> {_stamp(length, '.')}\n{text}\n\n"
        return "text/vtt", lines.encode()
    body: dict[str, Any] = {"text": text, "usage": usage}
    if kind == "verbose_json":
        segment = {"id": 0, "start": 0.0, "end": length, "text": text, "avg_logprob": -0.1}
        segment |= {"seek": 0, "tokens": [], "temperature": 0.0}
        segment |= {"compression_ratio": 1.0, "no_speech_prob": 0.0}
        words = [
            {"word": word, "start": at * _SECONDS_PER_WORD, "end": (at + 1) * _SECONDS_PER_WORD}
            for at, word in enumerate(text.split())
        ]
        body |= {"task": task, "language": "english", "duration": length}
        body |= {"segments": [segment], "words": words}
    return "application/json", json.dumps(body).encode()


def events(audio: bytes) -> list[bytes]:
    """A streamed transcript in OpenAI's events."""
    text = text_of(audio)
    rows: list[dict[str, Any]] = [
        {"type": "transcript.text.delta", "delta": piece} for piece in text.split(" ")
    ]
    usage = {"type": "duration", "seconds": math.ceil(seconds_of(audio))}
    rows.append({"type": "transcript.text.done", "text": text, "usage": usage})
    return [f"data: {json.dumps(row)}\n\n".encode() for row in rows]


def turns(audio: bytes) -> dict[str, Any]:
    """Two speakers, each for half of it."""
    half = seconds_of(audio) / 2
    rows = [
        {"speaker": f"SPEAKER_0{at}", "start": at * half, "end": (at + 1) * half} for at in range(2)
    ]
    return {"segments": rows, "num_speakers": 2, "duration": 2 * half, "simulated": True}


def pcm(text: str) -> bytes:
    """A quiet tone, as long as the text would take to say; 16 bit mono at `RATE`."""
    count = int(RATE * max(0.2, 0.3 * len(text.split())))
    period = [int(2000 * math.sin(2 * math.pi * at / 60)) for at in range(60)]
    frames = (period * (count // 60 + 1))[:count]
    return struct.pack(f"<{count}h", *frames)


def sound(text: str) -> bytes:
    """The same as a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(RATE)
        written.writeframes(pcm(text))
    return buffer.getvalue()
