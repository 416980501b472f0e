"""Frames of a decoder become blocks of samples."""

import av
import numpy as np
import pytest

from server.audio.sound.child.gather import Gathered, floats, shape_of, trusted


def frame(samples: np.ndarray, kind: str, layout: str) -> av.AudioFrame:
    made = av.AudioFrame.from_ndarray(samples, format=kind, layout=layout)
    made.sample_rate = 16_000
    return made


@pytest.mark.parametrize(
    ("kind", "full"),
    [("u8", None), ("s16", 32_768), ("s32", 1 << 31), ("flt", 1), ("dbl", 1), ("fltp", 1)],
)
def test_every_kind_of_sample_is_from_minus_one_to_one(kind: str, full: int | None) -> None:
    """Whole numbers by their full scale, bytes from their middle; planes side by side."""
    left, right = np.array([0.5, -0.5, 0.25]), np.array([-1.0, 0.0, 0.75])
    both = np.stack((left, right)) if kind.endswith("p") else np.stack((left, right), 1).ravel()
    types = {"u8": "u1", "s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8", "fltp": "f4"}
    scaled = both * 128 + 128 if full is None else both * full
    samples = scaled.astype(types[kind]).reshape((2, -1) if kind.endswith("p") else (1, -1))
    made = frame(samples, kind, "stereo")
    gathered = Gathered(shape_of(made))
    gathered.add(made)
    gathered.add(made)
    assert gathered.samples == 6
    taken = gathered.taken()
    assert taken.dtype == np.float32
    assert np.allclose(taken, np.tile(np.stack((left, right), axis=1), (2, 1)), atol=0.01)
    assert gathered.samples == 0
    assert gathered.taken().shape == (0, 2)


def test_what_is_not_a_number_is_silent_and_the_rest_as_it_was() -> None:
    """What is far too loud is bounded, so that a resampler cannot make it endless."""
    odd = np.array([[np.nan], [np.inf], [-np.inf], [1e30], [0.25]], np.float32)
    assert floats(odd)[:, 0].tolist() == [0, 0, 0, 8, 0.25]


def test_planes_that_a_frame_has_no_room_for_are_not_looked_at() -> None:
    """A confused decoder tells of more than there are; samples side by side may be many."""
    assert trusted(av.AudioFrame("fltp", "7.1", 4))
    assert not trusted(av.AudioFrame("fltp", "hexadecagonal", 4))
    assert trusted(av.AudioFrame("s16", "hexadecagonal", 4))
