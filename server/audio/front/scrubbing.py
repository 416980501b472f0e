"""Words whose text was scrubbed: what was found in the text, put back on the words. Pure.

A name or a number goes over several words. These become one, with the placeholder as its text and
their time as its time. Owns that mapping. Refuses to look for anything: `server.audio.scrub` does.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from server.audio.model import Said


class Found(NamedTuple):
    """`text[start:end]` of `text_of(said)` is `placeholder`."""

    start: int
    end: int
    kind: str
    placeholder: str


def text_of(said: Sequence[Said]) -> str:
    return " ".join(one.word.text.strip() for one in said)


def found_in(answer: Mapping[str, Any]) -> list[Found]:
    """The spans of an answer of `/scrub`."""
    spans = [
        Found(one["start"], one["end"], one["kind"], one["placeholder"]) for one in answer["spans"]
    ]
    return sorted(spans)


def replaced(said: Sequence[Said], spans: Sequence[Found]) -> tuple[Said, ...]:
    """`spans` in order of their start, none overlapping."""
    places = _places(said)
    done: list[Said] = []
    index = at = 0
    while index < len(said):
        begin, end = places[index]
        while at < len(spans) and spans[at].end <= begin:
            at += 1
        last, reach = index, at
        # What one span or another joins is one word from then on.
        while reach < len(spans) and spans[reach].start < places[last][1]:
            while last + 1 < len(said) and places[last + 1][0] < spans[reach].end:
                last += 1
            reach += 1
        if reach == at:
            done.append(said[index])
        else:
            end = places[last][1]
            text = _text(said[index : last + 1], begin, end, spans[at:reach])
            done.append(_joined(said[index : last + 1], text))
        index, at = last + 1, reach
    return tuple(done)


def _places(said: Sequence[Said]) -> list[tuple[int, int]]:
    """Where each word lies in `text_of`."""
    found: list[tuple[int, int]] = []
    at = 0
    for one in said:
        end = at + len(one.word.text.strip())
        found.append((at, end))
        at = end + 1
    return found


def _text(words: Sequence[Said], begin: int, end: int, spans: Sequence[Found]) -> str:
    """What stood around the spans stays: a comma, a bracket."""
    whole = text_of(words)
    pieces: list[str] = []
    at = begin
    for span in spans:
        pieces += [whole[at - begin : max(at, span.start) - begin], span.placeholder]
        at = max(at, span.end)
    pieces.append(whole[at - begin : end - begin])
    return "".join(pieces)


def _joined(words: Sequence[Said], text: str) -> Said:
    first = words[0]
    ends = max(one.word.end for one in words)
    sure = [one.word.confidence for one in words if one.word.confidence is not None]
    word = first.word._replace(text=text, end=ends, confidence=min(sure, default=None))
    return first._replace(
        word=word,
        certainty=min(one.certainty for one in words),
        overlapped=any(one.overlapped for one in words),
    )
