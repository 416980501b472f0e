"""The referee at work: a few questions at once, one deadline for all, whatever comes back.

    first question ── nothing would change ──────────────── done
                   └─ something would: the same again with other codes ── what both say is done

Owns the tasks and the deadline. An answer that does not come, comes late or is not what was asked
for leaves its words as they were; the report says how many and why. Refuses to fail: a transcript
without a referee is a transcript.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from server.audio.formats import segments
from server.audio.model import Said
from server.audio.referee.doubt import Rules
from server.audio.referee.model import Ask, Question, Refereed, Report, SuggestedName, Unasked
from server.audio.referee.names import Named, asked_names, read_names
from server.audio.referee.question import Asked, plan
from server.audio.referee.verdict import Unread, agreed, applied, changes_something, read
from server.base.errors import SparkError

NOTHING = "nothing is in doubt"
TOO_LONG = "what is in doubt does not fit into a question"
LATE = "the deadline passed (audio.referee_seconds)"
_NAMES = 500
"""The number of the question about names."""


@dataclass(frozen=True, slots=True)
class Terms:
    """`seconds` for everything together, `at_once` questions at a time. `named`: names are asked
    for as well, for whoever is not in it; None: they are not."""

    seconds: float = 20.0
    at_once: int = 2
    rules: Rules = field(default_factory=Rules)
    named: Named | None = None


async def refereed(
    said: Iterable[Said], ask: Ask | Unasked, terms: Terms = Terms(), *, model: str | None = None
) -> Refereed:
    """`said` in the order in which it is written down. No error of `ask` leaves here."""
    words = tuple(said)
    if isinstance(ask, Unasked):
        return Refereed(words, report=Report(reason=ask.reason))
    # A long meeting takes a tenth of a second, in which streams go on.
    planned = await asyncio.to_thread(plan, words, terms.rules)
    reason = TOO_LONG if planned.doubts else NOTHING
    report = Report(planned.doubts, planned.left, reason=reason, model=model)
    round_ = _Round(ask, terms.at_once)
    names: list[SuggestedName] = []
    try:
        async with asyncio.timeout(terms.seconds) as deadline:
            await round_.settle(planned.asked)
    except TimeoutError:
        round_.late()
    ruled, changes = applied(words, round_.verdicts)
    if terms.named is not None and not deadline.expired():
        left = (deadline.when() or 0.0) - asyncio.get_running_loop().time()
        names = await _names(ruled, round_, left, terms.named)
    report = round_.told(replace(report, changed=len(changes)))
    return Refereed(tuple(ruled), tuple(changes), tuple(names), report)


async def _names(
    said: Sequence[Said], round_: "_Round", seconds: float, named: Named
) -> list[SuggestedName]:
    found = segments(said)
    asked = await asyncio.to_thread(asked_names, found, named, _NAMES)
    if asked is None:
        return []
    raw: str | None = None
    try:
        async with asyncio.timeout(seconds):
            raw = await round_.answer(asked.question)
    except TimeoutError:
        round_.late()
    if raw is None:
        return []
    names = read_names(raw, asked, found, named)
    if isinstance(names, Unread):
        round_.failed(asked.question, names.reason)
        return []
    return names


class _Round:
    """All questions about one recording. `verdicts` are what may be acted on."""

    def __init__(self, ask: Ask, at_once: int) -> None:
        self._ask = ask
        self._places = asyncio.Semaphore(at_once)
        self._asked: dict[int, Question] = {}
        self._open: dict[int, Question] = {}
        self._failures: dict[int, str] = {}
        self._contradicted = 0
        self.verdicts: list[tuple[Asked, dict[str, str | None]]] = []

    async def settle(self, planned: Iterable[Asked]) -> None:
        async with asyncio.TaskGroup() as group:
            for one in planned:
                self._wait_for(one.question)
                group.create_task(self._in_its_place(one))

    async def _in_its_place(self, asked: Asked) -> None:
        """Both answers, before the next one has its turn: half of them would settle nothing."""
        async with self._places:
            await self._settle(asked)

    async def _settle(self, asked: Asked) -> None:
        first = await self._verdict(asked)
        if first is None or asked.again is None:
            return
        if changes_something(first, asked):
            second = await self._verdict(asked.again)
            if second is None:
                return
            both = agreed(first, second)
            self._contradicted += sum(both[run] != first[run] for run in first)
            first = both
        self.verdicts.append((asked, first))

    async def _verdict(self, asked: Asked) -> dict[str, str | None] | None:
        raw = await self.answer(asked.question)
        verdict = None if raw is None else read(raw, asked)
        if isinstance(verdict, Unread):
            self.failed(asked.question, verdict.reason)
            return None
        return verdict

    async def answer(self, question: Question) -> str | None:
        self._wait_for(question)
        raw: str | None = None
        try:
            raw = await self._ask(question)
        except SparkError as error:
            # The code alone: a message could be of the recording.
            self.failed(question, f"the model could not be asked ({error.code})")
        except TimeoutError:
            self.failed(question, "the model did not answer in time")
        self._open.pop(question.number, None)
        return raw

    def _wait_for(self, question: Question) -> None:
        self._asked[question.number] = self._open[question.number] = question

    def failed(self, question: Question, reason: str) -> None:
        self._failures[question.number] = reason

    def late(self) -> None:
        """What has not been answered by now never is."""
        for question in self._open.values():
            self.failed(question, LATE)
        self._open.clear()

    def told(self, report: Report) -> Report:
        reason = None if self._asked else report.reason
        if self._failures:
            reason = self._failures[min(self._failures)]
        return replace(
            report,
            asked=len(self._asked),
            answered=len(self._asked) - len(self._failures),
            failed=len(self._failures),
            contradicted=self._contradicted,
            reason=reason,
        )
