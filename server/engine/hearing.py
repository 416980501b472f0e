"""Speech to text by Whisper base (int8, CTranslate2): words with times and how sure they are.

Owns the loaded model and the settings that keep it from inventing: silence is cut out first,
nothing is carried from one window to the next. Gives one segment after the other, so that whoever
asks reads along and may leave between two of them.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from server.base.errors import InvalidRequest
from server.engine.extra import need
from server.engine.languages import NAMES
from server.engine.sound import RATE
from server.engine.weights.pinned import WHISPER
from server.engine.weights.shelf import Shelf

if TYPE_CHECKING:
    from server.engine.sound import Samples

THREADS = 2
LONGEST_PROMPT = 800


class Word(NamedTuple):
    text: str
    start: float
    end: float
    probability: float


class Segment(NamedTuple):
    number: int
    seek: int
    start: float
    end: float
    text: str
    tokens: tuple[int, ...]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: tuple[Word, ...]


class Asked(NamedTuple):
    """What may be said about the recording. `language` is a code, None to find out."""

    language: str | None = None
    prompt: str | None = None
    temperature: float = 0.0
    translate: bool = False
    words: bool = True


class Heard(NamedTuple):
    """`language` is a code; `segments` is worked out while it is read."""

    language: str
    segments: Iterator[Segment]


def language_code(text: str) -> str:
    """A code for a code or an English name. Raises InvalidRequest."""
    low = text.strip().lower().partition("-")[0]
    codes = {name: code for code, name in NAMES.items()}
    code = codes.get(low, low)
    if code not in NAMES:
        raise InvalidRequest("Whisper knows no such language.", param="language")
    return code


class Hearing:
    """The loaded model. Not for two threads at once."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @classmethod
    def open(cls, shelf: Shelf | None = None) -> "Hearing":
        """Checks and loads the weights. Raises MissingWeights."""
        whisper = need("faster_whisper")
        folder = (shelf or Shelf()).directory("whisper", WHISPER)
        return cls(
            whisper.WhisperModel(
                str(folder),
                device="cpu",
                compute_type="int8",
                cpu_threads=THREADS,
                local_files_only=True,
            )
        )

    def hear(self, samples: "Samples", asked: Asked = Asked()) -> Heard:  # noqa: B008 - frozen
        """The first look at the sound (its language) is taken now, the rest while it is read."""
        if len(samples) < RATE // 10:
            return Heard(asked.language or "en", iter(()))
        found, about = self._model.transcribe(
            samples,
            language=asked.language,
            task="translate" if asked.translate else "transcribe",
            beam_size=1,
            temperature=asked.temperature or (0.0, 0.4, 0.8),
            initial_prompt=(asked.prompt or "")[-LONGEST_PROMPT:] or None,
            condition_on_previous_text=False,
            word_timestamps=asked.words,
            vad_filter=True,
        )
        return Heard(str(about.language), (_segment(at, one) for at, one in enumerate(found)))


def _segment(number: int, found: Any) -> Segment:
    words = tuple(
        Word(str(one.word), float(one.start), float(one.end), float(one.probability))
        for one in found.words or ()
    )
    return Segment(
        number,
        int(found.seek),
        float(found.start),
        float(found.end),
        str(found.text),
        tuple(found.tokens),
        float(found.temperature or 0.0),
        float(found.avg_logprob),
        float(found.compression_ratio),
        float(found.no_speech_prob),
        words,
    )
