"""Two channels looked at for echo: measured, decided, and where it is worth it, cancelled.

Owns the questions to the ear's process and the checking of what it answers. Nobody waits for the
canceller longer than `LONGEST` for each second of sound. Refuses to take a word out: what comes
back says how much of an echo each word is.
"""

from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from server.audio.channels import Heard
from server.audio.echo.decide import Choice, choose, judged
from server.audio.echo.levels import Levels
from server.audio.echo.model import Leak, Line, Wanted
from server.audio.model import Said
from server.audio.sound.ear import Ear
from server.base.errors import InvalidValue, PayloadTooLarge, Unavailable

FILE = "levels"
BEGIN = 60.0
LONGEST = 0.3
"""Seconds of work for a second of sound, when the machine is very busy; 0.03 are usual."""
UNALIGNED = Line(0.02)
"""Where nothing was found and the canceller was asked for: as in a room."""

FAILED = (InvalidValue, PayloadTooLarge, Unavailable)
"""What a crash, a missed deadline and a process that does not start become."""
T = TypeVar("T")


class Listened(NamedTuple):
    """`leak` is None where nobody looked. `levels` is there when the canceller ran; `gain` is what
    `decide.judged` asks for."""

    choice: Choice
    leak: Leak | None = None
    levels: Path | None = None
    gain: float = 0.0


async def listened(
    ear: Ear, mic: Path, system: Path, *, seconds: float, folder: Path, wanted: Wanted
) -> Listened:
    """`folder` is the request's own. Where nobody said `on`, a process that fails at this fails
    nothing else: the text still tells echoes. Raises what the process raised otherwise."""
    if wanted == "off":
        return Listened(Choice(False, "switched off"))
    try:
        return await _listened(ear, mic, system, seconds=seconds, out=folder / FILE, wanted=wanted)
    except FAILED:
        if wanted == "on":
            raise
        return Listened(Choice(False, "the process that looks for it failed"))


async def _listened(
    ear: Ear, mic: Path, system: Path, *, seconds: float, out: Path, wanted: Wanted
) -> Listened:
    deadline = BEGIN + LONGEST * seconds
    told = await ear.run("leak", seconds=deadline, mic=str(mic), system=str(system))
    leak = _checked(_leak, told)
    choice = choose(wanted, leak)
    if not choice.on:
        return Listened(choice, leak)
    line = leak.line or UNALIGNED
    told = await ear.run(
        "suppress",
        seconds=deadline,
        mic=str(mic),
        system=str(system),
        out=str(out),
        delay=line.delay,
        drift=line.drift,
    )
    gain = _checked(lambda given: _number(given["gain"]), told)
    return Listened(choice, leak, out, gain)


def heard(said: Iterable[Said], found: Listened) -> list[Heard]:
    """The microphone's words with what was measured. Their times are the microphone's."""
    if found.levels is None:
        return [Heard(one) for one in said]
    with Levels(found.levels) as levels:
        return [
            Heard(one, *judged(levels.over(one.word.start, one.word.end), found.gain))
            for one in said
        ]


def _leak(told: Mapping[str, Any]) -> Leak:
    delay, level = told["delay"], told["level"]
    return Leak(
        line=None if delay is None else Line(_number(delay), _number(told["drift"])),
        blocks=int(told["blocks"]),
        clear=int(told["clear"]),
        level=None if level is None else _number(level),
        share=_number(told["share"]),
        near_alone=_number(told["near_alone"]),
        far_alone=_number(told["far_alone"]),
        near_heard=told["near_heard"] is True,
        far_heard=told["far_heard"] is True,
    )


def _number(told: Any) -> float:
    found = float(told)
    if not isfinite(found):
        raise ValueError("not a number")
    return found


def _checked(made: Callable[[Mapping[str, Any]], T], told: Mapping[str, Any]) -> T:
    try:
        return made(told)
    except (ValueError, TypeError, KeyError, OverflowError):
        raise Unavailable(
            "The process that looks for echo answered what nobody can read.",
            advice="Send it again with echo=off, and look into the log of Spark Control.",
        ) from None
