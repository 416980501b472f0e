"""Where nobody speaks, as measured, and what a recogniser made up there. Pure.

Recognisers that write on by themselves fill a silence with a phrase, again and again. People repeat
themselves too. So a repeated phrase is taken out only where the sound itself was silent: not one of
its words may reach far into anything that can be heard.

Silence is measured against the recording's own speech: a tenth of a second counts as silent when
all of it is 30 dB below the loud parts (and below -40 dB of full scale). Where noise is as loud as
that, nothing counts as silent, and nothing is taken out.
"""

from bisect import bisect_right
from collections.abc import Sequence

from server.audio.model import Word
from server.audio.sound.model import FRAMES_PER_SECOND, FULL_SCALE
from server.audio.weave import spoken

Span = tuple[float, float]

BLOCK = FRAMES_PER_SECOND // 10
LOUD_SHARE = 0.95
BELOW_SPEECH = 10 ** (-30 / 20)
BELOW_FULL_SCALE = FULL_SCALE * 10 ** (-40 / 20)
LEAST_SECONDS = 1.0
LONGEST_PHRASE = 12
TIMES = 3
"""How often in a row a phrase is said at least, before it is a repetition."""
REACH = 0.3
"""Seconds by which a word in silence may be stamped beyond it."""


def silences(envelope: Sequence[int]) -> tuple[Span, ...]:
    """Stretches of a second or more, in order."""
    blocks = [max(envelope[at : at + BLOCK]) for at in range(0, len(envelope), BLOCK)]
    if not blocks:
        return ()
    loud = sorted(blocks)[min(len(blocks) - 1, int(len(blocks) * LOUD_SHARE))]
    limit = min(BELOW_FULL_SCALE, loud * BELOW_SPEECH)
    each = BLOCK / FRAMES_PER_SECOND
    found: list[Span] = []
    begin: int | None = None
    for index, level in enumerate([*blocks, FULL_SCALE]):
        if level <= limit:
            begin = index if begin is None else begin
        elif begin is not None:
            if (index - begin) * each >= LEAST_SECONDS:
                found.append((begin * each, index * each))
            begin = None
    return tuple(found)


def within(quiet: Sequence[Span], start: float, end: float) -> list[Span]:
    """The silences that reach into this stretch, as they are."""
    return [one for one in quiet if one[1] > start and one[0] < end]


def loud(quiet: Sequence[Span], start: float, end: float) -> list[Span]:
    """What lies between the silences of this stretch."""
    borders = [start, *(time for span in within(quiet, start, end) for time in span), end]
    pairs = zip(borders[::2], borders[1::2], strict=True)
    return [(at, to) for at, to in pairs if to > at]


def made_up(words: Sequence[Word], quiet: Sequence[Span]) -> set[int]:
    """Which words repeat a phrase three times or more, all in one of the silences."""
    gone: set[int] = set()
    for begin, end in _silent_runs(words, quiet):
        texts = [spoken(word.text) for word in words[begin:end]]
        index = 0
        while index < len(texts):
            length = _repeated(texts, index)
            gone.update(range(begin + index, begin + index + length))
            index += length or 1
    return gone


def _silent_runs(words: Sequence[Word], quiet: Sequence[Span]) -> list[tuple[int, int]]:
    """Words that lie in the same silence, `[begin, end)`."""
    runs: list[tuple[int, int]] = []
    starts = [start for start, _ in quiet]
    last = -1
    for index, word in enumerate(words):
        at = bisect_right(starts, word.start + REACH) - 1
        inside = at >= 0 and word.start >= quiet[at][0] - REACH and word.end <= quiet[at][1] + REACH
        if inside and at == last:
            runs[-1] = (runs[-1][0], index + 1)
        elif inside:
            runs.append((index, index + 1))
        last = at if inside else -1
    return runs


def _repeated(texts: Sequence[str], index: int) -> int:
    """How many words from `index` on are one phrase again and again; 0: there is none."""
    longest = min(LONGEST_PHRASE, (len(texts) - index) // TIMES)
    for size in range(1, longest + 1):
        phrase = texts[index : index + size]
        end = index + size
        while texts[end : end + size] == phrase:
            end += size
        if end - index >= TIMES * size and any(phrase):
            return end - index
    return 0
