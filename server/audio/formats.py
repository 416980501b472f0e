"""A transcript written down: `text`, `srt`, `vtt`, `json`, `verbose_json`, `diarized_json`.

The shapes are those of the OpenAI transcription API. Subtitles hold no line that could end a cue
early or be taken for markup: words come from a recogniser, and what it heard is not to be trusted
with a player's syntax. What nobody heard is never left out: JSON forms list it as `gaps`, the
others have `[…]` in its place.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from server.audio.model import Gap, Said, Segment, Word, joined

PAUSE = 1.0
"""Seconds of silence after which the same speaker begins a new segment."""
CUE_SECONDS = 7.0
CUE_LETTERS = 84
"""Two lines of 42 letters for at most seven seconds are what can be read from a screen."""
UNKNOWN = "UNKNOWN"
GAP = "[…]"


def segments(said: Iterable[Said], pause: float = PAUSE) -> list[Segment]:
    """Neighbouring words of one speaker (and channel) without a long pause, in order."""
    found: list[Segment] = []
    run: list[Said] = []
    who: tuple[str | None, str | None] = (None, None)
    reached = 0.0
    for one in said:
        _, start, end, _ = one.word
        now = (one.speaker, one.channel)
        if run and (now != who or start - reached > pause):
            found.append(_segment(run))
            run = []
        run.append(one)
        who, reached = now, end
    if run:
        found.append(_segment(run))
    return found


def _segment(run: Sequence[Said]) -> Segment:
    end = max(one.word.end for one in run)
    return Segment(run[0].speaker, run[0].word.start, end, tuple(run), run[0].channel)


def marked(found: Iterable[Segment], gaps: Iterable[Gap]) -> list[Segment]:
    """With a segment for each gap in the words, in order."""
    marks = [
        Segment(None, gap.start, gap.end, (_unheard(Word(GAP, gap.start, gap.end)),))
        for gap in gaps
        if gap.missing == "words"
    ]
    if not marks:
        return list(found)
    return sorted([*found, *marks], key=lambda one: one.start)


def _unheard(word: Word) -> Said:
    return Said(word, None, 0.0, False, "none")


def text(found: Iterable[Segment], *, names: bool = False, gaps: Iterable[Gap] = ()) -> str:
    """One line per segment; with `names` each begins with its speaker."""
    lines = (
        f"{one.speaker or UNKNOWN}: {one.text}" if names and one.text != GAP else one.text
        for one in marked(found, gaps)
    )
    return "\n".join(lines) + "\n"


def srt(found: Iterable[Segment], *, gaps: Iterable[Gap] = ()) -> str:
    cues = enumerate(_cues(marked(found, gaps)), 1)
    return "\n".join(
        f"{number}\n{stamp(one.start, ',')} --> {stamp(one.end, ',')}\n{_cue_text(one)}\n"
        for number, one in cues
    )


def vtt(found: Iterable[Segment], *, gaps: Iterable[Gap] = ()) -> str:
    """Speakers are voice spans, which a player may show or leave out."""
    cues = (
        f"{stamp(one.start, '.')} --> {stamp(one.end, '.')}\n{_voice(one)}{_inert(one.text)}\n"
        for one in _cues(marked(found, gaps))
    )
    return "WEBVTT\n\n" + "\n".join(cues)


def plain_json(found: Iterable[Segment]) -> dict[str, Any]:
    return {"text": joined(one.text for one in found)}


def verbose_json(
    found: Sequence[Segment],
    *,
    duration: float,
    language: str | None,
    words: bool,
    gaps: Sequence[Gap] = (),
) -> dict[str, Any]:
    """`words` adds each word with its speaker and how sure that is."""
    shape: dict[str, Any] = {
        "task": "transcribe",
        "language": language,
        "duration": round(duration, 3),
        "text": joined(one.text for one in found),
        "segments": [
            {"id": number, **_times(one.start, one.end), "text": one.text, "speaker": one.speaker}
            for number, one in enumerate(found)
        ],
    }
    if words:
        shape["words"] = [_word(one) for segment in found for one in segment.words]
    return shape | _gaps(gaps)


def diarized_json(
    found: Sequence[Segment], *, duration: float, gaps: Sequence[Gap] = ()
) -> dict[str, Any]:
    shape = {
        "task": "transcribe",
        "duration": round(duration, 3),
        "text": joined(one.text for one in found),
        "segments": [
            {
                "type": "transcript.text.segment",
                "id": f"seg_{number:03d}",
                **_times(one.start, one.end),
                "text": one.text,
                "speaker": one.speaker or UNKNOWN,
            }
            for number, one in enumerate(found)
        ],
    }
    return shape | _gaps(gaps)


def _gaps(gaps: Sequence[Gap]) -> dict[str, Any]:
    return {"gaps": [gap_shape(gap) for gap in gaps]} if gaps else {}


def gap_shape(gap: Gap) -> dict[str, Any]:
    """`code` and `reason` are those of the error, for programs and for people."""
    why = {"missing": gap.missing, "code": gap.code, "reason": gap.reason}
    return {**_times(gap.start, gap.end), **why}


def dropped_shape(word: Word, *, text: bool) -> dict[str, Any]:
    """A word that was taken out because nothing sounds there. Without its text where the text was
    scrubbed: what was taken out was not looked through."""
    said = {"word": word.text.strip()} if text else {}
    return {**said, **_times(word.start, word.end), "reason": "repeated_in_silence"}


def _word(one: Said) -> dict[str, Any]:
    (text, start, end, confidence), speaker, certainty, overlapped, _, channel = one
    shape: dict[str, Any] = {
        "word": text.strip(),
        "start": round(start, 3),
        "end": round(end, 3),
        "speaker": speaker,
        "speaker_confidence": round(certainty, 3),
        "overlapped": overlapped,
    }
    if confidence is not None:
        shape["confidence"] = round(confidence, 3)
    if channel is not None:
        shape["channel"] = channel
    return shape


def _times(start: float, end: float) -> dict[str, float]:
    return {"start": round(start, 3), "end": round(end, 3)}


# ---- subtitles


def stamp(seconds: float, mark: str) -> str:
    """`01:02:03,456`. Hours grow as they must: a recording may last longer than 99 of them."""
    whole = round(max(0.0, seconds) * 1000)
    minutes, milliseconds = divmod(whole, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}{mark}{milliseconds % 1000:03d}"


def _cues(found: Iterable[Segment]) -> list[Segment]:
    """Segments cut to what fits a screen, never within a word. Silent ones are left out."""
    cues: list[Segment] = []
    for segment in found:
        run: list[Said] = []
        letters = 0
        for one in segment.words:
            length = len(_one_line(one.word.text))
            if not length:
                continue
            late = run and one.word.end - run[0].word.start > CUE_SECONDS
            if run and (late or letters + 1 + length > CUE_LETTERS):
                cues.append(_segment(run))
                run, letters = [], 0
            run.append(one)
            letters += 1 + length
        if run:
            cues.append(_segment(run))
    return cues


def _cue_text(one: Segment) -> str:
    said = _one_line(one.text).replace("-->", "→")
    return f"{_one_line(one.speaker)}: {said}" if one.speaker else said


def _voice(one: Segment) -> str:
    return f"<v {_inert(one.speaker)}>" if one.speaker else ""


def _inert(words: str) -> str:
    return _one_line(words).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _one_line(words: str) -> str:
    """An empty line would end the cue; what cannot be printed may end a line."""
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())
