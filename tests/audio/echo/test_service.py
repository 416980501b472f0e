"""The questions to the ear's process, and what is made of its answers."""

from pathlib import Path
from typing import Any

import pytest

from server.audio.echo.model import Line
from server.audio.echo.service import heard, listened
from server.audio.model import Said, Word
from server.base.errors import InsufficientStorage, InvalidValue, SparkError, Unavailable

FOUND: dict[str, Any] = {
    "delay": 0.02,
    "drift": 0.0,
    "blocks": 4,
    "clear": 4,
    "level": -10.0,
    "share": 0.5,
    "near_alone": 0.3,
    "far_alone": 0.1,
    "near_heard": True,
    "far_heard": True,
}


class Scripted:
    """An ear that answers by name of the question; an error is raised."""

    def __init__(self, **answers: Any) -> None:
        self.answers, self.asked = answers, []

    async def run(self, op: str, **args: Any) -> Any:
        self.asked.append((op, args))
        answer = self.answers[op]
        if isinstance(answer, SparkError):
            raise answer
        return answer


async def ask(ear: Any, wanted: str = "auto") -> Any:
    return await listened(
        ear, Path("/m"), Path("/s"), seconds=100, folder=Path("/f"), wanted=wanted
    )


async def test_what_was_found_is_handed_to_the_canceller() -> None:
    """Its files, the line, and a deadline that grows with the recording."""
    ear = Scripted(leak=FOUND, suppress={"gain": 20.0})
    found = await ask(ear)
    assert (found.choice.on, found.gain, found.levels) == (True, 20.0, Path("/f/levels"))
    assert found.leak.line == Line(0.02, 0.0)
    (_, first), (_, second) = ear.asked
    assert first == {"seconds": 90, "mic": "/m", "system": "/s"}
    assert second == first | {"out": "/f/levels", "delay": 0.02, "drift": 0.0}


async def test_where_nothing_is_found_nobody_cancels() -> None:
    """One question, and no levels."""
    ear = Scripted(leak=FOUND | {"delay": None, "clear": 0, "level": None})
    found = await ask(ear)
    assert (found.choice.on, found.levels, len(ear.asked)) == (False, None, 1)
    word = Said(Word("yes", 0, 1), "me", 1.0, False, "channel")
    assert [one.suppressed for one in heard([word], found)] == [None]


async def test_switched_off_nobody_is_asked_at_all() -> None:
    """Not even whether there is one."""
    ear = Scripted()
    assert (await ask(ear, "off")).leak is None
    assert ear.asked == []


@pytest.mark.parametrize("op", ["leak", "suppress"])
async def test_a_process_that_fails_at_it_fails_nothing_else(op: str) -> None:
    """A long transcription is worth more than this; only who insists is told."""
    answers = {"leak": FOUND, "suppress": {"gain": 1.0}} | {op: InvalidValue("crashed")}
    found = await ask(Scripted(**answers))
    assert (found.choice.on, found.choice.why) == (False, "the process that looks for it failed")
    with pytest.raises(InvalidValue):
        await ask(Scripted(**answers), "on")


async def test_a_full_disk_is_told() -> None:
    """Whatever else is done would meet it too."""
    with pytest.raises(InsufficientStorage):
        await ask(Scripted(leak=FOUND, suppress=InsufficientStorage("full")))


@pytest.mark.parametrize(
    "told", [{}, {"share": "much"}, {"delay": float("nan")}, {"blocks": None}, {"level": [1]}]
)
async def test_nonsense_of_the_process_is_no_answer(told: dict[str, Any]) -> None:
    """It opened a stranger's file: it is believed no more than one."""
    answer = FOUND | told if told else {}
    with pytest.raises(Unavailable):
        await ask(Scripted(leak=answer), "on")
    assert not (await ask(Scripted(leak=answer))).choice.on
