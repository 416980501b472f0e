"""Which words of a growing utterance are sure. Pure.

Theory. An engine that hears recordings is asked for the same speech again and again, with more of
it each time. What it says of the last second is a guess: a word may be cut. So a word is sure once
two hypotheses in a row have it at the same place, all words before it being sure as well
(LocalAgreement-2: Liu et al., "Low-Latency Sequence-to-Sequence Speech Recognition and Translation
by Partial Hypothesis Selection", Interspeech 2020; on Whisper: Machacek et al., arXiv 2307.14743).
Here it must moreover end `EDGE` seconds before the end of what was heard, where engines err most.

    (1) sure words never change, and grow at the end only;
    (2) the shown text is the sure words and what the newest hypothesis has beyond them;
    (3) the last hypothesis of an utterance is final as it is, behind what is sure.

Two hypotheses need not begin at the same sound: an old begin is cut off. What a hypothesis has
beyond the sure words is found by the longest run of the same words at their end, as neighbouring
parts of a long recording are woven (`server.audio.weave`); where none agrees, time decides.
"""

from collections.abc import Sequence

from server.audio.model import Word
from server.audio.weave import spoken

EDGE = 0.6
"""Seconds at the end of a window whose words are not sure whoever agrees on them."""
_REACH = 24
"""So many sure words are looked at: more than anybody says in an overlap."""
_NEAR = 1.5
"""Seconds by which two hypotheses may differ on when the same word begins."""
_LEAST = 0.3
_SLACK = 0.05


class Agreement:
    """One utterance. `sure` are its words, `guess` what the newest hypothesis has beyond them.
    `anchor`: the sure words before it, where it goes on without a pause."""

    __slots__ = ("_anchor", "guess", "sure")

    def __init__(self, anchor: Sequence[Word] = ()) -> None:
        self._anchor = list(anchor[-_REACH:])
        self.sure: list[Word] = []
        self.guess: list[Word] = []

    @property
    def reach(self) -> float | None:
        """Where the last sure word ends; None when there is none."""
        last = self.sure or self._anchor
        return last[-1].end if last else None

    def hear(self, words: Sequence[Word], until: float) -> list[Word]:
        """A hypothesis of what was said up to `until`; the words that are sure now."""
        fresh = beyond([*self._anchor, *self.sure][-_REACH:], words)
        count = 0
        for old, new in zip(self.guess, fresh, strict=False):
            if new.end > until - EDGE or not _same(old, new):
                break
            count += 1
        return self._commit(fresh, count)

    def settle(self, before: float) -> list[Word]:
        """What was guessed and ends before that time is sure: it will not be heard again."""
        count = sum(1 for word in self.guess if (word.start + word.end) / 2 <= before)
        return self._commit(self.guess, count)

    def finish(self, words: Sequence[Word] | None = None) -> list[Word]:
        """The last hypothesis; None: there is no newer one than the last."""
        if words is not None:
            self.guess = beyond([*self._anchor, *self.sure][-_REACH:], words)
        return self._commit(self.guess, len(self.guess))

    def split(self, count: int) -> "Agreement":
        """The utterance ends behind its first `count` sure words; what follows goes on."""
        after = Agreement([*self._anchor, *self.sure[:count]])
        after.sure, self.sure = self.sure[count:], self.sure[:count]
        after.guess, self.guess = self.guess, []
        return after

    def _commit(self, fresh: list[Word], count: int) -> list[Word]:
        added = _forward(fresh[:count], self.reach)
        self.sure += added
        self.guess = fresh[count:]
        return added


def beyond(sure: Sequence[Word], words: Sequence[Word]) -> list[Word]:
    """The words that come after `sure`."""
    if not sure:
        return list(words)
    found = _run(sure, words)
    if found is not None:
        last, after = found
        if last == len(sure):
            return list(words[after:])
        words = words[after:]
    reach = sure[-1].end - _SLACK
    return [word for word in words if (word.start + word.end) / 2 > reach]


def _run(sure: Sequence[Word], words: Sequence[Word]) -> tuple[int, int] | None:
    """Where the best common run ends in both; None without any.

    Each word of a run counts the more the better its times agree, so that of "no no no" the right
    ones are found, and a single word is a run only where they agree well: "the" is everywhere.
    """
    ours, theirs = [spoken(word.text) for word in sure], [spoken(word.text) for word in words]
    best: tuple[float, int, int] = (_LEAST, 0, 0)
    before = [0.0] * (len(theirs) + 1)
    for i, one in enumerate(ours):
        row = [0.0] * (len(theirs) + 1)
        for k, other in enumerate(theirs):
            apart = abs(sure[i].start - words[k].start)
            if one and one == other and apart <= _NEAR:
                row[k + 1] = before[k] + max(0.05, 1 - 2 * apart)
                best = max(best, (row[k + 1], i + 1, k + 1))
        before = row
    return best[1:] if best[0] > _LEAST else None


def _same(old: Word, new: Word) -> bool:
    return abs(old.start - new.start) <= _NEAR and spoken(old.text) == spoken(new.text)


def _forward(words: Sequence[Word], reach: float | None) -> list[Word]:
    """Times never go back."""
    at = float("-inf") if reach is None else reach
    made: list[Word] = []
    for word in words:
        start = max(word.start, min(at, word.end))
        made.append(word._replace(start=start, end=max(word.end, start)))
        at = made[-1].end
    return made
