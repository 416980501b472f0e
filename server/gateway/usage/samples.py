"""Files of plain samples, and what every container has in common. Pure.

A reader is a generator: it asks for `(place, length)` and is sent these bytes when they pass; no
place lies before the last one. What it learns is kept in its container. Owns the formats whose
length is their size by the width of a sample: WAV, AIFF, AU. No length in a header is believed.
"""

from collections.abc import Generator
from typing import ClassVar

Wants = Generator[tuple[int, int], bytes, None]

STEPS = 2000
RATES = range(1_000, 768_001)


class Container:
    """`most` is how many bytes a second can take, so that no header makes sound shorter: a
    film in these."""

    most: float = 12_500_000.0

    def __init__(self) -> None:
        self.start = 0  # where sound begins
        self.per_second = 0.0  # bytes, once they are known
        self.told: float | None = None  # seconds of the whole, as the header says

    def read(self) -> Wants:
        raise NotImplementedError

    def passed(self, chunk: bytes, at: int) -> None:
        """Every chunk, behind what was asked for of it."""

    def seconds(self, size: int) -> float | None:
        """Of the first `size` bytes. None: it cannot be told."""
        if self.told is not None:
            return self.told
        return max(0, size - self.start) / self.per_second if self.per_second else None


class Wav(Container):
    """RIFF, RF64 and BW64: chunks of a name and a length."""

    _PLAIN: ClassVar = frozenset({1, 3, 6, 7, 0xFFFE})

    def read(self) -> Wants:
        at, width = 12, 0.0
        for _ in range(STEPS):
            head = yield at, 8
            name, length = head[:4], int.from_bytes(head[4:8], "little")
            if name == b"data":
                self.start, self.per_second = at + 8, width
                self.most = width or self.most
                return
            if name == b"fmt " and 16 <= length <= 4096:
                width = self._width((yield at + 8, 16))
            at += 8 + length + length % 2

    def _width(self, form: bytes) -> float:
        """Bytes a second; 0 for what makes no sense."""
        kind, channels, rate, told, block, bits = (
            int.from_bytes(form[a:b], "little")
            for a, b in ((0, 2), (2, 4), (4, 8), (8, 12), (12, 14), (14, 16))
        )
        if rate not in RATES or not 1 <= channels <= 64:
            return 0.0
        if kind in self._PLAIN:
            if bits not in {8, 16, 24, 32, 64} or block != channels * bits // 8:
                return 0.0
            return float(rate * block)
        # Compressed: its own word, within what codecs of speech and music take.
        return float(told) if 500 <= told <= 200_000 else 0.0


class Aiff(Container):
    """Like WAV, with the other order of bytes and a rate of 80 bits."""

    def read(self) -> Wants:
        at, width = 12, 0.0
        for _ in range(STEPS):
            head = yield at, 8
            name, length = head[:4], int.from_bytes(head[4:8], "big")
            if name == b"SSND":
                self.start, self.per_second = at + 16, width
                self.most = width or self.most
                return
            if name == b"COMM" and 18 <= length <= 4096:
                width = self._width((yield at + 8, 18))
            at += 8 + length + length % 2

    def _width(self, form: bytes) -> float:
        channels, bits = int.from_bytes(form[:2], "big"), int.from_bytes(form[6:8], "big")
        shift = 16446 - int.from_bytes(form[8:10], "big")
        rate = int.from_bytes(form[10:18], "big") >> shift if 0 <= shift < 64 else 0
        good = rate in RATES and 1 <= channels <= 64 and bits in {8, 16, 24, 32, 64}
        return float(rate * channels * bits // 8) if good else 0.0


class Au(Container):
    _WIDTHS: ClassVar = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}

    def read(self) -> Wants:
        head = yield 0, 24
        start, _, kind, rate, channels = (
            int.from_bytes(head[at : at + 4], "big") for at in range(4, 24, 4)
        )
        width = self._WIDTHS.get(kind, 0)
        if width and rate in RATES and 1 <= channels <= 64:
            self.start, self.per_second = start, float(rate * channels * width)
            self.most = self.per_second
