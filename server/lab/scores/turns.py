"""Diarization error rate: how much of the time the wrong voices are told to speak. Pure.

DER = (missed + false alarm + confusion) / speech, as NIST defined it for its rich transcription
evaluations. Time is cut where a turn begins or ends; within such a piece nobody comes or goes, so
with `r` voices said, `h` told and `k` of them right after the labels were paired (`match`):

    missed += max(0, r - h)   false alarm += max(0, h - r)   confusion += min(r, h) - k

times its length, and speech += r. Two who speak at once count twice, as in the definition.

`collar` leaves out that many seconds on *each* side of every begin and end of a reference turn,
because nobody can tell a boundary to the millisecond; 0.25 is customary (written as 0.5 where the
whole width is meant, as in `pyannote.metrics`). `overlap=False` leaves out where two or more of the
reference speak. Both make figures smaller: a figure is worth nothing without them, so they are in
the answer. The labels are paired over the time that is scored.

Why not a kept library: `pyannote.metrics` brings pandas, scikit-learn and scipy for these sixty
lines, `simpleder` scipy. In 1,200 comparisons on random turns, with and without collar and overlap,
`pyannote.metrics` 4.2.0 gave the same seconds; the tests hold some of its figures.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite

from server.lab.scores.match import paired

Turn = tuple[str, float, float]
"""Speaker, start and end in seconds; `server.audio.model.Turn` is one."""


@dataclass(frozen=True, slots=True)
class DiarizationErrors:
    """Seconds. `names` tells who of the reference each label was taken for."""

    collar: float
    overlap: bool
    speech: float
    missed: float
    false_alarm: float
    confusion: float
    names: tuple[tuple[str, str], ...] = ()

    @property
    def wrong(self) -> float:
        return self.missed + self.false_alarm + self.confusion

    @property
    def rate(self) -> float | None:
        """None where nobody spoke."""
        return self.wrong / self.speech if self.speech else None


@dataclass(frozen=True, slots=True)
class _Piece:
    seconds: float
    said: frozenset[str]
    told: frozenset[str]


def der(
    said: Sequence[Turn], told: Sequence[Turn], *, collar: float = 0.0, overlap: bool = True
) -> DiarizationErrors:
    """`said` is the truth. Raises `ValueError` for a turn that ends before it begins."""
    pieces = list(_pieces(said, told, collar, overlap=overlap))
    shared: dict[tuple[str, str], float] = {}
    for piece in pieces:
        for one in piece.said:
            for other in piece.told:
                shared[one, other] = shared.get((one, other), 0.0) + piece.seconds
    names = paired(shared)
    speech = missed = false_alarm = confusion = 0.0
    for piece in pieces:
        r, h = len(piece.said), len(piece.told)
        right = len({names.get(label) for label in piece.told} & piece.said)
        speech += r * piece.seconds
        missed += max(0, r - h) * piece.seconds
        false_alarm += max(0, h - r) * piece.seconds
        confusion += (min(r, h) - right) * piece.seconds
    pairs = tuple(sorted(names.items()))
    return DiarizationErrors(collar, overlap, speech, missed, false_alarm, confusion, pairs)


def _pieces(
    said: Sequence[Turn], told: Sequence[Turn], collar: float, *, overlap: bool
) -> Iterator[_Piece]:
    """The time that is scored, cut where anything changes: a sweep over begins and ends."""
    changes: list[tuple[float, int, str, int]] = []
    for kind, turns in enumerate((said, told)):
        for speaker, start, end in _checked(turns):
            changes += [(start, kind, speaker, 1), (end, kind, speaker, -1)]
    for at in {edge for _, *edges in said for edge in edges} if collar > 0 else ():
        changes += [(at - collar, 2, "", 1), (at + collar, 2, "", -1)]
    changes.sort(key=lambda change: change[0])
    active: tuple[Counter[str], ...] = (Counter(), Counter(), Counter())
    before = changes[0][0] if changes else 0.0
    for at, kind, speaker, by in changes:
        heard = frozenset(+active[0])
        if at > before and not +active[2] and (overlap or len(heard) < 2):
            yield _Piece(at - before, heard, frozenset(+active[1]))
        active[kind][speaker] += by
        before = at


def _checked(turns: Iterable[Turn]) -> Iterator[Turn]:
    for speaker, start, end in turns:
        if not (isfinite(start) and isfinite(end) and start <= end):
            raise ValueError(f"a turn from {start} to {end} cannot be scored")
        if end > start:
            yield speaker, start, end
