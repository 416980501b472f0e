"""What a model answered, read strictly. Pure.

Owns the reading. An answer is taken when it is one JSON object with exactly the keys that were
asked for, each with one of the codes that were offered for it; else it is thrown away whole, with a
reason that repeats none of it. Half of a wrong answer is not a right one.
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from server.audio.model import Said, joined
from server.audio.referee.model import Change
from server.audio.referee.question import UNSURE, Asked

LARGEST = 16_384
"""Letters. The longest answer that is asked for has a tenth of it."""


class Unread(NamedTuple):
    """Why an answer was thrown away."""

    reason: str


def document(raw: str) -> dict[str, Any] | Unread:
    """One JSON object, nothing around it, no key twice, no NaN."""
    if len(raw) > LARGEST:
        return Unread("the answer is too long")
    try:
        found = json.loads(raw, object_pairs_hook=_once, parse_constant=_refused)
    except (ValueError, RecursionError):
        return Unread("the answer is not JSON")
    return found if isinstance(found, dict) else Unread("the answer is not an object")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refused(_constant: str) -> Any:
    raise ValueError("not a number")


def read(raw: str, asked: Asked) -> dict[str, str | None] | Unread:
    """The speaker for each run by its id; None where the model is not sure."""
    found = document(raw)
    if isinstance(found, Unread):
        return found
    speakers = found.get("speakers")
    if found.keys() != {"speakers"} or not isinstance(speakers, dict):
        return Unread("the answer has other keys than were asked for")
    if speakers.keys() != asked.runs.keys():
        return Unread("the answer names other runs than were asked about")
    chosen: dict[str, str | None] = {}
    for run, code in speakers.items():
        name = asked.codes.get(code) if isinstance(code, str) else None
        if name is not None and name in asked.runs[run].candidates:
            chosen[run] = name
        elif code == UNSURE:
            chosen[run] = None
        else:
            return Unread("the answer names a speaker that was not offered")
    return chosen


def agreed(first: dict[str, str | None], second: dict[str, str | None]) -> dict[str, str | None]:
    """What both answers say; None where they differ."""
    return {run: speaker if second[run] == speaker else None for run, speaker in first.items()}


def changes_something(chosen: dict[str, str | None], asked: Asked) -> bool:
    return any(
        speaker is not None and speaker != asked.runs[run].speaker
        for run, speaker in chosen.items()
    )


def applied(
    said: Iterable[Said], verdicts: Iterable[tuple[Asked, dict[str, str | None]]]
) -> tuple[list[Said], list[Change]]:
    """The same words with the speakers that were decided, and what changed, in order. Who says the
    same as the sound changes nothing."""
    ruled = list(said)
    changes: list[Change] = []
    for asked, chosen in verdicts:
        for name, speaker in chosen.items():
            run = asked.runs[name]
            if speaker is None or speaker == run.speaker:
                continue
            words = ruled[run.begin : run.end]
            changes.append(
                Change(
                    run.begin,
                    run.end,
                    joined(one.word.text for one in words),
                    words[0].word.start,
                    max(one.word.end for one in words),
                    run.speaker,
                    speaker,
                    words[0].how,
                )
            )
            ruled[run.begin : run.end] = [
                one._replace(speaker=speaker, certainty=0.0, how="referee") for one in words
            ]
    changes.sort(key=lambda change: change.begin)
    return ruled, changes
