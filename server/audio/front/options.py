"""What a caller asks of a recording, read from its form. Pure values.

Owns the names of what can be asked. Refuses to know which engine does it.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from server.audio.scrub.model import Wanted

Task = Literal["transcribe", "translate", "diarize"]
Format = Literal["json", "text", "srt", "vtt", "verbose_json", "diarized_json"]
FORMATS: tuple[Format, ...] = get_args(Format)
Grain = Literal["word", "segment"]
GRAINS: tuple[Grain, ...] = get_args(Grain)


@dataclass(frozen=True, slots=True)
class Scrubbing:
    """What is to be taken out of the transcript. `reversible` adds what stood there."""

    wanted: Wanted
    reversible: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """The form of a transcription, translation or diarization.

    `format` is the name as it was given: an engine may know more than we do. `format_told` says
    whether it was given at all. `vocabulary` are words to listen for. `diarize`, `scrub`,
    `referee` (None: as the settings say) and `progress` are ours. `names` and `references` are
    known speakers and short recordings of them (data URLs). `others` is everything else, in order:
    it goes to the engine as it came.
    """

    task: Task = "transcribe"
    model: str | None = None
    languages: tuple[str, ...] = ()
    prompt: str = ""
    vocabulary: tuple[str, ...] = ()
    format: str = "json"
    format_told: bool = False
    grains: frozenset[Grain] = frozenset()
    temperature: float | None = None
    stream: bool = False
    logprobs: bool = False
    diarize: bool = False
    names: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    scrub: Scrubbing | None = None
    referee: bool | None = None
    progress: bool = False
    others: tuple[tuple[str, str], ...] = ()

    @property
    def language(self) -> str | None:
        return self.languages[0] if self.languages else None

    @property
    def speakers(self) -> bool:
        """Whether the answer says who spoke."""
        return self.diarize or self.format == "diarized_json"
