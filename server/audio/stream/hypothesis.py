"""What an engine said of a window, as words of the stream. Pure.

Owns that whatever an engine says becomes words with times that can be used. Refuses to judge them.
"""

import math
from collections.abc import Sequence

from server.audio.model import Word
from server.audio.stream.model import Change, seconds
from server.audio.stream.utterance import Span


def placed(words: Sequence[Word], span: Span) -> list[Word]:
    """In the time of the stream. An engine may say anything: times that are none are put at the
    end of what came before, and none lies outside of what was heard."""
    length = seconds(span.end - span.start)
    offset = seconds(span.start)
    placed: list[Word] = []
    reached = 0.0
    for word in words:
        if not word.text.strip():
            continue
        start = word.start if math.isfinite(word.start) else reached
        end = word.end if math.isfinite(word.end) else start
        start = min(max(start, 0.0), length)
        end = min(max(end, start), length)
        reached = max(reached, end)
        placed.append(word._replace(start=offset + start, end=offset + end))
    placed.sort(key=lambda word: word.start)
    return placed


def listed(words: Sequence[Word], changes: Sequence[Change]) -> tuple[Change, ...]:
    """Those changes that the words still show."""
    listed: list[Change] = []
    for word in words:
        for change in changes:
            if change.now == word.text and abs(change.start - word.start) < 1:
                listed.append(change._replace(start=word.start))
                break
    return tuple(listed)
