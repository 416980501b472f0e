"""The referee at work: a few questions at once, one deadline for all, whatever comes back.

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
from server.audio.referee.verdict import Unread, applied, read
from server.base.errors import SparkError

NOTHING = "nothing is in doubt"
TOO_LONG = "what is in doubt does not fit into a question"
LATE = "the deadline passed (audio.referee_seconds)"


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
            await round_.ask_all([one.question for one in planned.asked])
    except TimeoutError:
        round_.late()
    ruled, changes = applied(words, round_.verdicts(planned.asked))
    if terms.named is not None and not deadline.expired():
        left = (deadline.when() or 0.0) - asyncio.get_running_loop().time()
        names = await _names(ruled, round_, left, terms.named)
    report = round_.told(replace(report, changed=len(changes)))
    return Refereed(tuple(ruled), tuple(changes), tuple(names), report)


async def _names(
    said: Sequence[Said], round_: "_Round", seconds: float, named: Named
) -> list[SuggestedName]:
    found = segments(said)
    asked = await asyncio.to_thread(asked_names, found, named, round_.asked + 1)
    if asked is None:
        return []
    number = asked.question.number
    try:
        async with asyncio.timeout(seconds):
            await round_.ask_all([asked.question])
    except TimeoutError:
        round_.late()
    raw = round_.answers.get(number)
    if raw is None:
        return []
    names = read_names(raw, asked, found, named)
    if isinstance(names, Unread):
        round_.failed(number, names.reason)
        return []
    return names


class _Round:
    """All questions about one recording. `answers` are by the question's number."""

    def __init__(self, ask: Ask, at_once: int) -> None:
        self._ask = ask
        self._places = asyncio.Semaphore(at_once)
        self._failures: dict[int, str] = {}
        self._open: dict[int, None] = {}
        self.answers: dict[int, str] = {}
        self.asked = 0

    async def ask_all(self, questions: Sequence[Question]) -> None:
        self.asked += len(questions)
        self._open |= dict.fromkeys(one.number for one in questions)
        async with asyncio.TaskGroup() as group:
            for one in questions:
                group.create_task(self._one(one))

    async def _one(self, question: Question) -> None:
        number = question.number
        async with self._places:
            try:
                self.answers[number] = await self._ask(question)
            except SparkError as error:
                # The code alone: a message could be of the recording.
                self.failed(number, f"the model could not be asked ({error.code})")
            except TimeoutError:
                self.failed(number, "the model did not answer in time")
        self._open.pop(number, None)

    def failed(self, number: int, reason: str) -> None:
        self.answers.pop(number, None)
        self._failures[number] = reason

    def late(self) -> None:
        """What has not been answered by now never is."""
        for number in self._open:
            self.failed(number, LATE)
        self._open.clear()

    def verdicts(self, planned: Iterable[Asked]) -> list[tuple[Asked, dict[str, str | None]]]:
        taken: list[tuple[Asked, dict[str, str | None]]] = []
        for one in planned:
            raw = self.answers.get(one.question.number)
            verdict = None if raw is None else read(raw, one)
            if isinstance(verdict, Unread):
                self.failed(one.question.number, verdict.reason)
            elif verdict is not None:
                taken.append((one, verdict))
        return taken

    def told(self, report: Report) -> Report:
        reason = report.reason if self.asked == 0 else None
        if self._failures:
            reason = self._failures[min(self._failures)]
        return replace(
            report,
            asked=self.asked,
            answered=len(self.answers),
            failed=len(self._failures),
            reason=reason,
        )
