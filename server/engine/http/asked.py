"""What a request asks for: a form with a recording, or a text to speak. Refuses what it cannot do.

Owns the bounds of an upload, counted while it comes, and the names that clients give the same field
(`timestamp_granularities` with and without brackets).
"""

import json
import math
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive

from server.base.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from server.engine.encode import FORMATS as SOUNDS
from server.engine.hearing import Asked, language_code
from server.engine.speakers.diarize import Bounds
from server.engine.speech import voice_id
from server.engine.writers import FORMATS

LONGEST_TEXT = 4096
LARGEST_JSON = 1 << 20
LARGEST_FIELD = 1 << 16
MOST_SPEAKERS = 20


def wrong(message: str, param: str | None = None, advice: str | None = None) -> InvalidRequest:
    return InvalidRequest(message, param=param, advice=advice)


class Bounded:
    """A `receive` that counts. Raises PayloadTooLarge past `most` bytes."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._seen = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > self._most:
            raise too_large(self._most)
        return message


def too_large(most: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"The upload is larger than {most >> 20} MiB, the most this engine takes.",
        advice="Send it in parts, or raise --max-upload-mb.",
    )


async def form(request: Request, most: int) -> FormData:
    """The fields, a recording among them on disk. The caller closes it."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise UnsupportedMediaType(
            "The recording must come as multipart/form-data.",
            param="file",
            advice="Send a form with the field `file`.",
        )
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > most:
        raise too_large(most)
    bounded = Request(request.scope, Bounded(request.receive, most))
    try:
        return await bounded.form(max_files=1, max_fields=64, max_part_size=LARGEST_FIELD)
    except HTTPException as error:
        raise wrong(f"The form cannot be read: {error.detail}") from error


def recording(fields: FormData) -> BinaryIO:
    """The field `file`."""
    found = fields.get("file")
    if not isinstance(found, UploadFile):
        raise wrong("The field `file` with the recording is missing.", "file")
    return found.file


class Transcription(NamedTuple):
    asked: Asked
    form: str
    granularities: frozenset[str]
    stream: bool


def transcription(fields: FormData, *, translate: bool) -> Transcription:
    chosen = _text(fields, "response_format") or "json"
    if chosen not in FORMATS:
        raise wrong(
            "This engine does not write that response_format.",
            "response_format",
            f"Formats: {', '.join(FORMATS)}.",
        )
    names = ("timestamp_granularities[]", "timestamp_granularities")
    granularities = frozenset(str(one) for name in names for one in fields.getlist(name))
    if not granularities <= {"word", "segment"}:
        raise wrong("Granularities are `word` and `segment`.", "timestamp_granularities")
    language = _text(fields, "language")
    asked = Asked(
        language=language_code(language) if language and not translate else None,
        prompt=_text(fields, "prompt"),
        temperature=_number(fields, "temperature", 0.0, 1.0) or 0.0,
        translate=translate,
        words="word" in granularities,
    )
    streamed = (_text(fields, "stream") or "").lower() in {"true", "1"}
    return Transcription(asked, chosen, granularities, streamed)


def bounds(fields: FormData) -> Bounds:
    """`num_speakers`, or `min_speakers` and `max_speakers`."""
    exact = _count(fields, "num_speakers")
    least, most = _count(fields, "min_speakers"), _count(fields, "max_speakers")
    if exact is not None:
        return Bounds(exact, exact)
    if least is not None and most is not None and least > most:
        raise wrong("min_speakers is more than max_speakers.", "min_speakers")
    return Bounds(least or 1, most)


class Speaking(NamedTuple):
    text: str
    voice: str
    form: str
    speed: float
    events: bool


async def speaking(request: Request) -> Speaking:
    body = await _object(request)
    text, voice = body.get("input"), body.get("voice", "af_heart")
    if isinstance(voice, Mapping):
        voice = voice.get("id")
    if not isinstance(text, str) or not text.strip():
        raise wrong("`input` must be the text to speak.", "input")
    if len(text) > LONGEST_TEXT:
        raise wrong(f"`input` is longer than {LONGEST_TEXT} letters.", "input")
    if not isinstance(voice, str):
        raise wrong("`voice` must be the name of a voice.", "voice")
    chosen = body.get("response_format") or "mp3"
    if chosen not in SOUNDS:
        raise wrong(
            "This engine does not write that response_format.",
            "response_format",
            f"Formats: {', '.join(SOUNDS)}.",
        )
    speed = body.get("speed", 1.0)
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0.25 <= speed <= 4:
        raise wrong("`speed` must be between 0.25 and 4.", "speed")
    events = body.get("stream_format") == "sse"
    return Speaking(text, voice_id(voice), chosen, float(speed), events)


async def _object(request: Request) -> Mapping[str, Any]:
    receive = Bounded(request.receive, LARGEST_JSON)
    try:
        body = json.loads(await Request(request.scope, receive).body())
    except (ValueError, RecursionError) as error:
        raise wrong("The body is not JSON.") from error
    if not isinstance(body, dict):
        raise wrong("The body must be an object.")
    return body


def _text(fields: FormData, name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) and value else None


def _number(fields: FormData, name: str, low: float, high: float) -> float | None:
    text = _text(fields, name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise wrong(f"`{name}` must be a number between {low:g} and {high:g}.", name)
    return value


def _count(fields: FormData, name: str) -> int | None:
    value = _number(fields, name, 1, MOST_SPEAKERS)
    return None if value is None else int(value)
