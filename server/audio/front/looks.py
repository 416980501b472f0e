"""Whether an engine's answer is in the format that was asked for; if not, it is written here.

A server may take `response_format` for what it likes: NeMo's containers answer their own JSON
whatever is asked. Of a service whose dialect is not set the first answers are looked at. Owns what
each format looks like, and the rewriting; what cannot be read passes as it came. Pure.
"""

from typing import Any

import orjson

from server.audio.front.dialect.reading import transcript
from server.audio.front.options import FORMATS, Format, Options
from server.audio.front.written import Composed, Written, frames, written
from server.audio.model import Said
from server.audio.transcript import timed
from server.base.errors import UpstreamError

EVENTS = "text/event-stream; charset=utf-8"


def as_asked(options: Options, media_type: str, body: bytes) -> bool:
    """Whether `body`, which is no stream, looks like what `options` ask for."""
    form = options.format
    if options.stream:
        return False
    if form in {"json", "verbose_json", "diarized_json"}:
        return _document(options, body)
    if media_type.partition(";")[0].strip().lower() == "application/json":
        return False
    return form != "vtt" or body.lstrip(b"\xef\xbb\xbf").startswith(b"WEBVTT")


def _document(options: Options, body: bytes) -> bool:
    try:
        parsed: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    if not isinstance(parsed, dict) or not isinstance(parsed.get("text"), str):
        return False
    if options.format == "json":
        return True
    lists = [name for name in ("words", "segments") if isinstance(parsed.get(name), list)]
    return "words" in lists or ("segments" in lists and not _words_within(options, parsed))


def _words_within(options: Options, parsed: dict[str, Any]) -> bool:
    """Words were asked for, and lie where only some clients look."""
    return "word" in options.grains and any(
        isinstance(line, dict) and line.get("words") for line in parsed["segments"]
    )


def rewritten(
    options: Options, media_type: str, body: bytes, seconds: float, source: str
) -> Written | None:
    """The same transcript in the format that was asked for, as events where a stream was; None
    where it cannot be."""
    form = _ours(options.format)
    if form is None:
        return None
    try:
        found = transcript(body, media_type, source)
    except UpstreamError:
        return None
    words = timed(found, seconds)
    if not words and found.text:
        return None
    said = tuple(Said(word, None, 0.0, False, "none") for word in words)
    language = found.language or options.language
    composed = Composed(said, seconds, language)
    if options.stream:
        return Written(b"".join(frames(composed, options, form)), EVENTS)
    return written(composed, options, form)


def _ours(name: str) -> Format | None:
    known: Format
    for known in FORMATS:
        if known == name and name != "diarized_json":
            return known
    return None
