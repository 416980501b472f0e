"""Turns in the format that was asked for: JSON, or RTTM. Pure."""

from typing import Any

import orjson

from server.audio.formats import gap_shape
from server.audio.front.written import Written
from server.audio.long.model import LongDiarized


def turns_written(found: LongDiarized, format_: str) -> Written:
    """RTTM is what NIST's scoring reads: one line a turn."""
    if format_ == "rttm":
        lines = (
            f"SPEAKER recording 1 {turn.start:.3f} {turn.end - turn.start:.3f} "
            f"<NA> <NA> {_plain(turn.speaker)} <NA> <NA>\n"
            for turn in found.turns
        )
        return Written("".join(lines).encode(), "text/plain; charset=utf-8")
    shape: dict[str, Any] = {
        "task": "diarize",
        "duration": round(found.seconds, 3),
        "segments": [
            {"speaker": turn.speaker, "start": round(turn.start, 3), "end": round(turn.end, 3)}
            for turn in found.turns
        ],
        "speakers": [
            {"id": name, "embedding": list(voice)} for name, voice in found.voices.items()
        ],
        "usage": {"type": "duration", "seconds": round(found.seconds, 3)},
    }
    if found.gaps:
        shape["gaps"] = [gap_shape(gap) for gap in found.gaps]
    return Written(orjson.dumps(shape), "application/json")


def _plain(name: str) -> str:
    """The fields of a line are parted by spaces."""
    return "_".join(name.split()) or "UNKNOWN"
