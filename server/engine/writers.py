"""What was heard, in the shapes of the OpenAI API: json, text, srt, vtt, verbose_json. Pure.

Owns the writing only. A word from a recogniser is not to be trusted with a player's syntax, so cues
hold neither an arrow nor an empty line.
"""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from server.engine.hearing import Segment
from server.engine.languages import NAMES

FORMATS = ("json", "text", "srt", "vtt", "verbose_json")


class Transcript(NamedTuple):
    """`language` is a code."""

    task: str
    language: str
    duration: float
    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        return "".join(one.text for one in self.segments).strip()


def usage(duration: float) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(duration)}


def written(found: Transcript, form: str, granularities: frozenset[str]) -> tuple[str, bytes]:
    """Content type and body."""
    if form == "text":
        return "text/plain; charset=utf-8", f"{found.text}\n".encode()
    if form == "srt":
        return "application/x-subrip", "".join(_srt(found.segments)).encode()
    if form == "vtt":
        return "text/vtt; charset=utf-8", "".join(["WEBVTT\n\n", *_vtt(found.segments)]).encode()
    body: dict[str, Any] = {"text": found.text}
    if form == "verbose_json":
        body = _verbose(found, granularities)
    return "application/json", json.dumps(body | {"usage": usage(found.duration)}).encode()


def _verbose(found: Transcript, granularities: frozenset[str]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "task": found.task,
        "language": NAMES.get(found.language, found.language),
        "duration": round(found.duration, 3),
        "text": found.text,
    }
    if "word" in granularities:
        body["words"] = [
            {
                "word": word.text.strip(),
                "start": round(word.start, 3),
                "end": round(word.end, 3),
                "probability": round(word.probability, 4),
            }
            for segment in found.segments
            for word in segment.words
        ]
    if "segment" in granularities or "word" not in granularities:
        body["segments"] = [_segment(segment) for segment in found.segments]
    return body


def _segment(one: Segment) -> dict[str, Any]:
    return {
        "id": one.number,
        "seek": one.seek,
        "start": round(one.start, 3),
        "end": round(one.end, 3),
        "text": one.text,
        "tokens": list(one.tokens),
        "temperature": one.temperature,
        "avg_logprob": round(one.avg_logprob, 5),
        "compression_ratio": round(one.compression_ratio, 5),
        "no_speech_prob": round(one.no_speech_prob, 5),
    }


def event(body: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(body)}\n\n".encode()


def delta(segment: Segment) -> bytes:
    """A streamed segment."""
    return event({"type": "transcript.text.delta", "delta": segment.text})


def done(texts: Iterable[str], duration: float) -> bytes:
    text = "".join(texts).strip()
    return event({"type": "transcript.text.done", "text": text, "usage": usage(duration)})


# ---- subtitles


def stamp(seconds: float, mark: str) -> str:
    minutes, milliseconds = divmod(round(max(0.0, seconds) * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}{mark}{milliseconds % 1000:03d}"


def _inert(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _srt(segments: Sequence[Segment]) -> Iterable[str]:
    for number, one in enumerate(segments, 1):
        text = _inert(one.text).replace("-->", "→")
        yield f"{number}\n{stamp(one.start, ',')} --> {stamp(one.end, ',')}\n{text}\n\n"


def _vtt(segments: Sequence[Segment]) -> Iterable[str]:
    for one in segments:
        text = _inert(one.text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        yield f"{stamp(one.start, '.')} --> {stamp(one.end, '.')}\n{text}\n\n"
