"""A voice as 256 numbers of length one: the encoder of Resemblyzer, computed in numpy.

Three LSTM layers of 256 over a mel spectrogram, a linear layer and a rectifier (Wan et al.,
"Generalized End-to-End Loss for Speaker Verification", ICASSP 2018). Windows are computed together,
a batch at a time, so that one thread of a CPU is enough.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from server.engine.speakers import mel
from server.engine.speakers.stored import tensors
from server.engine.weights.pinned import SPEAKER
from server.engine.weights.shelf import Shelf

if TYPE_CHECKING:
    from server.engine.sound import Samples

LAYERS, SIZE = 3, 256
BATCH = 64
PER_SECOND = mel.RATE / mel.STEP
LOUDNESS_DBFS = -30.0
"""What is quieter is raised to this before it is looked at."""


class Encoder:
    """The loaded weights."""

    def __init__(self, weights: Mapping[str, "Samples"]) -> None:
        names = ("weight_ih_l", "weight_hh_l", "bias_ih_l", "bias_hh_l")
        self._layers = [
            tuple(np.ascontiguousarray(weights[f"lstm.{name}{layer}"]) for name in names)
            for layer in range(LAYERS)
        ]
        self._linear = weights["linear.weight"], weights["linear.bias"]
        self._bands = mel.bands()

    @classmethod
    def open(cls, shelf: Shelf | None = None) -> "Encoder":
        """Raises MissingWeights."""
        return cls(tensors((shelf or Shelf()).path(SPEAKER), "model_state"))

    def windows(
        self,
        samples: "Samples",
        spans: Sequence[tuple[float, float]],
        step: Callable[[], None] = lambda: None,
    ) -> "Samples":
        """One row for each (start, end) in seconds; the longest is the length of all.

        A shorter span is repeated until it is as long. `step` is called between batches: it may
        raise, when nobody waits any more.
        """
        if not spans:
            return np.zeros((0, SIZE), np.float32)
        frames = mel.spectrogram(_raised(samples), self._bands)
        length = max(1, round(max(end - start for start, end in spans) * PER_SECOND))
        found = []
        for at in range(0, len(spans), BATCH):
            step()
            cut = [_cut(frames, *span, length) for span in spans[at : at + BATCH]]
            found.append(self._embedded(np.stack(cut)))
        return np.concatenate(found)

    def _embedded(self, batch: "Samples") -> "Samples":
        """Windows by frames by bands to windows by 256."""
        steps = batch.transpose(1, 0, 2)
        for layer in self._layers:
            steps = _lstm(steps, *layer)
        weight, bias = self._linear
        rows = np.maximum(0, steps[-1] @ weight.T + bias)
        made: Samples = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
        return made


def _lstm(
    steps: "Samples", into: "Samples", across: "Samples", bias: "Samples", more: "Samples"
) -> "Samples":
    """One layer over time; the gates stand in PyTorch's order: input, forget, cell, output."""
    given = steps @ into.T + (bias + more)
    hidden = np.zeros((steps.shape[1], SIZE), np.float32)
    cell = np.zeros_like(hidden)
    said = np.empty((len(steps), *hidden.shape), np.float32)
    turned = np.ascontiguousarray(across.T)
    for at, row in enumerate(given):
        gates = row + hidden @ turned
        opened = 0.5 + 0.5 * np.tanh(0.5 * gates)  # the logistic function, without an overflow
        cell = opened[:, SIZE : 2 * SIZE] * cell
        cell += opened[:, :SIZE] * np.tanh(gates[:, 2 * SIZE : 3 * SIZE])
        hidden = opened[:, 3 * SIZE :] * np.tanh(cell)
        said[at] = hidden
    return said


def _cut(frames: "Samples", start: float, end: float, length: int) -> "Samples":
    first = min(round(start * PER_SECOND), len(frames) - 1)
    piece = frames[first : max(first + 1, round(end * PER_SECOND))]
    return piece[:length] if len(piece) >= length else np.resize(piece, (length, mel.BANDS))


def _raised(samples: "Samples") -> "Samples":
    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
    wanted = 10 ** (LOUDNESS_DBFS / 20)
    return samples if level <= 0 or level >= wanted else samples * np.float32(wanted / level)
