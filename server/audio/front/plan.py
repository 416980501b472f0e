"""Whether the engine can do alone what was asked of a recording. Pure.

    plain      the form goes to the engine as it came, and the answer comes back as it is
    composed   it is decoded, heard in parts where it is long, and the answer is written here

Owns that decision and the limits of length. A recording is composed for reasons only, and they are
told; whatever an engine can do itself it does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from server.audio.front.dialect.traits import Traits
from server.audio.front.options import FORMATS, Format, Options
from server.audio.sound.model import Sound
from server.base.errors import InvalidRequest, PayloadTooLarge

Reason = Literal["long", "speakers", "scrub", "format", "container", "stream", "language"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, as `audio:` in config.yaml sets them."""

    transcribe: float
    diarize: float
    long: float


@dataclass(frozen=True, slots=True)
class Plan:
    """No `reasons`: plain. `speakers`: who spoke must be found out here."""

    reasons: tuple[Reason, ...] = ()
    speakers: bool = False

    @property
    def composed(self) -> bool:
        return bool(self.reasons)


def cap(options: Options, limits: Limits, *, chunk: bool = False) -> tuple[float, str]:
    """The longest recording that this may be asked of, and the setting that says so."""
    if options.task == "diarize" or chunk:
        return limits.diarize, "max_diarize_seconds"
    if options.speakers and limits.diarize < limits.transcribe:
        return limits.diarize, "max_diarize_seconds"
    return limits.transcribe, "max_transcribe_seconds"


def check_length(sound: Sound, most: float, setting: str) -> None:
    """Raises `PayloadTooLarge` with both figures."""
    if not sound.beyond and sound.seconds <= most:
        return
    length = f"is longer than {most:g} s" if sound.beyond else f"lasts {sound.seconds:.1f} s"
    doing = (
        "speakers are told apart in" if setting == "max_diarize_seconds" else "is transcribed of"
    )
    raise PayloadTooLarge(
        f"The recording {length}, and {most:g} s are the most that {doing} one recording here.",
        param="file",
        advice=f"Send it in parts, or raise audio.{setting} in the settings.",
    )


def decide(
    options: Options, sound: Sound, traits: Traits, limits: Limits, *, diarizer: bool
) -> Plan:
    """`traits` of whoever may answer, `diarizer`: whether there is a service that tells speakers
    apart. Raises `InvalidRequest` for a format that only the engine knows where it is not asked."""
    if options.task == "diarize":
        return Plan(tuple(_diarizing(sound, traits, limits)))
    # An engine may know speakers itself: where nobody else does, it is left to it.
    theirs = options.format == "diarized_json" and not diarizer and not options.diarize
    if theirs and options.scrub is None and traits.opens(sound.container):
        return Plan()
    speakers = options.speakers
    reasons = tuple(_hearing(options, sound, traits, limits, speakers=speakers))
    if reasons:
        written(options)
    return Plan(reasons, speakers)


def written(options: Options) -> Format:
    """The format, as one that is written here."""
    for known in FORMATS:
        if options.format == known:
            return known
    raise InvalidRequest(
        f"response_format is one of {', '.join(FORMATS)}.", param="response_format"
    )


def _hearing(
    options: Options, sound: Sound, traits: Traits, limits: Limits, *, speakers: bool
) -> Iterator[Reason]:
    if sound.seconds > limits.long:
        yield "long"
    if speakers:
        yield "speakers"
    if options.scrub is not None:
        yield "scrub"
    ours = options.format in FORMATS and options.format not in traits.formats
    if ours and options.format != "diarized_json":
        yield "format"
    if not traits.opens(sound.container):
        yield "container"
    if options.stream and not traits.streams:
        yield "stream"
    if traits.needs_language and options.language is None:
        yield "language"


def _diarizing(sound: Sound, traits: Traits, limits: Limits) -> Iterator[Reason]:
    if sound.seconds > limits.long:
        yield "long"
    if not traits.opens(sound.container):
        yield "container"
