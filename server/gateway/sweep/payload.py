"""What a sweep sends, by the kind of upstream. Pure.

The same request every time: only then is a difference one of the level. The speech is a made-up
sound, so its figures are those of a short clip without words; a recording of one's own tells more.
"""

import io
import json
import math
import wave
from array import array
from dataclasses import dataclass
from typing import Any

from server.base.errors import InvalidValue
from server.gateway.model import Upstream
from server.gateway.sweep.model import Wish
from server.gateway.wire import Header

AUDIO_SECONDS = 5.0
_RATE = 16_000
_BOUNDARY = "spark-control-sweep-4f1c9a"
_SENTENCE = "The quick brown fox jumps over the lazy dog, and then it rests in the warm sun."
_PATHS = {
    "llm": "/v1/chat/completions",
    "embeddings": "/v1/embeddings",
    "rerank": "/v1/rerank",
    "tts": "/v1/audio/speech",
    "asr": "/v1/audio/transcriptions",
    "diarize": "/v1/audio/diarize-chunk",
}
_SOUND = frozenset({"asr", "diarize"})
_MODELS = {"tts": "kokoro", "asr": "whisper-1"}
KINDS = frozenset(_PATHS)


@dataclass(frozen=True, slots=True)
class Payload:
    """`label` tells people what was sent."""

    path: str
    headers: tuple[Header, ...]
    body: bytes
    label: str
    synthetic: bool = False


def payload(upstream: Upstream, wish: Wish) -> Payload:
    """Raises `InvalidValue` for a kind that nobody can measure like this, or an unreadable body."""
    kind = upstream.kind
    if kind not in _PATHS:
        raise InvalidValue(
            f"{upstream.name} is of kind {kind}, which has no request that a sweep could repeat: "
            f"{', '.join(sorted(_PATHS))} have.",
            param="target",
        )
    model = upstream.model_sent or (upstream.models[0] if upstream.models else _MODELS.get(kind))
    if kind in _SOUND:
        return _sound(kind, model, wish)
    if wish.payload is not None:
        return _json(kind, _given(wish.payload, model), "the given request")
    return _json(kind, _usual(kind) | ({"model": model} if model else {}), _LABELS[kind])


_LABELS = {
    "llm": "a short chat, at most 64 tokens",
    "embeddings": "four short texts",
    "rerank": "a question and four documents",
    "tts": "one sentence",
}


def _usual(kind: str) -> dict[str, Any]:
    texts = [f"{_SENTENCE} Number {number}." for number in range(4)]
    if kind == "llm":
        message = {"role": "user", "content": "Tell me about the sea in a few sentences."}
        return {"messages": [message], "max_tokens": 64, "temperature": 0}
    if kind == "embeddings":
        return {"input": texts}
    if kind == "rerank":
        return {"query": "What does the fox do?", "documents": texts}
    return {"input": _SENTENCE, "voice": "af_heart", "response_format": "wav"}


def _given(body: bytes, model: str | None) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise InvalidValue("The payload must be a JSON object, as a client sends it.", param="file")
    return ({"model": model} if model and "model" not in parsed else {}) | parsed


def _json(kind: str, body: dict[str, Any], label: str) -> Payload:
    headers = ((b"content-type", b"application/json"),)
    return Payload(_PATHS[kind], headers, json.dumps(body).encode(), label)


def _sound(kind: str, model: str | None, wish: Wish) -> Payload:
    content = wish.payload if wish.payload is not None else tone(AUDIO_SECONDS)
    suffix = wish.filename.rsplit(".", 1)[-1] if "." in wish.filename else "wav"
    suffix = suffix if suffix.isalnum() else "bin"
    parts = [("model", model)] if model else []
    field = "content-disposition: form-data; name="
    body = b"".join(
        f'--{_BOUNDARY}\r\n{field}"{name}"\r\n\r\n{value}\r\n'.encode() for name, value in parts
    )
    body += f'--{_BOUNDARY}\r\n{field}"file"; filename="sweep.{suffix}"\r\n'.encode()
    body += b"content-type: application/octet-stream\r\n\r\n"
    body += content + f"\r\n--{_BOUNDARY}--\r\n".encode()
    headers = ((b"content-type", f"multipart/form-data; boundary={_BOUNDARY}".encode()),)
    synthetic = wish.payload is None
    label = f"{AUDIO_SECONDS:.0f} s of a made-up sound" if synthetic else "the given recording"
    return Payload(_PATHS[kind], headers, body, label, synthetic)


def tone(length: float) -> bytes:
    """A WAV file: a voice-like hum that rises and falls, so that no silence filter drops it."""
    second = array("h")
    for index in range(_RATE):
        at = index / _RATE
        loud = 0.5 + 0.5 * math.sin(2 * math.pi * 3 * at)
        voice = sum(math.sin(2 * math.pi * 140 * n * at) / n for n in range(1, 6))
        second.append(int(9000 * loud * voice / 2.3))
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes((second * math.ceil(length))[: int(length * _RATE)].tobytes())
    return buffer.getvalue()
