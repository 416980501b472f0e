"""Names that are suggested, and the evidence for them."""

from typing import Any

import orjson
import pytest

from server.audio.formats import segments
from server.audio.referee.model import SuggestedName
from server.audio.referee.names import AskedNames, Named, asked_names, read_names
from server.audio.referee.verdict import Unread
from tests.audio.referee.made import Line, conversation, lines_of

TALK: list[Line] = [
    ("A", "Hello everybody, my name is Ada Lovelace.", "overlap"),
    ("B", "Thanks, Ada. I asked Charles about it.", "overlap"),
    ("C", "Hi, I'm Cleo, and this is Monday.", "overlap"),
    ("A", "Over to you, Bob.", "overlap"),
    ("B", "Thank you.", "overlap"),
    ("C", "Somebody should ask Grace.", "overlap"),
]
FOUND = segments(conversation(TALK))


NOBODY = Named()


def asked(named: Named = NOBODY) -> AskedNames:
    question = asked_names(FOUND, named, 1)
    assert question is not None
    return question


def claim(speaker: str, name: str, segment: int, quote: str) -> dict[str, Any]:
    return {"speaker": speaker, "name": name, "segment": f"t{segment}", "quote": quote}


def suggested(*claims: Any, named: Named = NOBODY) -> list[SuggestedName] | Unread:
    raw = orjson.dumps({"names": list(claims)}).decode()
    return read_names(raw, asked(named), FOUND, named)


ADA = claim("S1", "Ada Lovelace", 0, "my name is Ada Lovelace.")
BOB = claim("S2", "Bob", 3, "Over to you, Bob.")
CLEO = claim("S3", "Cleo", 2, "I'm Cleo,")


def test_a_name_comes_with_the_words_that_prove_it() -> None:
    """Its confidence is that of the kind of evidence, not the model's."""
    found = suggested(ADA, BOB)
    assert not isinstance(found, Unread)
    assert [(one.speaker, one.name, one.source) for one in found] == [
        ("A", "Ada Lovelace", "says_own_name"),
        ("B", "Bob", "is_addressed"),
    ]
    assert found[0].to_dict()["evidence"] == {
        "segment": 0, "start": 0.0, "quote": "my name is Ada Lovelace.",
    }  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        claim("S1", "Ada Lovelace", 2, "my name is Ada Lovelace."),  # of another segment
        claim("S1", "Ada Lovelace", 0, "My name is Ada Lovelace."),  # not word by word
        claim("S1", "Ada Lovelace", 0, "I am Ada Lovelace."),  # made up
        claim("S1", "Grace", 0, "my name is Ada Lovelace."),  # the quote does not hold it
        claim("S1", "Ada", 0, "me is Ada"),  # from the middle of a word
        claim("S2", "Charles", 1, "I asked Charles about it."),  # speaks of somebody else
        claim("S2", "Ada", 1, "Thanks, Ada."),  # speaks to somebody else
        claim("S1", "everybody", 0, "Hello everybody,"),  # not written as a name
        claim("S1", "", 0, ""),
        claim("S1", "Ada\n<b>", 0, "my name is Ada Lovelace."),
    ],
)
def test_a_name_without_its_evidence_is_dropped(wrong: dict[str, Any]) -> None:
    """The others stay."""
    found = suggested(CLEO, wrong)
    assert not isinstance(found, Unread)
    assert [one.name for one in found] == ["Cleo"]


def test_one_name_on_two_speakers_and_two_on_one_drop_both() -> None:
    """`Ada` could be `Ada Lovelace`."""
    also = claim("S3", "Ada", 1, "Thanks, Ada.")
    assert suggested(ADA, also, BOB) == suggested(BOB)
    assert suggested(BOB, claim("S2", "Grace", 5, "ask Grace.")) == []


def test_the_owners_name_and_names_that_are_taken_go_to_nobody() -> None:
    """A configured identity always wins."""
    assert suggested(ADA, named=Named(owners=("ada",))) == []
    named = Named(labels=frozenset({"C", "Bob"}))
    assert suggested(BOB, named=named) == []


def test_who_has_a_name_is_not_asked_about() -> None:
    """Nor taken from an answer."""
    named = Named(labels=frozenset({"A"}))
    assert isinstance(suggested(ADA, named=named), Unread)
    everybody = Named(labels=frozenset({"A", "B", "C"}))
    assert asked_names(FOUND, everybody, 1) is None


@pytest.mark.parametrize(
    "raw",
    [
        "no",
        '{"names":{}}',
        '{"names":[1]}',
        '{"names":[{"speaker":"S1"}]}',
        '{"names":[],"text":"Hello"}',
        orjson.dumps({"names": [ADA | {"confidence": 1}]}).decode(),
        orjson.dumps({"names": [claim("S9", "Ada", 0, "Ada")]}).decode(),
        orjson.dumps({"names": [claim("S1", "Ada", 77, "Ada")]}).decode(),
        orjson.dumps({"names": [ADA | {"name": "A" * 61}]}).decode(),
        orjson.dumps({"names": [ADA | {"name": ["Ada"]}]}).decode(),
        orjson.dumps({"names": [ADA, ADA, ADA, ADA]}).decode(),
    ],
)
def test_an_answer_that_is_not_as_asked_for_is_thrown_away_whole(raw: str) -> None:
    """Half of a wrong answer is not a right one."""
    assert isinstance(read_names(raw, asked(), FOUND, Named()), Unread)


def test_introductions_are_shown_wherever_they_are_and_the_question_is_bounded() -> None:
    """A long meeting does not fit."""
    long = [("A", f"sentence number {index} of many", "overlap") for index in range(2000)]
    lines: list[Line] = [
        ("B" if index % 2 else "A", text, "overlap") for index, (_, text, _) in enumerate(long)
    ]
    lines[1501] = ("B", "Hi, I'm Bob.", "overlap")
    question = asked_names(segments(conversation(lines)), Named(), 1)
    assert question is not None
    shown = lines_of(question.question)
    assert "Hi, I'm Bob." in [one["text"] for one in shown]
    assert sum(len(one["text"]) for one in shown) <= 6000
    assert len(shown) > 20
