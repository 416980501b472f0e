"""Drives one long recording: parts asked at the same time, woven as they come, told as it goes.

Owns the tasks of one recording; leaving (cancelling) ends them all. Holds words and turns, never
sound. Refuses to decide what becomes of a part: that is `server.audio.long.parts`.
"""

from collections.abc import Awaitable, Callable, Sequence

from server.audio.long.model import LongDiarized, LongTranscript, Progress, Rules
from server.audio.sound.model import Decoded, Piece
from server.audio.speakers.link import Known
from server.audio.transcript import Diarized, Transcript
from server.base.clock import Clock

Tell = Callable[[Progress], None]
Hear = Callable[[Piece], Awaitable[Transcript]]
Diarize = Callable[[Piece], Awaitable[Diarized]]


async def transcribed(
    decoded: Decoded,
    hear: Hear,
    tell: Tell,
    rules: Rules,
    clock: Clock,
    *,
    channel: int = 0,
) -> LongTranscript:
    """`hear` answers with times from the beginning of its piece. It brings the caller's language,
    prompt and vocabulary to every part. Raises what `hear` raised when no part could be heard."""
    raise NotImplementedError


async def diarized(
    decoded: Decoded,
    diarize: Diarize,
    tell: Tell,
    rules: Rules,
    clock: Clock,
    *,
    channel: int = 0,
    known: Sequence[Known] = (),
) -> LongDiarized:
    """`diarize` answers with times from the beginning of its piece and its own names of speakers.
    Voices of `known` get their names. Raises what `diarize` raised when no part could be told."""
    raise NotImplementedError
