"""Answers of a model: what is taken of them, and what they can change."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio.model import How
from server.audio.referee.doubt import Rules, settled
from server.audio.referee.question import plan
from server.audio.referee.verdict import LARGEST, Unread, applied, read
from tests.audio.referee.made import TALK, conversation

RULES = Rules()
(ASKED,) = plan(conversation(TALK), RULES).asked

WRONG = [
    "",
    "S1",
    "null",
    "[]",
    '"r1"',
    "Sure! Here it is: {}",
    '```json\n{"speakers":{"r1":"S1","r2":"S2"}}\n```',
    "<think>hm</think>{}",
    "{}",
    '{"speakers":[]}',
    '{"speakers":{"r1":"S1"}}',
    '{"speakers":{"r1":"S1","r2":"S2","r3":"S1"}}',
    '{"speakers":{"r1":"S1","r9":"S2"}}',
    '{"speakers":{"r1":"Ada","r2":"Bob"}}',
    '{"speakers":{"r1":"S3","r2":"S1"}}',
    '{"speakers":{"r1":null,"r2":"S1"}}',
    '{"speakers":{"r1":["S1"],"r2":"S1"}}',
    '{"speakers":{"r1":1,"r2":"S1"}}',
    '{"speakers":{"r1":"S1","r2":"S2"},"confidence":0.9}',
    '{"speakers":{"r1":"S1","r2":"S2"},"confidence":NaN}',
    '{"speakers":{"r1":"S1","r2":"S2"},"text":"Yes, I will pay."}',
    '{"speakers":{"r1":"S1","r1":"S2","r2":"S2"}}',
    '{"speakers":{"r1":{"speaker":"S1","text":"No."},"r2":"S2"}}',
    '{"speakers":{"r1":"S1","r2":"S2"}} and that is all',
    '{"speakers":{"r1":"S1","r2":"S2"}}{"speakers":{"r1":"S1","r2":"S2"}}',
    "[" * 10_000,
    '{"a":' * 3_000,
    "9" * 10_000,
    '{"speakers":{"r1":"S1","r2":"S2"}}' + " " * LARGEST,
]


@pytest.mark.parametrize("raw", WRONG)
def test_an_answer_that_is_not_what_was_asked_for_is_thrown_away_whole(raw: str) -> None:
    """With a reason that repeats none of it."""
    found = read(raw, ASKED)
    assert isinstance(found, Unread)
    assert found.reason.startswith("the answer ")
    assert not any(word in found.reason for word in ("S1", "Ada", "pay", "r1"))


def test_an_answer_gives_each_run_to_somebody_or_leaves_it() -> None:
    """`unsure` is an answer, and leaves what the sound suggests."""
    assert read(' {"speakers":{"r1":"unsure","r2":"S2"}}\n', ASKED) == {"r1": None, "r2": "Bob"}


def test_what_changed_is_marked_and_told() -> None:
    """Who says the same as the sound changes nothing."""
    talk = conversation(TALK)
    ruled, changes = applied(talk, [(ASKED, {"r1": "Bob", "r2": "Bob"})])
    (change,) = changes
    assert (change.text, change.before, change.after, change.was) == (
        "See you.", None, "Bob", "none",
    )  # fmt: skip
    assert change.to_dict(text=False).keys() == {
        "start", "end", "words", "before", "after", "was",
    }  # fmt: skip
    marked = [one for one in ruled if one.how == "referee"]
    assert [one.word.text for one in marked] == ["See", "you."]
    assert {one.certainty for one in marked} == {0.0}


words = st.lists(
    st.tuples(
        st.sampled_from([None, "Ada", "Bob", "Cleo"]),
        st.sampled_from(["yes.", "so", 'no"}', "</transcript>", "\u202eok?"]),
        st.sampled_from(list[How](["overlap", "nearest", "sentence", "flip", "none", "channel"])),
    ),
    max_size=60,
)


@given(words, st.data())
@settings(max_examples=100)
def test_no_answer_changes_what_was_said_or_when(lines: list[tuple], data: st.DataObject) -> None:  # type: ignore[type-arg]
    """Nor any word that sound had settled, nor a speaker into one who is not there."""
    talk = conversation(lines)
    planned = plan(talk, Rules(questions=4, runs=3, letters=900))
    verdicts = []
    for asked in planned.asked:
        offered = {run: data.draw(st.sampled_from([*asked.codes, "unsure"])) for run in asked.runs}
        verdict = read(orjson.dumps({"speakers": offered}).decode(), asked)
        if not isinstance(verdict, Unread):
            verdicts.append((asked, verdict))
    ruled, changes = applied(talk, verdicts)
    assert [one.word for one in ruled] == [one.word for one in talk]
    changed = {index for one in changes for index in range(one.begin, one.end)}
    for index, (before, after) in enumerate(zip(talk, ruled, strict=True)):
        assert (after.channel, after.overlapped) == (before.channel, before.overlapped)
        if index in changed:
            assert not settled(before, RULES.clear)
            assert after.speaker in {"Ada", "Bob", "Cleo"}
            assert (after.how, after.speaker != before.speaker) == ("referee", True)
        else:
            assert after == before
