"""A transcript without what tells who somebody is: words and sentences stay one thing. Pure.

A number or a name goes over several words. These become one word: the placeholder is its text, from
the beginning of the first to the end of the last is its time. So the text of a segment is still its
words, and what was taken out has a time at which a recording can be made silent.

It is looked for twice. Once in everything in the order in which it was said, since a pause, or a
word that was given to the wrong speaker, may lie in the middle of a number. And once in what each
speaker said, since people who dictate a number are interrupted ("uh-huh") after each part of it.
What goes over several segments has the same placeholder in each of them.

Where words were taken out of a channel before, such as those of the loudspeaker, it is looked for
in the whole of that channel too: what is left of a number of which a part is gone looks like none.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from server.audio.model import Said, Segment, Word
from server.audio.scrub.find import detectors, find
from server.audio.scrub.model import Detector, Kind, Language, Wanted
from server.audio.scrub.replace import Placeholders, replaced

People = Callable[[str], Sequence[tuple[int, int]]]
"""Where in a text names are."""


def nobody(_text: str) -> Sequence[tuple[int, int]]:
    return ()


class Taken(NamedTuple):
    """Something that was taken out: `[start, end)` for each stretch in which it was said."""

    kind: Kind
    placeholder: str
    times: tuple[tuple[float, float], ...]
    words: int


@dataclass(frozen=True, slots=True)
class Report:
    """`values`: what each placeholder stands for; whoever holds it can undo the scrubbing."""

    taken: tuple[Taken, ...] = ()
    detectors: tuple[Detector, ...] = ()
    languages: tuple[Language, ...] = ()
    values: dict[str, str] = field(default_factory=dict)

    def muted(self) -> list[tuple[float, float]]:
        """When a recording must be silent, in order, none touching another."""
        spans: list[tuple[float, float]] = []
        for start, end in sorted(time for one in self.taken for time in one.times):
            if spans and start <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            else:
                spans.append((start, end))
        return spans

    def to_dict(self, *, reversible: bool) -> dict[str, Any]:
        """Without `reversible` nothing of what was said is in it."""
        shape: dict[str, Any] = {
            "detectors": list(self.detectors),
            "languages": list(self.languages),
            "found": [
                {
                    "kind": one.kind,
                    "placeholder": one.placeholder,
                    "words": one.words,
                    "times": [_rounded(time) for time in one.times],
                }
                for one in self.taken
            ],
            "mute": [_rounded(time) for time in self.muted()],
        }
        if reversible:
            shape["values"] = dict(self.values)
        return shape


def _rounded(time: tuple[float, float]) -> list[float]:
    return [round(time[0], 3), round(time[1], 3)]


class Gone(NamedTuple):
    """What was taken out of `channel` already: it is nowhere in what comes back."""

    channel: str
    words: Sequence[Word] = ()


NOTHING = Gone("")


def scrubbed(
    segments: Sequence[Segment], wanted: Wanted, people: People = nobody, gone: Gone = NOTHING
) -> tuple[tuple[Segment, ...], Report]:
    """The same segments at the same times; words of one finding are one word."""
    words = [said for one in segments for said in one.words]
    texts = [_line(said.word) for said in words]
    everything = _Text(texts, range(len(words)))
    found = _findings(everything, wanted, people(everything.text))
    speakers = _by_speaker(segments)
    if len(speakers) > 1:
        listed: list[_Finding] = []
        for indices in speakers.values():
            listed += _findings(_Text(texts, indices), wanted, ())
        found = _both(found, listed)
    if gone.words:
        found = _both(found, _before(words, texts, gone, wanted, people))
    names = Placeholders(wanted, [everything.text])
    found.sort(key=lambda one: next(iter(one.covers)))
    placed: dict[int, list[tuple[int, int, str]]] = {}
    taken: list[Taken] = []
    for one in found:
        name = names.of(one.kind, one.said)
        taken.append(Taken(one.kind, name, _times(words, one.covers), len(one.covers)))
        for index, (start, end) in one.covers.items():
            placed.setdefault(index, []).append((start, end, name))
    clean = tuple(_clean(segments, placed, texts, [one.covers for one in found]))
    report = Report(tuple(taken), detectors(wanted), wanted.languages, names.values)
    return clean, report


# ---- texts and where their words are


class _Finding(NamedTuple):
    """`covers`: which letters of which word, in order."""

    kind: Kind
    said: str
    covers: dict[int, tuple[int, int]]


class _Text:
    """Words as one text. `indices` are their numbers in the transcript."""

    def __init__(self, texts: Sequence[str], indices: Sequence[int]) -> None:
        self.indices = indices
        self.starts: list[int] = []
        at = 0
        for index in indices:
            self.starts.append(at)
            at += len(texts[index]) + 1
        self.ends = [
            start + len(texts[index]) for start, index in zip(self.starts, indices, strict=True)
        ]
        self.text = " ".join(texts[index] for index in indices)

    def covers(self, start: int, end: int) -> dict[int, tuple[int, int]]:
        first = bisect_right(self.ends, start)
        after = bisect_left(self.starts, end)
        return {
            self.indices[place]: (
                max(start, self.starts[place]) - self.starts[place],
                min(end, self.ends[place]) - self.starts[place],
            )
            for place in range(first, after)
            if self.ends[place] > self.starts[place]
        }


def _line(word: Word) -> str:
    """What a word holds must not end the line of a rule."""
    return " ".join(word.text.split())


def _by_speaker(segments: Sequence[Segment]) -> dict[tuple[str | None, str | None], list[int]]:
    found: dict[tuple[str | None, str | None], list[int]] = {}
    at = 0
    for one in segments:
        indices = found.setdefault((one.speaker, one.channel), [])
        indices += range(at, at + len(one.words))
        at += len(one.words)
    return found


def _findings(text: _Text, wanted: Wanted, people: Sequence[tuple[int, int]]) -> list[_Finding]:
    found = []
    for one in find(text.text, wanted, people):
        covers = text.covers(one.start, one.end)
        if covers:
            found.append(_Finding(one.kind, text.text[one.start : one.end], covers))
    return found


def _before(
    words: Sequence[Said], texts: Sequence[str], gone: Gone, wanted: Wanted, people: People
) -> Iterator[_Finding]:
    """What is found in a channel as it was before words of it were taken out, where something of it
    is still there. What is gone is numbered behind what is there."""
    there = len(words)
    starts = [one.word.start for one in words] + [one.start for one in gone.words]
    indices = [index for index, one in enumerate(words) if one.channel == gone.channel]
    indices += range(there, len(starts))
    indices.sort(key=starts.__getitem__)
    whole = _Text([*texts, *map(_line, gone.words)], indices)
    for one in _findings(whole, wanted, people(whole.text)):
        covers = {index: span for index, span in one.covers.items() if index < there}
        if covers:
            yield one._replace(covers=covers)


def _both(found: Iterable[_Finding], more: Iterable[_Finding]) -> list[_Finding]:
    """Of two that share a word the one with more letters stays whole; what only the other one
    covers stays covered by it."""
    kept: list[_Finding] = []
    taken: set[int] = set()
    for one in sorted((*found, *more), key=lambda one: -len(one.said)):
        rest = {index: span for index, span in one.covers.items() if index not in taken}
        whole = len(rest) == len(one.covers)
        if rest:
            kept.append(one if whole else one._replace(covers=rest))
            taken |= rest.keys()
        elif not any(_within(one, other) for other in kept):
            kept.append(one)
    return kept


def _within(one: _Finding, other: _Finding) -> bool:
    return all(
        index in other.covers and other.covers[index][0] <= start and end <= other.covers[index][1]
        for index, (start, end) in one.covers.items()
    )


# ---- the segments anew


def _times(
    words: Sequence[Said], covers: dict[int, tuple[int, int]]
) -> tuple[tuple[float, float], ...]:
    """Neighbouring words are one stretch."""
    found: list[tuple[float, float]] = []
    before = None
    for index in sorted(covers):
        word = words[index].word
        if before is not None and index == before + 1 and word.start >= found[-1][0]:
            found[-1] = (found[-1][0], max(found[-1][1], word.end))
        else:
            found.append((word.start, word.end))
        before = index
    return tuple(found)


def _clean(
    segments: Sequence[Segment],
    placed: dict[int, list[tuple[int, int, str]]],
    texts: Sequence[str],
    covers: Iterable[dict[int, tuple[int, int]]],
) -> Iterator[Segment]:
    """`joins`: words that are of one finding with the word before them."""
    joins = {index for one in covers for index in one if index - 1 in one}
    at = 0
    for segment in segments:
        words: list[Said] = []
        end = at + len(segment.words)
        while at < end:
            after = at + 1
            while after < end and after in joins:
                after += 1
            run = segment.words[at - end + len(segment.words) : after - end + len(segment.words)]
            if any(index in placed for index in range(at, after)):
                words.append(_one(run, _placed(range(at, after), placed, texts)))
            else:
                words += run
            at = after
        yield segment._replace(words=tuple(words))


def _placed(
    indices: Iterable[int], placed: dict[int, list[tuple[int, int, str]]], texts: Sequence[str]
) -> str:
    """What stood around it stays: a comma, a bracket. Each placeholder once in a row."""
    pieces: list[str] = []
    for index in indices:
        spans = sorted(placed.get(index, ()))
        text = replaced(texts[index], spans)
        if pieces and spans and spans[0][0] == 0 and pieces[-1].endswith(spans[0][2]):
            pieces[-1] += text.removeprefix(spans[0][2])
        else:
            pieces.append(text)
    return " ".join(pieces)


def _one(run: Sequence[Said], text: str) -> Said:
    """Words as one, no surer than the least sure of them."""
    first = run[0]
    told = [one.word.confidence for one in run if one.word.confidence is not None]
    word = first.word._replace(
        text=text, end=max(one.word.end for one in run), confidence=min(told, default=None)
    )
    return first._replace(
        word=word,
        certainty=min(one.certainty for one in run),
        overlapped=any(one.overlapped for one in run),
    )
