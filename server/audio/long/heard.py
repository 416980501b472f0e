"""What a recogniser answered about one part, as words of the recording. Pure.

Recognisers are sure of what was said and less so of when: they stamp a word before the one it
follows, or beyond the end of what they were sent. What was said and its order are kept, and the
times are mended:

1. The longest row of words whose times go forward keeps its times (longest non-decreasing
   subsequence, in n log n); a word outside that row lies between its neighbours in it. So one word
   that is stamped five minutes late does not take all that follow with it. Where not even half of
   the words are in such a row the times are trusted, and the order is not.
2. No word lies outside the part.
3. Where the sentences of the answer hold the same words with their punctuation, the words get it:
   who spoke is decided by the sentence.

Refuses to take a word away: see `server.audio.long.quiet`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import isfinite
from typing import NamedTuple

from server.audio.attribute import ENDINGS
from server.audio.long.quiet import Span, loud
from server.audio.model import Word, joined
from server.audio.transcript import Spoken, Transcript, timed
from server.audio.weave import spoken

PAUSE = 1.0
"""Seconds of silence that end a sentence, for recognisers that tell none."""


class Told(NamedTuple):
    """`sentences` are by the number of the word they begin with, in order. There is one for the
    first word, when there are words."""

    words: list[Word]
    sentences: dict[int, Spoken]


def told(found: Transcript, start: float, seconds: float, quiet: Sequence[Span] = ()) -> Told:
    """A part that begins at `start` and lasts for `seconds`, with its silences."""
    if found.words or found.segments:
        words = in_order(timed(found, seconds), seconds)
    else:
        words = _aloud(found, start, seconds, quiet)
    begins = _begins(words, found.segments)
    if found.words and begins:
        words = _punctuated(words, begins)
    if words and 0 not in begins:
        until = min(begins, default=len(words))
        begins = {**_by_pauses(words[:until]), **begins}
    moved = [word._replace(start=word.start + start, end=word.end + start) for word in words]
    return Told(moved, begins)


def _aloud(found: Transcript, start: float, seconds: float, quiet: Sequence[Span]) -> list[Word]:
    """Nothing but a text was told: it was said while it was not silent."""
    spans = loud(quiet, start, start + seconds) or [(start, start + seconds)]
    begins = list(accumulate((to - at for at, to in spans), initial=0.0))

    def when(aloud: float, at: int) -> float:
        at = min(max(at - 1, 0), len(spans) - 1)
        return min(spans[at][0] + aloud - begins[at], spans[at][1]) - start

    return [
        word._replace(
            start=when(word.start, bisect_right(begins, word.start)),
            end=when(word.end, bisect_left(begins, word.end)),
        )
        for word in timed(found, begins[-1])
    ]


def in_order(words: Sequence[Word], seconds: float) -> list[Word]:
    """The same words, their times within 0 to `seconds` and never going back."""
    kept = _forward([word.start for word in words])
    if 2 * len(kept) < len(words):
        words = sorted(words, key=lambda word: word.start if isfinite(word.start) else 0.0)
        kept = _forward([word.start for word in words])
    mended: list[Word] = []
    trusted = set(kept)
    following = iter([*kept, len(words)])
    after, reached = next(following), 0.0
    for index, word in enumerate(words):
        if index == after:
            after = next(following)
        start = reached
        if index in trusted:
            start = min(max(word.start, reached), seconds)
            end = word.end if isfinite(word.end) else start
        else:
            # Its own times are wrong: it shares the time before the next word that is right.
            until = min(words[after].start, seconds) if after < len(words) else seconds
            start = max(reached, min(mended[-1].end, until)) if mended else reached
            end = start + max(0.0, until - start) / (after - index + 1)
        end = min(max(end, start), seconds)
        mended.append(word._replace(start=start, end=end))
        reached = start if index in trusted else end
    return mended


def _forward(starts: Sequence[float]) -> list[int]:
    """Which of them make up the longest row that never goes back."""
    tails: list[float] = []  # the least end of a row of each length
    last: list[int] = []  # and where it ends
    before: list[int] = []
    for index, start in enumerate(starts):
        before.append(-1)
        if not isfinite(start):
            continue
        length = bisect_right(tails, start)
        if length < len(tails):
            tails[length], last[length] = start, index
        else:
            tails.append(start)
            last.append(index)
        before[index] = last[length - 1] if length else -1
    row: list[int] = []
    at = last[-1] if last else -1
    while at >= 0:
        row.append(at)
        at = before[at]
    return row[::-1]


# ---- sentences


def _begins(words: Sequence[Word], lines: Sequence[Spoken]) -> dict[int, Spoken]:
    """The first word of each sentence: by counting where that comes out even, else by time."""
    begins: dict[int, Spoken] = {}
    counts = [len(line.text.split()) for line in lines]
    index = 0
    if sum(counts) == len(words):
        for line, count in zip(lines, counts, strict=True):
            if count:
                begins[index] = line
            index += count
        return begins
    for line in lines:
        while index < len(words) and (words[index].start + words[index].end) / 2 < line.start:
            index += 1
        if index < len(words):
            begins[index] = line  # of two that begin with one word, the later one
    return begins


def _by_pauses(words: Sequence[Word]) -> dict[int, Spoken]:
    begins = [0]
    for index in range(1, len(words)):
        before, word = words[index - 1], words[index]
        if before.text.strip()[-1:] in ENDINGS or word.start - before.end > PAUSE:
            begins.append(index)
    return {
        begin: Spoken(
            joined(word.text for word in words[begin:end]), words[begin].start, words[end - 1].end
        )
        for begin, end in pairwise([*begins, len(words)])
    }


def _punctuated(words: list[Word], begins: dict[int, Spoken]) -> list[Word]:
    for begin, end in pairwise([*begins, len(words)]):
        texts = begins[begin].text.split()
        run = words[begin:end]
        if [spoken(text) for text in texts] == [spoken(word.text) for word in run]:
            words[begin:end] = [
                word._replace(text=text) for word, text in zip(run, texts, strict=True)
            ]
    return words
