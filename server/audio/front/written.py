"""A composed transcript in the format that was asked for. Pure.

Owns which fields an answer has. The shapes are those of the OpenAI API; what we know beyond them
stands beside: speakers, gaps, what the referee changed, what was scrubbed. Refuses to leave a gap
unsaid: where a format has no place for it, a header tells.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from server.audio import formats
from server.audio.attribute import ENDINGS
from server.audio.front.events import text_events
from server.audio.front.options import Format, Grain, Options
from server.audio.model import Gap, Said, Segment

_JSON = "application/json"
_MEDIA: Mapping[str, str] = {
    "text": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}
_SENTENCE_WORDS = 60
"""A speaker without punctuation still gets a new segment now and then."""


@dataclass(frozen=True, slots=True)
class Composed:
    """`said` in order. `speakers`: whether anybody looked who spoke. `beside` are fields that JSON
    answers have as well, by their names."""

    said: tuple[Said, ...]
    seconds: float
    language: str | None = None
    speakers: bool = False
    gaps: tuple[Gap, ...] = ()
    beside: Mapping[str, Any] = field(default_factory=dict)


class Written(NamedTuple):
    body: bytes
    media_type: str


def written(found: Composed, options: Options, format_: Format) -> Written:
    lines, gaps = segments(found), found.gaps
    if format_ == "text":
        marked = formats.marked(lines, gaps)
        text = (
            formats.text(lines, names=True, gaps=gaps) if found.speakers else _joined(marked) + "\n"
        )
        return Written(text.encode(), _MEDIA["text"])
    if format_ == "srt":
        return Written(formats.srt(lines, gaps=gaps).encode(), _MEDIA["srt"])
    if format_ == "vtt":
        return Written(formats.vtt(lines, gaps=gaps).encode(), _MEDIA["vtt"])
    return Written(orjson.dumps(document(found, lines, options, format_)), _JSON)


def document(
    found: Composed, lines: Sequence[Segment], options: Options, format_: Format
) -> dict[str, Any]:
    """A JSON format."""
    if format_ == "verbose_json":
        shape = _verbose(found, lines, options)
    elif format_ == "diarized_json":
        shape = formats.diarized_json(lines, duration=found.seconds)
    else:
        shape = {"text": _joined(lines)}
    shape["usage"] = usage(found.seconds)
    if found.gaps:
        shape["gaps"] = [formats.gap_shape(gap) for gap in found.gaps]
    return shape | dict(found.beside)


def _verbose(found: Composed, lines: Sequence[Segment], options: Options) -> dict[str, Any]:
    """`words` only when they were asked for, and without `segments` when those alone were."""
    grains: frozenset[Grain] = options.grains or frozenset({"segment"})
    shape = formats.verbose_json(
        lines, duration=found.seconds, language=found.language, words="word" in grains
    )
    shape["task"] = "translate" if options.task == "translate" else "transcribe"
    if not found.speakers:
        for one in (*shape["segments"], *shape.get("words", ())):
            for name in ("speaker", "speaker_confidence", "overlapped"):
                one.pop(name, None)
    if "segment" not in grains:
        del shape["segments"]
    return shape


def usage(seconds: float) -> dict[str, Any]:
    return {"type": "duration", "seconds": round(seconds, 3)}


def gaps_header(gaps: Iterable[Gap]) -> bytes:
    """`12.000-300.000, …`: for formats that have no place for it."""
    return ", ".join(f"{gap.start:.3f}-{gap.end:.3f}" for gap in gaps).encode()


def frames(found: Composed, options: Options, format_: Format) -> list[bytes]:
    """The same as events. `done` has the whole document where the format says more than text."""
    lines = segments(found)
    texts = [one.text for one in lines]
    done: dict[str, Any] = {"text": " ".join(texts), "usage": usage(found.seconds)}
    spoken: list[dict[str, Any]] = []
    if format_ == "diarized_json":
        spoken = formats.diarized_json(lines, duration=found.seconds)["segments"]
    if format_ in {"srt", "vtt"}:
        done["transcript"] = written(found, options, format_).body.decode()
    elif format_ != "text":
        rest = document(found, lines, options, format_)
        if format_ == "verbose_json":
            done["transcript"] = rest
        else:
            done |= {name: rest[name] for name in ("gaps", *found.beside) if name in rest}
    pieces = [text if index == 0 else f" {text}" for index, text in enumerate(texts)]
    return text_events(pieces, spoken, done)


# ---- segments


def segments(found: Composed) -> list[Segment]:
    """By speaker and pause; where nobody looked who spoke, by sentence."""
    by_speaker = formats.segments(found.said)
    if found.speakers:
        return by_speaker
    return [sentence for one in by_speaker for sentence in _sentences(one)]


def _sentences(one: Segment) -> list[Segment]:
    found: list[Segment] = []
    run: list[Said] = []
    for said in one.words:
        run.append(said)
        if said.word.text[-1:] in ENDINGS or len(run) >= _SENTENCE_WORDS:
            found += formats.segments(run)
            run = []
    return found + formats.segments(run) if run else found


def _joined(lines: Iterable[Segment]) -> str:
    return str(formats.plain_json(lines)["text"])


# ---- names of speakers


def lettered(said: Sequence[Said], known: Iterable[str]) -> tuple[Said, ...]:
    """Speakers as the API of OpenAI calls them: `A`, `B`, … in the order in which they first speak,
    and those who are known by their names."""
    kept = frozenset(known)
    names: dict[str | None, str | None] = {None: None}
    count = 0
    for one in said:
        if one.speaker in names:
            continue
        if one.speaker in kept:
            names[one.speaker] = one.speaker
        else:
            while (letter := letters(count)) in kept:
                count += 1
            names[one.speaker] = letter
            count += 1
    return tuple(one._replace(speaker=names[one.speaker]) for one in said)


def letters(number: int) -> str:
    """0 is A, 25 is Z, 26 is AA."""
    found = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        found = chr(ord("A") + rest) + found
    return found
