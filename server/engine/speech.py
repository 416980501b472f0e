"""Text to speech by Kokoro 82M (int8, ONNX): 28 English voices, 24 kHz.

Owns the loaded model and the styles of the voices. Says one line at a time, so that whoever asks
has the first sound soon and may leave between two lines. The alphabet is that of the model's own
configuration; the style of a voice depends on how long a line is.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from server.base.errors import InvalidRequest
from server.engine.extra import need
from server.engine.phonemes.lexicon import Entry, Lexicon
from server.engine.phonemes.script import LONGEST, lines
from server.engine.weights.pinned import AMERICAN, BRITISH, KOKORO, STYLES, VOICES
from server.engine.weights.shelf import Shelf

if TYPE_CHECKING:
    from server.engine.sound import Samples

RATE = 24_000
THREADS = 2
STYLE_ROWS, STYLE_SIZE = 510, 256
QUIET = 0.01
"""Below this a sample counts as silence at the ends of a line."""
LEAD, PAUSE = 0.05, 0.2
"""Seconds of silence kept before and after a line."""
OPENAI_VOICES: Mapping[str, str] = {
    "alloy": "af_alloy",
    "echo": "am_echo",
    "fable": "bm_fable",
    "nova": "af_nova",
    "onyx": "am_onyx",
    "shimmer": "af_sky",
}
"""The nearest to the names that clients of the OpenAI API send."""
_ALPHABET: Mapping[str, int] = {
    ";": 1, ":": 2, ",": 3, ".": 4, "!": 5, "?": 6, "—": 9, "…": 10, '"': 11, "(": 12, ")": 13,
    "“": 14, "”": 15, " ": 16, "A": 24, "I": 25, "O": 31, "Q": 33, "S": 35, "T": 36, "W": 39,
    "Y": 41, "ᵊ": 42, "a": 43, "b": 44, "c": 45, "d": 46, "e": 47, "f": 48, "h": 50, "i": 51,
    "j": 52, "k": 53, "l": 54, "m": 55, "n": 56, "o": 57, "p": 58, "q": 59, "r": 60, "s": 61,
    "t": 62, "u": 63, "v": 64, "w": 65, "x": 66, "y": 67, "z": 68, "ɑ": 69, "ɐ": 70, "ɒ": 71,
    "æ": 72, "ɔ": 76, "ð": 81, "ʤ": 82, "ə": 83, "ɚ": 85, "ɛ": 86, "ɜ": 87, "ɡ": 92, "ɪ": 102,
    "ŋ": 112, "θ": 119, "ɹ": 123, "ɾ": 125, "ʃ": 131, "ʧ": 133, "ʊ": 135, "ʌ": 138, "ʒ": 147,
    "ʔ": 148, "ˈ": 156, "ˌ": 157, "ː": 158, "ᵻ": 177,
}  # fmt: skip


def voice_id(name: str) -> str:
    """The voice that `name` means. Raises InvalidRequest with those there are."""
    voice = OPENAI_VOICES.get(name, name)
    if voice not in VOICES:
        raise InvalidRequest(
            "There is no such voice here.", param="voice", advice=f"Voices: {', '.join(VOICES)}."
        )
    return voice


class Speech:
    """The loaded model. Not for two threads at once."""

    def __init__(self, session: Any, styles: "Samples", lexicons: Mapping[str, Lexicon]) -> None:
        self._session = session
        self._styles = styles
        self._lexicons = lexicons

    @classmethod
    def open(cls, shelf: Shelf | None = None) -> "Speech":
        """Checks and loads the weights. Raises MissingWeights."""
        shelf = shelf or Shelf()
        runtime = need("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.inter_op_num_threads = 1
        # Threads that spin while they wait take the other core from the model beside this one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_mem_pattern = False  # every line has another shape
        session = runtime.InferenceSession(
            str(shelf.path(KOKORO)), options, providers=["CPUExecutionProvider"]
        )
        flat = np.fromfile(shelf.path(STYLES), "<f4")
        styles = flat.reshape(len(VOICES), STYLE_ROWS, STYLE_SIZE)
        american = Lexicon(_entries([shelf.path(weight) for weight in AMERICAN]))
        british = Lexicon(_entries([shelf.path(weight) for weight in BRITISH]), british=True)
        return cls(session, styles, {"a": american, "b": british})

    def say(self, text: str, voice: str, *, speed: float = 1.0) -> "Samples":
        """All of `text` at once: float samples at 24 kHz, silent when there is nothing to say."""
        pieces = list(self.pieces(text, voice, speed=speed))
        return np.concatenate(pieces) if pieces else np.zeros(int(RATE * PAUSE), np.float32)

    def pieces(self, text: str, voice: str, *, speed: float = 1.0) -> Iterator["Samples"]:
        """Line by line."""
        voice = voice_id(voice)
        for line in lines(text, self._lexicons[voice[0]]):
            tokens = [_ALPHABET[sound] for sound in line if sound in _ALPHABET][:LONGEST]
            if tokens:
                yield self._line(tokens, voice, speed)

    def _line(self, tokens: list[int], voice: str, speed: float) -> "Samples":
        style = self._styles[VOICES.index(voice), min(len(tokens), STYLE_ROWS) - 1]
        feed = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": style[None, :],
            "speed": np.array([speed], np.float32),
        }
        sound: Samples = self._session.run(None, feed)[0].reshape(-1)
        return _framed(sound)


def _framed(sound: "Samples") -> "Samples":
    """Short, even silences at both ends, in place of what the model leaves there."""
    loud = np.flatnonzero(np.abs(sound) > QUIET)
    if not len(loud):
        return np.zeros(int(RATE * PAUSE), np.float32)
    first = max(0, int(loud[0]) - int(LEAD * RATE))
    last = int(loud[-1]) + int(LEAD * RATE)
    after = np.zeros(int(PAUSE * RATE), np.float32)
    return np.concatenate([sound[first:last].astype(np.float32), after])


def _entries(paths: list[Path]) -> dict[str, Entry]:
    """Later files win."""
    found: dict[str, Entry] = {}
    for path in paths:
        found.update(json.loads(path.read_text("utf-8")))
    return found


def say(text: str, voice: str, shelf: Shelf | None = None) -> "Samples":
    """By a model loaded for this text alone. For several keep a `Speech`: loading takes long."""
    return Speech.open(shelf).say(text, voice)
