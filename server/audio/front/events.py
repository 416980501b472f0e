"""A composed answer as Server-Sent Events, as the transcription API of OpenAI names them. Pure.

: progress percent=40 part=2/5 eta=31     a comment, which no client shows
spark.progress                            the same as an event, for who asks `progress=true`
transcript.text.delta                     a sentence; all of them together are the text
transcript.text.segment                   a speaker's segment (`diarized_json`)
transcript.text.done                      the text, what it cost, and `transcript`: the document
                                          in the format that was asked for, when that has more
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Standing:
    """How far it is. `done` of `total` parts; `eta_seconds` None when nothing is known."""

    percent: float
    done: int
    total: int
    eta_seconds: float | None = None


def event(body: Mapping[str, Any], name: str | None = None) -> bytes:
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + orjson.dumps(body) + b"\n\n"


def comment(now: Standing) -> bytes:
    eta = now.eta_seconds
    known = "" if eta is None else f" eta={max(0, math.ceil(eta))}"
    return f": progress percent={now.percent:.0f} part={now.done}/{now.total}{known}\n\n".encode()


def progress(now: Standing) -> bytes:
    eta = now.eta_seconds
    return event(
        {
            "type": "spark.progress",
            "percent": round(now.percent, 1),
            "part": now.done,
            "parts": now.total,
            "eta_seconds": None if eta is None else round(max(0.0, eta), 1),
        },
        "spark.progress",
    )


def text_events(
    lines: Iterable[str], segments: Iterable[Mapping[str, Any]], done: Mapping[str, Any]
) -> list[bytes]:
    """`lines` are the text in pieces, spaces included; `segments` as `diarized_json` has them."""
    frames = [event({"type": "transcript.text.delta", "delta": line}) for line in lines]
    frames += [event(segment) for segment in segments]
    frames.append(event({"type": "transcript.text.done", **done}))
    return frames
