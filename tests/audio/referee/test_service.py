"""The referee at work, against a model that does what the test says."""

import asyncio

import orjson
import pytest

from server.audio.referee.doubt import Rules
from server.audio.referee.model import Question, Unasked
from server.audio.referee.names import Named
from server.audio.referee.question import AGAIN
from server.audio.referee.service import LATE, NOTHING, Terms, refereed
from server.base.errors import SparkError, Unavailable, UpstreamTimeout
from tests.audio.referee.made import (
    TALK,
    Line,
    Scripted,
    all_said_by,
    conversation,
    runs_of,
)

MANY: list[Line] = [line for _ in range(20) for line in TALK]
SMALL = Rules(runs=2, letters=900)
"""Questions of two runs, so that there are several."""


async def test_a_model_that_knows_is_followed_and_what_it_changed_is_told() -> None:
    """Only for words in doubt."""
    model = Scripted(all_said_by("Bob"))
    done = await refereed(conversation(TALK), model, model="tiny")
    assert [one.speaker for one in done.said if one.how == "referee"] == ["Bob", "Bob"]
    shape = done.to_dict()
    assert shape["referee"] == {
        "model": "tiny", "doubts": 2, "left": 0, "asked": 2, "answered": 2, "changed": 1,
        "contradicted": 0, "failed": 0, "reason": None,
    }  # fmt: skip
    assert shape["refereed"] == [
        {
            "start": 7.5, "end": 8.4, "words": 2, "before": None, "after": "Bob", "was": "none",
            "text": "See you.",
        }
    ]  # fmt: skip
    assert "text" not in done.to_dict(text=False)["refereed"][0]


async def test_nobody_is_asked_when_nothing_is_in_doubt_or_nobody_answers() -> None:
    """And the report says so."""
    model = Scripted(all_said_by("Bob"))
    done = await refereed(conversation(TALK[:1]), model)
    assert (done.report.reason, model.asked) == (NOTHING, [])
    talk = conversation(TALK)
    done = await refereed(talk, Unasked("no language model is being served"))
    assert list(done.said) == talk
    assert done.report.reason == "no language model is being served"


@pytest.mark.parametrize("error", [Unavailable("no"), UpstreamTimeout("late"), TimeoutError()])
async def test_a_model_that_fails_leaves_everything_as_it_was(error: Exception) -> None:
    """The message of an error is not repeated: it could be of the recording."""

    def answer(_question: Question) -> str:
        raise error

    talk = conversation(TALK)
    done = await refereed(talk, Scripted(answer))
    assert list(done.said) == talk
    assert (done.report.failed, done.report.answered, done.report.changed) == (1, 0, 0)
    assert "could not be asked" in (done.report.reason or "") or "in time" in str(done.report)


async def test_a_wrong_answer_costs_only_its_own_question() -> None:
    """The others are followed."""
    right = all_said_by("Bob")
    model = Scripted(lambda question: "no" if question.number == 2 else right(question))
    done = await refereed(conversation(MANY), model, Terms(rules=SMALL))
    assert done.report.asked > 3
    assert (done.report.failed, done.report.reason) == (1, "the answer is not JSON")
    assert done.report.changed > 3


@pytest.mark.parametrize("place", [0, 1])
async def test_a_model_that_answers_by_the_place_of_a_choice_changes_nothing(place: int) -> None:
    """It is asked again with other codes and says somebody else. So are small models found out."""

    def answer(question: Question) -> str:
        chosen = {run: choices[place] for run, choices in runs_of(question).items()}
        return orjson.dumps({"speakers": chosen}).decode()

    lines: list[Line] = [*TALK, ("Cleo", "Hello Ada and Bob.", "overlap"), *TALK]
    for talk in (conversation(TALK * 3), conversation(lines)):
        done = await refereed(talk, Scripted(answer))
        assert list(done.said) == talk
        assert done.report.contradicted > 0
        assert (done.report.changed, done.report.failed) == (0, 0)


async def test_an_answer_that_is_not_confirmed_changes_nothing() -> None:
    """A second answer that does not come is no confirmation."""
    right = all_said_by("Bob")
    model = Scripted(lambda question: "no" if question.number > AGAIN else right(question))
    done = await refereed(conversation(TALK), model)
    assert (done.changes, done.report.failed, len(model.asked)) == ((), 1, 2)


async def test_what_would_change_nothing_is_not_asked_again() -> None:
    """It costs the model's time."""
    model = Scripted(all_said_by("Nobody"))
    done = await refereed(conversation(TALK), model)
    assert (len(model.asked), done.changes) == (1, ())


async def test_what_is_not_answered_by_the_deadline_stays_as_it_was() -> None:
    """What was answered before it counts."""
    right = all_said_by("Bob")
    cancelled: list[int] = []

    async def ask(question: Question) -> str:
        if question.number in {1, 1 + AGAIN}:
            return right(question)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(question.number)
        raise AssertionError

    terms = Terms(seconds=0.05, rules=SMALL, named=Named())
    done = await refereed(conversation(MANY), ask, terms)
    assert done.report.answered == 2
    assert done.report.failed == done.report.asked - 2 > 1
    assert done.report.reason == LATE
    assert done.changes
    assert sorted(cancelled) == [2, 3]


async def test_no_more_questions_than_allowed_are_under_way_at_once() -> None:
    """The model has other work."""
    under_way = most = 0
    right = all_said_by("Bob")

    async def ask(question: Question) -> str:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return right(question)

    done = await refereed(conversation(MANY), ask, Terms(at_once=3, rules=SMALL))
    assert (most, done.report.failed) == (3, 0)


async def test_who_asked_may_leave() -> None:
    """Its questions leave with it."""
    came, gone = asyncio.Event(), asyncio.Event()

    async def ask(_question: Question) -> str:
        came.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        raise AssertionError

    task = asyncio.create_task(refereed(conversation(TALK), ask))
    await came.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone.is_set()


async def test_names_are_asked_for_when_wanted_and_only_suggested() -> None:
    """After the words in doubt, so that the segments are those of the answer."""
    lines: list[Line] = [
        ("A", "Hello, my name is Ada.", "overlap"),
        ("B", "Hm.", "nearest"),
        ("B", "Fine.", "overlap"),
    ]
    talk = conversation(lines)

    def answer(question: Question) -> str:
        if question.name == "speakers":
            return '{"speakers":{"r1":"unsure"}}'
        return '{"names":[{"speaker":"S1","name":"Ada","segment":"t0","quote":"my name is Ada."}]}'

    model = Scripted(answer)
    done = await refereed(talk, model, Terms(named=Named()))
    assert list(done.said) == talk
    assert [question.name for question in model.asked] == ["speakers", "names"]
    (name,) = done.to_dict()["suggested_names"]
    assert (name["speaker"], name["name"], name["source"]) == ("A", "Ada", "says_own_name")
    assert done.to_dict(text=False)["suggested_names"] == []

    done = await refereed(talk, Scripted(lambda _question: "?"), Terms(named=Named()))
    assert (done.names, done.report.failed) == ((), 2)


async def test_a_mistake_of_ours_is_no_silence_of_the_model() -> None:
    """Only what a model or its way to us can do is taken for no answer."""

    def answer(_question: Question) -> str:
        raise KeyError("ours")

    with pytest.raises(ExceptionGroup) as caught:
        await refereed(conversation(TALK), Scripted(answer))
    assert not caught.group_contains(SparkError)
