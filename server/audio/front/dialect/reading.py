"""A recogniser's answer as a `Transcript`, in whichever dialect it comes. Pure.

What is looked for, by what it looks like:
    text        `text`, `transcript`, `transcription`; or the answer is no JSON at all
    words       `words`, `word_timestamps`, `timestamp.word`; else within the segments
    segments    `segments`, `chunks`, `utterances`, `timestamp.segment`
    times       `start`/`end`, `start_time`/`end_time`, `timestamp: [start, end]`
    wrappers    a list of one answer, `result(s)`, `channels[0]`, `alternatives[0]`, `data`
A word without times lies between its neighbours: it is never lost. Raises `UpstreamError` for what
is no transcript at all, and for more than anybody can have said: every word of it is work for us,
and a service that writes on without end would stop everybody.
"""

import json
from collections.abc import Sequence
from typing import Any

import orjson

from server.audio.front.dialect.plain import (
    LATEST,
    LETTERS,
    Object,
    first,
    listed,
    moment,
    number,
    objects,
    share,
    text,
)
from server.audio.model import Word
from server.audio.transcript import Spoken, Transcript, likelihood
from server.base.errors import UpstreamError

_START = ("start", "start_time", "startTime", "begin", "from")
_END = ("end", "end_time", "endTime", "stop", "to")
_TEXT = ("text", "transcript", "transcription")
_WORD = ("word", "text", "punctuated_word", "token")
_SURE = ("confidence", "probability", "score", "conf")
_SEGMENTS = ("segments", "chunks", "utterances", "sentences")
_STAMPS = ("timestamp", "timestamps")
_WRAPPERS = ("result", "results", "channels", "alternatives", "data", "output")
WORDS, DEPTH = 100_000, 6
"""So many words are five hours of quick speech."""
BYTES = 16 << 20


def transcript(body: bytes, content_type: str, source: str) -> Transcript:
    """`source` is who answered, for the error."""
    if len(body) > BYTES:
        raise _endless(source)
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("text/") and kind != "text/json":
        return _said(body.decode("utf-8", "replace"), source)
    try:
        parsed = _parsed(body)
    except (ValueError, RecursionError):
        raise _unreadable(source) from None
    if isinstance(parsed, str):
        return _said(parsed, source)
    found = _unwrapped(parsed, DEPTH)
    if found is None:
        raise _unreadable(source)
    return _transcript(found, source)


def _parsed(body: bytes) -> Any:
    """Python's own writer of JSON puts `NaN` where a recogniser is sure of nothing."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return json.loads(body, parse_constant=lambda _: None, parse_int=float)


def _said(said: str, source: str) -> Transcript:
    if len(said) > LETTERS:
        raise _endless(source)
    return Transcript(said=said.strip())


def _unreadable(source: str) -> UpstreamError:
    return UpstreamError(
        f"The answer of {source} is no transcript that can be read.",
        source=source,
        advice="Set the service's `dialect` in config.yaml, or look whether it is an ASR service.",
    )


def _endless(source: str) -> UpstreamError:
    return UpstreamError(
        f"The answer of {source} is longer than anybody can speak.",
        source=source,
        advice="Look into the log of that service.",
    )


def _unwrapped(value: Any, depth: int) -> Object | None:
    """The object that has the text, within whatever it is wrapped in."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict) or depth == 0:
        return None
    if any(isinstance(value.get(name), str) for name in _TEXT) or _has_lines(value):
        return value
    for name in _WRAPPERS:
        found = _unwrapped(value.get(name), depth - 1)
        if found is not None:
            return found
    return None


def _has_lines(value: Object) -> bool:
    return any(isinstance(value.get(name), list) for name in (*_SEGMENTS, "words"))


def _transcript(found: Object, source: str) -> Transcript:
    stamps = first(found, _STAMPS)
    stamps = stamps if isinstance(stamps, dict) else {}
    lines = objects(first(found, _SEGMENTS) or first(stamps, ("segment", "segments")))
    own = first(found, ("words", "word_timestamps")) or first(stamps, ("word", "words"))
    listed_words = objects(own) or [
        word for line in lines for word in objects(first(line, ("words", "word_timestamps")))
    ]
    segments = [one for one in map(_spoken, lines) if one is not None]
    if max(len(listed_words), sum(len(one.text.split()) for one in segments)) > WORDS:
        raise _endless(source)
    language = text(found.get("language")) or next(
        (one for one in listed(found.get("languages")) if isinstance(one, str)), None
    )
    said = text(first(found, _TEXT)) or ""
    return Transcript(
        words=_words(listed_words),
        segments=tuple(sorted(segments, key=lambda one: one.start)),
        language=language[:40] if language else None,
        duration=moment(found.get("duration")),
        said=said.strip(),
    )


def _spoken(line: Object) -> Spoken | None:
    said = text(first(line, ("text", "segment", "transcript", "sentence")))
    start, end = _times(line)
    if not said or not said.strip() or start is None:
        return None
    sure = share(first(line, _SURE))
    if sure is None:
        sure = likelihood(number(line.get("avg_logprob")))
    silence = share(line.get("no_speech_prob"))
    return Spoken(said.strip(), start, max(start, end or start), sure, silence)


def _words(given: Sequence[Object]) -> tuple[Word, ...]:
    """In order of their start. One without times lies between its neighbours."""
    read = [(text(first(one, _WORD)) or "", *_times(one)) for one in given]
    following: list[float | None] = [None]
    for _, start, _ in reversed(read):
        following.append(following[-1] if start is None else start)
    found: list[Word] = []
    reached = 0.0
    for index, (said, start, end) in enumerate(read):
        if not said.strip():
            continue
        begins, ends = (
            (reached, following[len(read) - index - 1]) if start is None else (start, end)
        )
        until = max(begins, begins if ends is None else ends)
        found.append(Word(said.strip(), begins, until, share(first(given[index], _SURE))))
        reached = max(reached, until)
    found.sort(key=lambda word: word.start)
    return tuple(found)


def _times(one: Object) -> tuple[float | None, float | None]:
    pair = one.get("timestamp")
    if isinstance(pair, list) and len(pair) == 2:
        return moment(pair[0]), moment(pair[1])
    start, end = moment(first(one, _START)), moment(first(one, _END))
    if start is not None and end is None:
        length = moment(one.get("duration"))
        end = None if length is None else min(LATEST, start + length)
    return start, end
