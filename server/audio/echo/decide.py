"""Whether echo is looked for, and what is odd about two channels. Pure.

Owns the thresholds, and the sentences that a caller is told. Refuses to remove anything: which
words go is decided by `server.audio.channels`, with the text beside the sound.
"""

from typing import NamedTuple

from server.audio.echo.loudness import Loudness
from server.audio.echo.model import Leak, Line, Wanted

SHARE = 0.05
"""Of the blocks in which the far side speaks so many must be found in the microphone."""
BOTH_THE_SAME = 0.98
ALONE = 0.1
LESS = 0.5
"""What a swapped microphone hears alone is a part of what the other channel does."""
TOGETHER = 0.3
"""Seconds of delay from which two recordings did not begin together."""


BOTH_SPEAK = 0.2
"""Of what a filter gains where the far side is alone: where it gains less, somebody else speaks."""
ALONE_GAINS = 6.0
GOOD = 8.0
UNSURE = 6.0
FAINT = 20.0
"""Decibels over one step of 16 bit: below it the far side says nothing."""


class Choice(NamedTuple):
    """`on`: the canceller runs. `why` is for people."""

    on: bool
    why: str


def choose(wanted: Wanted, leak: Leak) -> Choice:
    """Auto is on when the far side is measurably in the microphone."""
    if not leak.near_heard:
        return Choice(False, "the microphone channel is silent")
    if not leak.far_heard or not leak.blocks:
        return Choice(False, "nobody speaks in the system channel")
    if wanted != "auto":
        return Choice(wanted == "on", f"switched {wanted}")
    if leak.line is None or leak.clear < max(min(2, leak.blocks), SHARE * leak.blocks):
        return Choice(False, "the far side is not found in the microphone")
    level = "" if leak.level is None else f" at {leak.level:.0f} dB"
    if swapped(leak):
        return Choice(False, f"the channels look swapped, with an echo{level}")
    return Choice(True, f"the far side is found in the microphone{level}")


def warnings(leak: Leak, *, one_file: bool) -> tuple[str, ...]:
    """What the caller should look at. None of it stops anything."""
    found: list[str] = []
    if same(leak):
        found.append(
            "The microphone channel holds nothing that the system channel does not hold: was the "
            "same recording sent twice?"
        )
    elif swapped(leak):
        found.append(
            "The channels look swapped: what is in the microphone channel is heard in the system "
            "channel a little later. Send them the other way round."
        )
    elif leak.line is not None and not one_file and abs(leak.line.delay) > TOGETHER:
        found.append(
            f"The recordings did not begin together: they are {abs(leak.line.delay):.2f} s apart. "
            "Times were moved accordingly."
        )
    return tuple(found)


def same(leak: Leak) -> bool:
    return leak.line is not None and leak.share >= BOTH_THE_SAME


def swapped(leak: Leak) -> bool:
    """A microphone hears the far side later, and what it alone hears is the near side. Where
    everything in the microphone channel is in the other one too, and a moment before, it is the
    other way round."""
    line = leak.line
    if line is None or same(leak) or leak.clear < max(2, 0.5 * leak.blocks):
        return False
    way = -TOGETHER <= line.delay < 0  # more is no way through a room
    return way and leak.far_alone >= ALONE and leak.near_alone <= LESS * leak.far_alone


def lag(leak: Leak, seconds: float, *, one_file: bool) -> Line | None:
    """By how much the system channel's times are moved to become the microphone's; None: not at
    all. Two channels of one file have one clock; a short delay is the way through the room."""
    line = leak.line
    if one_file or line is None or same(leak) or swapped(leak):
        return None
    return line if max(abs(line.at(0.0)), abs(line.at(seconds))) > TOGETHER else None


def judged(word: Loudness, gain: float) -> tuple[float, bool]:
    """By how many decibels the canceller made a word quieter, as far as that speaks for an echo;
    and whether the far side is heard alone.

    `gain` is what the linear filter gains where the far side is alone. The canceller also silences
    whoever speaks over the far side; the filter does not. So where a good filter gains nothing the
    figure is held at what decides nothing, and so it is where the far side says nothing at all;
    where it gains much, nobody else speaks.
    """
    found, gained, good = word.mic - word.cancelled, word.mic - word.residual, gain >= GOOD
    both = good and gained < BOTH_SPEAK * gain
    if both or word.far < FAINT:
        return min(found, UNSURE), False
    return found, good and gained >= ALONE_GAINS
