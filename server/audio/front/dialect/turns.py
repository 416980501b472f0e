"""A diarizer's answer as `Diarized`, in whichever dialect it comes. Pure.

What is looked for, by what it looks like:
    RTTM        lines `SPEAKER … start length … name`, as the answer or as text under `rttm`
    turns       a list under `segments`, `turns`, `diarization`, … of objects with a speaker and
                times, or of lines `0.00 5.34 speaker_0`; or for each speaker a list of pairs
    voices      embeddings by speaker under `speakers`, `embeddings`, `speaker_embeddings`
Raises `UpstreamError` for what is neither, and for more turns than there can be: a service that
writes on without end would stop everybody.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import orjson

from server.audio.front.dialect.plain import Object, first, listed, moment, number, objects, text
from server.audio.model import Turn
from server.audio.transcript import Diarized
from server.base.errors import UpstreamError

_LISTS = ("segments", "turns", "diarization", "annotations", "entries", "results", "result", "data")
_WHO = ("speaker", "speaker_id", "speaker_label", "label", "name", "id", "spk")
_START = ("start", "start_time", "startTime", "begin", "from")
_END = ("end", "end_time", "endTime", "stop", "to")
_VECTORS = ("embedding", "embeddings", "centroid", "vector")
TURNS, SPEAKERS, DIMENSIONS = 20_000, 200, 4096
BYTES = 16 << 20


def diarized(body: bytes, content_type: str, source: str) -> Diarized:
    """`source` is who answered, for the error."""
    if len(body) > BYTES:
        raise _endless(source)
    kind = content_type.partition(";")[0].strip().lower()
    written = body.decode("utf-8", "replace")
    if "json" not in kind and (kind.startswith("text/") or written.lstrip().startswith("SPEAKER ")):
        return Diarized(_sorted(rttm(written), source))
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _unreadable(source) from None
    if isinstance(parsed, list):
        parsed = {"segments": parsed}
    if not isinstance(parsed, dict):
        raise _unreadable(source)
    turns = _turns(parsed)
    if turns is None:
        raise _unreadable(source)
    return Diarized(_sorted(turns, source), _voices(parsed), moment(parsed.get("duration")))


def _unreadable(source: str) -> UpstreamError:
    return UpstreamError(
        f"The answer of {source} says nothing of who spoke that can be read.", source=source
    )


def _endless(source: str) -> UpstreamError:
    return UpstreamError(
        f"The answer of {source} tells of more turns than there can be.",
        source=source,
        advice="Look into the log of that service.",
    )


def _sorted(turns: list[Turn], source: str) -> tuple[Turn, ...]:
    if len(turns) > TURNS:
        raise _endless(source)
    return tuple(sorted(turns, key=lambda turn: (turn.start, turn.end, turn.speaker)))


def rttm(written: str) -> list[Turn]:
    """NIST's rich transcription time marks: type, file, channel, start, length, …, speaker."""
    found: list[Turn] = []
    for line in written.splitlines():
        parts = line.split()
        if len(parts) < 8 or parts[0] != "SPEAKER":
            continue
        start, length = moment(parts[3]), moment(parts[4])
        if start is not None and length is not None:
            found.append(Turn(parts[7][:100], start, start + length))
    return found


def _turns(parsed: Object) -> list[Turn] | None:
    """None when there is nothing of that kind; a recording in which nobody speaks has none."""
    marks = text(parsed.get("rttm"))
    if marks is not None:
        return rttm(marks)
    for name in _LISTS:
        value = parsed.get(name)
        if isinstance(value, list):
            return [turn for one in value if (turn := _turn(one)) is not None]
        if isinstance(value, dict):
            nested = _turns(value)
            return nested if nested is not None else list(_by_speaker(value))
    found = list(_by_speaker(parsed))
    return found or None


def _turn(one: Any) -> Turn | None:
    if isinstance(one, str):  # `0.00 5.34 speaker_0`
        parts = one.replace(",", " ").split()
        one = dict(zip(("start", "end", "speaker"), parts, strict=False))
    if isinstance(one, list) and len(one) == 3:
        one = dict(zip(("start", "end", "speaker"), one, strict=True))
    if not isinstance(one, Mapping):
        return None
    who = _name(first(one, _WHO))
    start, end = moment(first(one, _START)), moment(first(one, _END))
    if start is not None and end is None:
        length = moment(one.get("duration"))
        end = None if length is None else start + length
    if who is None or start is None or end is None or end < start:
        return None
    return Turn(who, start, end)


def _by_speaker(value: Object) -> Iterator[Turn]:
    """`{"SPEAKER_00": [[0.0, 1.5], …]}`."""
    for who, pairs in value.items():
        for pair in listed(pairs):
            if isinstance(pair, list) and len(pair) == 2:
                start, end = moment(pair[0]), moment(pair[1])
                if start is not None and end is not None and end >= start:
                    yield Turn(str(who)[:100], start, end)


def _name(value: Any) -> str | None:
    """Speakers are also numbered."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"SPEAKER_{value:02d}"
    name = text(value)
    return name.strip()[:100] if name and name.strip() else None


# ---- voices


def _voices(parsed: Object) -> Mapping[str, tuple[float, ...]]:
    found: dict[str, tuple[float, ...]] = {}
    for name in ("speakers", "embeddings", "speaker_embeddings", "voices"):
        value = parsed.get(name)
        if isinstance(value, dict):
            pairs = [(_name(who), one) for who, one in value.items()]
        else:
            pairs = [(_name(first(one, _WHO)), one) for one in objects(value)]
        for who, one in pairs[:SPEAKERS]:
            vector = _vector(one)
            if who is not None and vector:
                found.setdefault(who, vector)
    return MappingProxyType(found)


def _vector(value: Any) -> tuple[float, ...]:
    """Empty for what is none: a direction cannot be told from zeros or from what is no number."""
    if isinstance(value, Mapping):
        value = first(value, _VECTORS)
    given = listed(value)
    if given and isinstance(given[0], list):  # one row
        given = listed(given[0])
    if not 0 < len(given) <= DIMENSIONS:
        return ()
    numbers = [number(one) for one in given]
    vector = tuple(one for one in numbers if one is not None)
    return vector if len(vector) == len(given) and any(vector) else ()
