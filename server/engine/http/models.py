"""The three models of the engine and the line before each: loaded in the background, or why not.

Owns readiness. A model whose weights are missing answers 503 with what to install; the others work
all the same, but the engine is not ready.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from server.base.errors import ModelLoading, SparkError, Unavailable
from server.engine.hearing import Hearing
from server.engine.line import Line
from server.engine.speakers.diarize import Speakers
from server.engine.speech import Speech
from server.engine.weights.shelf import Shelf

NAMES = {"whisper-base": "asr", "kokoro-82m": "tts", "resemblyzer": "diarize"}
OPENERS: Mapping[str, Callable[[Shelf], Any]] = {
    "asr": Hearing.open,
    "tts": Speech.open,
    "diarize": Speakers.open,
}


class Loaded(NamedTuple):
    """A model, or why there is none (None while it is being loaded)."""

    model: Any = None
    error: SparkError | None = None


class Models:
    """By task: asr, tts, diarize."""

    def __init__(
        self,
        shelf: Shelf,
        waiting: int,
        openers: Mapping[str, Callable[[Shelf], Any]] = OPENERS,
    ) -> None:
        self._shelf = shelf
        self._openers = openers
        self._found = {task: Loaded() for task in openers}
        self.lines = {task: Line(name, waiting) for name, task in NAMES.items()}

    async def load(self) -> None:
        """One after the other; returns when all is loaded or known to be missing."""
        for task, opener in self._openers.items():
            try:
                model = await asyncio.to_thread(opener, self._shelf)
            except SparkError as error:
                self._found[task] = Loaded(error=error)
            else:
                self._found[task] = Loaded(model)

    def get(self, task: str) -> Any:
        """Raises ModelLoading, or why it could not be loaded."""
        found = self._found[task]
        if found.error is not None:
            raise Unavailable(found.error.message, advice=found.error.advice) from found.error
        if found.model is None:
            raise ModelLoading("The model is being loaded.", advice="Try again.", retry_after=2)
        return found.model

    @property
    def ready(self) -> bool:
        return all(found.model is not None for found in self._found.values())

    @property
    def status(self) -> str:
        """`ok`; `loading`; `incomplete` when something is missing and nothing more is loaded."""
        if any(found.model is None and found.error is None for found in self._found.values()):
            return "loading"
        return "ok" if self.ready else "incomplete"

    def states(self) -> dict[str, str]:
        """By the model's name: ready, loading, or what is missing."""
        said = {}
        for name, task in NAMES.items():
            found = self._found[task]
            if found.error is not None:
                said[name] = f"{found.error.message} {found.error.advice or ''}".strip()
            else:
                said[name] = "loading" if found.model is None else "ready"
        return said

    def close(self) -> None:
        for line in self.lines.values():
            line.close()
