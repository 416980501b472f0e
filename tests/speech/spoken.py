"""Lines spoken by Kokoro, each made once and kept.

A voice is the engine's own (`server.engine.speech`), so that a change of the engine makes new
sounds: what is kept is known by the text, the voice, the weights and the source of the engine.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soxr

from server.engine import phonemes, speech
from server.engine.weights.pinned import AMERICAN, BRITISH, KOKORO, STYLES
from tests.speech.room import RATE, Sound
from tests.speech.scripts import Line
from tests.speech.shelf import Shelf


class Voices:
    """Loads the model when the first line is asked for that is not kept."""

    def __init__(self, shelf: Shelf | None = None) -> None:
        self._shelf = shelf or Shelf()
        self._version = _version()
        self._speech: speech.Speech | None = None

    def __call__(self, line: Line) -> Sound:
        """At `RATE`, one channel."""
        made_of = [line.text, line.voice, RATE, self._version]
        path = self._shelf.kept(made_of, ".f32", lambda: self._made(line))
        return np.fromfile(path, "<f4")

    def _made(self, line: Line) -> bytes:
        if self._speech is None:
            self._speech = speech.Speech.open()
        said = self._speech.say(line.text, line.voice)
        return np.asarray(soxr.resample(said, speech.RATE, RATE), "<f4").tobytes()


def _version() -> str:
    """Changes when anything does that a sound is made by."""
    found = hashlib.sha256()
    for weight in (KOKORO, STYLES, *AMERICAN, *BRITISH):
        found.update(weight.sha256.encode())
    sources = [Path(speech.__file__), *sorted(Path(phonemes.__file__).parent.glob("*.py"))]
    for source in sources:
        found.update(source.read_bytes())
    return found.hexdigest()


Spoken = Callable[[Line], Sound]
