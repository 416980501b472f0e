"""Conversations and models that the tests of this room are made of."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from starlette.types import Send

from server.audio.model import How, Said, Word
from server.audio.referee.model import Question
from tests.gateway.running import Call, ScriptedEngine, whole

Line = tuple[str | None, str, How]


def conversation(lines: Iterable[Line], *, channel: str | None = None) -> list[Said]:
    """Each word lasts 0.4 s; a line without a clear speaker has the certainty 0."""
    said: list[Said] = []
    for speaker, text, how in lines:
        for word in text.split():
            start = len(said) * 0.5
            certainty = 1.0 if how in {"overlap", "channel"} else 0.0
            said.append(
                Said(Word(word, start, start + 0.4), speaker, certainty, False, how, channel)
            )
    return said


TALK: list[Line] = [
    ("Ada", "Shall we meet on Monday?", "overlap"),
    ("Bob", "Yes.", "nearest"),
    ("Ada", "Good. Then at nine.", "overlap"),
    ("Bob", "Nine is fine with me.", "overlap"),
    (None, "See you.", "none"),
    ("Ada", "Bye.", "overlap"),
]
"""Two runs are in doubt: `Yes.` and `See you.`"""


class Scripted:
    """A model that answers by `answer`; `asked` is what it was asked."""

    def __init__(self, answer: Callable[[Question], str]) -> None:
        self.answer = answer
        self.asked: list[Question] = []

    async def __call__(self, question: Question) -> str:
        self.asked.append(question)
        return self.answer(question)


def runs_of(question: Question) -> dict[str, list[str]]:
    """What may be answered, by the id of each run."""
    asked = question.schema["properties"]["speakers"]["properties"]
    return {run: shape["enum"] for run, shape in asked.items()}


def codes_of(question: Question) -> dict[str, str]:
    """Codes by the labels that the question gives them."""
    return codes_in(question.messages[1].content)


def codes_in(content: str) -> dict[str, str]:
    listed = content.split("\n", maxsplit=1)[0].removeprefix("Speakers: ")
    return {name: code for code, name in orjson.loads(listed).items()}


def answer_to(body: dict[str, Any], label: str) -> str:
    """What a chat request for speakers is answered by a model for which `label` said everything;
    no names are known to it."""
    if body["response_format"]["json_schema"]["name"] == "names":
        return '{"names":[]}'
    asked = body["response_format"]["json_schema"]["schema"]["properties"]["speakers"]
    code = codes_in(body["messages"][1]["content"])[label]
    chosen = {
        run: code if code in shape["enum"] else "unsure"
        for run, shape in asked["properties"].items()
    }
    return orjson.dumps({"speakers": chosen}).decode()


def knows(label: str) -> ScriptedEngine:
    """An engine with such a model."""

    async def answer(call: Call, send: Send) -> None:
        message = {"role": "assistant", "content": answer_to(call.body, label)}
        await whole({"choices": [{"message": message}]})(call, send)

    return ScriptedEngine(answer)


def lines_of(question: Question) -> list[dict[str, Any]]:
    """What stands between the fences; fails when it is not one JSON object a line."""
    fenced = re.search(
        r"<transcript>\n(.*)\n</transcript>\n[^\n]*\Z", question.messages[1].content, re.DOTALL
    )
    assert fenced is not None
    return [orjson.loads(line) for line in fenced[1].split("\n")]


def all_said_by(label: str) -> Callable[[Question], str]:
    """A model for which one speaker said everything."""

    def answer(question: Question) -> str:
        code = codes_of(question).get(label)
        chosen = {
            run: code if code in choices else "unsure" for run, choices in runs_of(question).items()
        }
        return orjson.dumps({"speakers": chosen}).decode()

    return answer
