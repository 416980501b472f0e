"""Which words are in doubt, and who could have said them. Pure.

Owns the line between what sound settled and what it did not. A word that shares most of its time
with one speaker's turn, and a word whose speaker is its channel, are settled and never looked at
again. In doubt are words near enough to two turns, near one but in none, in nobody's turn, and
words that were given to a speaker by their surroundings.

Doubtful neighbours of one speaker are one run: they are asked about, and changed, together. A run
ends with its sentence, at a pause, and at `longest` words.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from server.audio.attribute import ENDINGS
from server.audio.model import How, Said
from server.audio.referee.model import Run

_GUESSED: frozenset[How] = frozenset({"nearest", "sentence", "flip", "none"})


@dataclass(frozen=True, slots=True)
class Rules:
    """`clear` is the certainty from which sound has settled a word (as in `attribute`). `context`
    is how many pieces of talk are shown on either side of a run, `shown` how many words of each.
    `letters` bounds a question, `runs` how much it asks, `questions` how many there are."""

    clear: float = 0.5
    pause: float = 0.8
    longest: int = 12
    context: int = 4
    shown: int = 30
    letters: int = 6000
    runs: int = 8
    questions: int = 12


class Piece(NamedTuple):
    """`said[begin:end]`: neighbours of one speaker and channel, all in doubt or none."""

    begin: int
    end: int
    speaker: str | None
    channel: str | None
    doubtful: bool


class Doubt(NamedTuple):
    """A run, and which of the pieces it is."""

    run: Run
    piece: int


def settled(one: Said, clear: float) -> bool:
    """A certainty that is no number settles nothing."""
    if one.how in _GUESSED:
        return False
    return one.how != "overlap" or one.certainty >= clear


def pieces(said: Sequence[Said], rules: Rules) -> list[Piece]:
    """Everything that was said, once, in order."""
    found: list[Piece] = []
    begin = 0
    doubts = [not settled(one, rules.clear) for one in said]
    for index in range(1, len(said) + 1):
        if index == len(said) or _parts(said, doubts, begin, index, rules):
            first = said[begin]
            found.append(Piece(begin, index, first.speaker, first.channel, doubts[begin]))
            begin = index
    return found


def _parts(
    said: Sequence[Said], doubts: Sequence[bool], begin: int, index: int, rules: Rules
) -> bool:
    """Whether a new piece begins at `index`."""
    before, one = said[index - 1], said[index]
    if doubts[index] != doubts[begin] or one.speaker != before.speaker:
        return True
    if one.channel != before.channel:
        return True
    return doubts[begin] and (
        index - begin >= rules.longest
        or before.word.text.rstrip()[-1:] in ENDINGS
        or one.word.start - before.word.end > rules.pause
    )


def doubts(parts: Sequence[Piece], rules: Rules) -> list[Doubt]:
    """Runs that somebody else nearby could have said, in order."""
    return list(_doubts(parts, rules))


def _doubts(parts: Sequence[Piece], rules: Rules) -> Iterator[Doubt]:
    for number, piece in enumerate(parts):
        if not piece.doubtful:
            continue
        near = parts[max(0, number - rules.context) : number + rules.context + 1]
        speakers = dict.fromkeys(
            one.speaker for one in near if one.speaker is not None and one.channel == piece.channel
        )
        if any(speaker != piece.speaker for speaker in speakers):
            run = Run(piece.begin, piece.end, piece.speaker, tuple(speakers))
            yield Doubt(run, number)


_WORST: tuple[How, ...] = ("none", "overlap", "nearest", "flip", "sentence")
"""Words of nobody first; what the rest of its sentence decided is right nearly always."""


def urgency(said: Sequence[Said], run: Run) -> tuple[int, int, int]:
    """Less is more urgent: by what decided it, then the longer one, then the earlier one."""
    how = said[run.begin].how
    rank = _WORST.index(how) if how in _WORST else len(_WORST)
    return rank, run.begin - run.end, run.begin
