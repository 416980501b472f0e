"""What plain sound is here: 16 bit or floats, one channel, 16 kHz. Pure; needs numpy."""

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
WIDTH = 2
"""Bytes of a sample on disk."""
Samples = NDArray[np.int16]
Wave = NDArray[np.float32]
"""From -1 to 1."""
