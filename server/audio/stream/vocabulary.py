"""Words that a client knows and an engine may not: put right where they were nearly heard. Pure.

Owns what counts as nearly: the same words but for `TYPOS` letters (Damerau-Levenshtein, over the
letters as they sound), the first letter the same, short words never. A word that is on the list
itself is never changed into another one. Refuses to guess by sound or sense: one that is put right
wrongly is worse than one that is left.
"""

from collections.abc import Sequence

from rapidfuzz.distance import OSA

from server.audio.model import Word
from server.audio.stream.model import Change
from server.audio.weave import spoken

TERMS = 100
LETTERS = 64
SHORT = 5
"""Shorter words are left alone: too many real ones are one letter away."""
_LONGEST = 4
"""Words of one term."""
_JOINTS = ".,?!:;"


class Vocabulary:
    """The terms of one stream."""

    __slots__ = ("_known", "_terms")

    def __init__(self, terms: Sequence[str]) -> None:
        self._terms: dict[int, list[tuple[str, str]]] = {}
        for term in terms:
            sounds = _sounds(term.split())
            count = len(term.split())
            if len(sounds) >= SHORT and count <= _LONGEST:
                self._terms.setdefault(count, []).append((sounds, term))
        self._known = {sounds: term for group in self._terms.values() for sounds, term in group}

    def corrected(self, words: Sequence[Word]) -> tuple[list[Word], list[Change]]:
        """The words, and what was changed."""
        if not self._terms:
            return list(words), []
        made: list[Word] = []
        changes: list[Change] = []
        at = 0
        while at < len(words):
            found = self._at(words, at)
            if found is None:
                made.append(words[at])
                at += 1
                continue
            count, word = found
            was = " ".join(one.text.strip() for one in words[at : at + count])
            changes.append(Change(was, word.text, word.start))
            made.append(word)
            at += count
        return made, changes

    def _at(self, words: Sequence[Word], at: int) -> tuple[int, Word] | None:
        """How many words from there a term replaces, and by what; the longest term first."""
        for count in range(min(_LONGEST + 1, len(words) - at), 0, -1):
            run = words[at : at + count]
            sounds = _sounds([word.text for word in run])
            term = self._known.get(sounds)
            if term is None:
                found = _nearest(sounds, self._terms.get(count, ()))
            else:
                # Heard as it is, but perhaps in two pieces.
                found = term if len(term.split()) < count else None
            if found is not None:
                return count, _in_place(found, run)
            if term is not None:
                return None
        return None


def typos(length: int) -> int:
    """Letters that may differ in a term of that length."""
    return 1 if length < 8 else 2


def _nearest(sounds: str, terms: Sequence[tuple[str, str]]) -> str | None:
    """None when two are equally near."""
    found: list[tuple[int, str]] = []
    for other, term in terms:
        bound = typos(len(other))
        if other[:1] == sounds[:1] and abs(len(other) - len(sounds)) <= bound:
            apart = OSA.distance(sounds, other, score_cutoff=bound)
            if apart <= bound:
                found.append((apart, term))
    found.sort()
    if not found or (len(found) > 1 and found[0][0] == found[1][0]):
        return None
    return found[0][1]


def _in_place(term: str, run: Sequence[Word]) -> Word:
    """The term with the times of what it replaces and the mark behind it."""
    last = run[-1].text.rstrip()
    mark = last[len(last.rstrip(_JOINTS)) :]
    lead = " " if run[0].text.startswith(" ") else ""
    known = [word.confidence for word in run if word.confidence is not None]
    return Word(lead + term + mark, run[0].start, run[-1].end, min(known, default=None))


def _sounds(texts: Sequence[str]) -> str:
    return "".join(spoken(text) for text in texts)
