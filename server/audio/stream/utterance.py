"""One utterance: from where to where, which seconds are heard next, what is known of it. Pure.

    growing ──speech ended──> ended ──its last seconds heard──> told
       └ longer than a window without agreement: the older part is settled, the window moves on

Owns the choice of the window. Each window begins where the utterance does for as long as that fits
(an engine hears the better the more it hears), then `overlap` before the last sure word. When even
that is too long, what was guessed is settled and the window moves on by its length less the
overlap, as parts of a long recording do.
"""

from collections.abc import Sequence
from typing import NamedTuple

from server.audio.model import Word
from server.audio.stream.agree import Agreement
from server.audio.stream.model import RATE, Change, Rules, samples, seconds
from server.base.errors import SparkError

_ENDS = (".", "?", "!", "…")


class Span(NamedTuple):
    """To be heard, in samples. `last`: nothing of the utterance comes after it."""

    start: int
    end: int
    last: bool


class Utterance:
    """`heard` is how far a window has reached, `since` when the sound came that follows; `floor`
    before what nothing is asked any more. `told` of its sure words were told as stable."""

    __slots__ = (
        "_lost",
        "agreement",
        "changes",
        "dropped",
        "end",
        "ended_at",
        "error",
        "floor",
        "heard",
        "id",
        "revision",
        "shown",
        "since",
        "start",
        "told",
    )

    def __init__(
        self, number: int, start: int, since: float, agreement: Agreement | None = None
    ) -> None:
        self.id = number
        self.start = self.floor = self.heard = start
        self.end: int | None = None
        self.ended_at = start
        self.since = since
        self.agreement = agreement or Agreement()
        self.changes: list[Change] = []
        self.error: SparkError | None = None
        self.revision = 0
        self.shown = ""
        self.told = 0
        self.dropped = False
        self._lost = 0

    def span(self, position: int, rules: Rules) -> Span:
        """What is heard next, when `position` is how much has come."""
        limit = position if self.end is None else self.end
        most = samples(rules.window)
        start = self.floor
        if limit - start > most:
            reach = self.agreement.reach
            if reach is not None:
                start = max(start, min(samples(reach - rules.overlap), self.heard))
        end = min(limit, start + most)
        return Span(start, end, self.end is not None and end >= self.end)

    def due(self, position: int, step: int) -> bool:
        """Whether enough of it is new."""
        if self.end is not None:
            return True
        return position - self.heard >= step

    def heard_since(self, end: int, had: int, at: float) -> None:
        """A window to `end` was cut at the time `at`, when `had` had come: when the sound came that
        follows, in proportion."""
        whole = had - self.heard
        share = 1.0 if whole <= 0 else min(1.0, (end - self.heard) / whole)
        self.since += max(0.0, at - self.since) * max(0.0, share)

    def hear(self, span: Span, words: Sequence[Word], rules: Rules) -> None:
        """An answer."""
        until = seconds(span.end)
        self.heard = max(self.heard, span.end)
        if span.last or self.floor >= span.end:
            self.agreement.finish(words)
            return
        self.agreement.hear(words, until)
        self.floor = max(self.floor, span.start)
        if span.end - span.start >= samples(rules.window):
            reach = self.agreement.reach
            if reach is None or reach < until - rules.overlap:
                self.agreement.settle(until - rules.overlap / 2)
            self.floor = max(self.floor, span.end - samples(rules.overlap))

    def lose(self, before: int, coming: int | None = None) -> tuple[int, int] | None:
        """The sound before that position is gone: what of it nobody heard. `coming`: a window that
        reaches so far is being heard."""
        if before <= self.floor:
            return None
        self.floor = before
        reached = max(self.heard, self.start, coming or 0, self._lost)
        if reached >= before:
            if self.heard >= before:
                self.agreement.settle(seconds(before))
            return None
        self._lost = until = before if self.end is None else min(before, self.end)
        if coming is None:
            self.heard = before
            self.agreement.finish()
        elif self.end is not None and self.end <= before:
            self.end = max(coming, self.start)
        return (reached, until) if reached < until else None

    def split(self, count: int, number: int) -> "Utterance":
        """It ends behind its first `count` sure words; what goes on as another one."""
        agreement = self.agreement.split(count)
        end = samples(self.agreement.sure[-1].end)
        after = Utterance(number, end, self.since, agreement)
        after.floor, after.heard = self.floor, self.heard
        after.changes = self.changes
        self.end = max(end, self.start)
        return after

    def part(self) -> int:
        """How many sure words make a part by themselves: to the end of a sentence if there is one
        in the later half."""
        sure = self.agreement.sure
        for at in range(len(sure) - 1, max(self.told, len(sure) // 2) - 1, -1):
            if sure[at].text.rstrip().endswith(_ENDS):
                return at + 1
        return len(sure)

    def ends(self, end: int, position: int) -> None:
        self.end = max(end, self.start)
        self.ended_at = position

    @property
    def done(self) -> bool:
        return self.end is not None and self.heard >= self.end

    @property
    def seconds(self) -> float:
        return (self.heard - self.start) / RATE
