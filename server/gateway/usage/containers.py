"""How long the sound in a container is, by the few bytes of it that say so. Pure.

Owns the formats that transcription services take; refuses to decode, and to follow a file without
bound: a reader takes `STEPS` steps at most.

    FLAC  samples in all, of STREAMINFO
    MP3   frames in all (Xing, Info, VBRI), else the bit rate of the first frames
    AAC   ADTS: the bit rate of the first frames
    Ogg   the position in its last page (Opus, Vorbis, FLAC, Speex)
    MP4   `mvhd`, wherever it is; of fragments the end of the last one
    WebM  its duration, else the time of its last cluster, else of the blocks that were looked at
"""

from struct import unpack
from typing import ClassVar

from server.gateway.usage.samples import RATES, STEPS, Aiff, Au, Container, Wants, Wav

MAGIC = 16
"""Bytes by which a container is known."""


class Flac(Container):
    def read(self) -> Wants:
        info = yield 0, 26
        if info[4] & 0x7F:
            return
        packed = int.from_bytes(info[18:26], "big")
        rate, channels = packed >> 44, (packed >> 41 & 7) + 1
        bits, samples = (packed >> 36 & 31) + 1, packed & (1 << 36) - 1
        if rate in RATES:
            self.most = rate * channels * bits / 8 * 1.1
            # Without a count (it was written as it was recorded): half the size of plain samples.
            self.told = samples / rate if samples else None
            self.per_second = self.most / 2.2


class Mpeg(Container):
    """Frames that each tell their own length: MP3, and AAC in ADTS."""

    most = 80_000.0
    _LOOKED_AT: ClassVar = 200

    def read(self) -> Wants:
        at = 0
        head = yield at, 10
        while head[:3] == b"ID3":
            at += 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
            head = yield at, 10
        self.start, spent, seconds = at, 0, 0.0
        for number in range(self._LOOKED_AT):
            frame = _mp3(head) or _adts(head)
            if frame is None:
                break
            length, lasts, tag = frame
            if number == 0 and tag and length > tag + 26:
                told = yield at + 10, tag + 16
                self._counted(told, tag - 10, lasts)
            spent, seconds, at = spent + length, seconds + lasts, at + length
            if number:  # One frame alone may be a chance.
                self.per_second = spent / seconds
            head = yield at, 10

    def _counted(self, told: bytes, tag: int, lasts: float) -> None:
        """Frames in all, by a tag of the encoder's in the first one."""
        frames = 0
        if told[tag : tag + 4] in {b"Xing", b"Info"} and told[tag + 7] & 1:
            frames = int.from_bytes(told[tag + 8 : tag + 12], "big")
        elif told[22:26] == b"VBRI":
            frames = int.from_bytes(told[36:40], "big")
        self.told = frames * lasts if frames else None


_MP3_RATES = ((11025, 12000, 8000), None, (22050, 24000, 16000), (44100, 48000, 32000))
_MP3_KBITS = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)


def _mp3(head: bytes) -> tuple[int, float, int] | None:
    """Length of a frame of layer III, its seconds, and where an encoder's tag would be in it."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    rates, third = _MP3_RATES[head[1] >> 3 & 3], head[2] >> 2 & 3
    first = head[1] >> 3 & 3 == 3
    kbits_at = head[2] >> 4
    if rates is None or third == 3 or not 1 <= kbits_at <= 14:
        return None
    rate, kbits = rates[third], _MP3_KBITS[0 if first else 1][kbits_at]
    samples = 1152 if first else 576
    length = samples // 8 * kbits * 1000 // rate + (head[2] >> 1 & 1)
    alone = head[3] >> 6 == 3
    tag = 4 + ((17 if alone else 32) if first else (9 if alone else 17))
    return length, samples / rate, tag


_ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)


def _adts(head: bytes) -> tuple[int, float, int] | None:
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    rate_at = head[2] >> 2 & 15
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    if rate_at >= len(_ADTS_RATES) or length < 8:
        return None
    return length, 1024 * ((head[6] & 3) + 1) / _ADTS_RATES[rate_at], 0


class Ogg(Container):
    """The position in the last page is the length. Its end is kept: a page is 65 307 bytes at
    most."""

    most = 400_000.0
    _PAGE: ClassVar = 65_307

    def __init__(self) -> None:
        super().__init__()
        self._end = bytearray()
        self._serial = b""
        self._rate = 0
        self._skip = 0

    def read(self) -> Wants:
        page = yield 0, 27
        body = page[26] + 27
        first = yield body, 40
        self._serial = page[14:18]
        if first[:8] == b"OpusHead":
            self._rate, self._skip = 48_000, int.from_bytes(first[10:12], "little")
        elif first[:7] == b"\x01vorbis":
            self._rate = int.from_bytes(first[12:16], "little")
        elif first[:5] == b"\x7fFLAC":
            self._rate = int.from_bytes(first[27:30], "big") >> 4
        elif first[:8] == b"Speex   ":
            self._rate = int.from_bytes(first[36:40], "little")

    def passed(self, chunk: bytes, at: int) -> None:
        end = self._end
        if len(chunk) >= self._PAGE:
            end[:] = chunk[-self._PAGE :]
        else:
            end += chunk
            if len(end) > 3 * self._PAGE:
                del end[: -self._PAGE]

    def seconds(self, size: int) -> float | None:
        if self._rate not in RATES:
            return None
        at = len(self._end)
        while (at := self._end.rfind(b"OggS", 0, at)) >= 0:
            page = self._end[at : at + 18]
            position = int.from_bytes(page[6:14], "little")
            if page[14:18] == self._serial and position < 1 << 56:  # all ones: no packet ends here
                return max(0, position - self._skip) / self._rate
        return None


class Mp4(Container):
    """Boxes of a length and a name. A recorder writes fragments, and no duration before them."""

    _ENTERED: ClassVar = frozenset({b"moov", b"trak", b"mdia", b"mvex", b"moof", b"traf"})
    _LOOKED_INTO: ClassVar = frozenset(
        {b"mvhd", b"tkhd", b"mdhd", b"mehd", b"trex", b"tfhd", b"tfdt", b"trun"}
    )

    def __init__(self) -> None:
        super().__init__()
        self._scale = 0  # units a second, of the whole and of each track
        self._scales: dict[int, int] = {}
        self._track = 0
        self._lasts = 0  # units of a sample, where all last alike
        self._reached = (0, 0.0)  # at which byte it was what second
        self._until = 0.0  # where the last fragment ends
        self._seen = True  # whether every fragment was looked at

    def read(self) -> Wants:
        at = 0
        for _ in range(STEPS):
            head = yield at, 16
            length, name, inside = int.from_bytes(head[:4], "big"), head[4:8], 8
            if length == 1:
                length, inside = int.from_bytes(head[8:16], "big"), 16
            if length < inside or not name.isascii():
                return
            if name in self._LOOKED_INTO and length >= inside + 8:
                self._learn(name, (yield at + inside, min(length - inside, 32)), at)
                if self.told is not None:
                    return
            at += inside if name in self._ENTERED else length
        self._seen = False

    def seconds(self, size: int) -> float | None:
        if self.told is not None:
            return self.told
        place, time = self._reached
        if self._until and self._seen:
            return max(time, self._until)
        return time * size / place if place and time else None

    def _learn(self, name: bytes, body: bytes, at: int) -> None:
        if name in {b"trex", b"tfhd", b"tfdt", b"trun"}:
            self._fragment(name, body, at)
            return
        wide = body[0] == 1
        past = 20 if wide else 12  # two times: made, changed
        value = int.from_bytes(body[past : past + 4], "big")
        if name == b"mvhd":
            self._scale = value
            self._tell(body[past + 4 : past + (12 if wide else 8)])
        elif name == b"mehd":
            self._tell(body[4 : 12 if wide else 8])
        elif name == b"tkhd":
            self._track = value
        elif name == b"mdhd" and len(self._scales) < 64:
            self._scales[self._track] = value

    def _fragment(self, name: bytes, body: bytes, at: int) -> None:
        scale = self._scales.get(self._track)
        if name == b"trex":
            self._lasts = int.from_bytes(body[12:16], "big")
        elif name == b"tfhd":
            self._track = int.from_bytes(body[4:8], "big")
            behind = 8 + (8 if body[3] & 1 else 0) + (4 if body[3] & 2 else 0)
            if body[3] & 8:
                self._lasts = int.from_bytes(body[behind : behind + 4], "big")
        elif name == b"tfdt" and scale:
            time = int.from_bytes(body[4 : 12 if body[0] == 1 else 8], "big") / scale
            if time >= self._reached[1]:
                self._reached = at, time
        elif name == b"trun" and scale:
            lasts = int.from_bytes(body[4:8], "big") * self._lasts / scale
            self._until = max(self._until, self._reached[1] + lasts)

    def _tell(self, length: bytes) -> None:
        told = int.from_bytes(length, "big")
        if self._scale and told and told != (1 << 8 * len(length)) - 1:
            self.told = told / self._scale


_SEGMENT, _INFO, _CLUSTER, _GROUP = 0x18538067, 0x1549A966, 0x1F43B675, 0xA0
_ENTERED = frozenset({_SEGMENT, _INFO, _CLUSTER, _GROUP})
_SCALE, _DURATION, _TIME, _SIMPLE, _BLOCK = 0x2AD7B1, 0x4489, 0xE7, 0xA3, 0xA1
_LOOKED_INTO = frozenset({_SCALE, _DURATION, _TIME, _SIMPLE, _BLOCK})
_CLUSTER_ID = b"\x1fC\xb6u"
_NANO = 1e-9


class Webm(Container):
    """Matroska. Recorders in browsers write no duration: time by bytes tells the rest then."""

    def __init__(self) -> None:
        super().__init__()
        self._scale = 1e6 * _NANO
        self._length = 0.0  # of the whole, in units of the scale
        self._cluster = 0
        self._reached = (0, 0)  # at which byte it was what time

    def read(self) -> Wants:
        at = 0
        for _ in range(STEPS):
            name, inside, length = _element((yield at, 12))
            if not name:
                return
            at += inside
            if name in _ENTERED:
                continue
            if length is None:
                return
            if name in _LOOKED_INTO and length:
                self._learn(name, (yield at, min(length, 8)), at)
            at += length

    def passed(self, chunk: bytes, at: int) -> None:
        found = chunk.rfind(_CLUSTER_ID)
        if found < 0:
            return
        _, inside, _ = _element(chunk[found : found + 12])
        found += inside
        name, inside, length = _element(chunk[found : found + 12])
        if name == _TIME and length is not None and 1 <= length <= 8:
            value = chunk[found + inside : found + inside + length]
            if len(value) == length:
                self._at(at + found, int.from_bytes(value, "big"))

    def seconds(self, size: int) -> float | None:
        if self._length:
            return self._length * self._scale
        place, time = self._reached
        return time * self._scale * size / place if place and time else None

    def _learn(self, name: int, value: bytes, at: int) -> None:
        number = int.from_bytes(value, "big")
        if name == _SCALE:
            self._scale = min(number, 10**12) * _NANO
        elif name == _DURATION and len(value) in {4, 8}:
            (length,) = unpack(">f" if len(value) == 4 else ">d", value)
            self._length = length if 0 < length < 1e15 else 0.0
        elif name == _TIME:
            self._cluster = number
            self._at(at, number)
        elif len(value) >= 3:  # a block: its track, then its time from that of its cluster
            self._at(at, self._cluster + int.from_bytes(value[1:3], "big", signed=True))

    def _at(self, place: int, time: int) -> None:
        if place > self._reached[0] and self._reached[1] <= time < 1 << 48:
            self._reached = place, time


def _element(head: bytes) -> tuple[int, int, int | None]:
    """Name, bytes of the head, and length; None: it ends where its parent does. Name 0: none."""
    if not head or head[0] < 0x10:
        return 0, 0, None
    after = 9 - head[0].bit_length()
    if len(head) <= after or not head[after]:
        return 0, 0, None
    width = 9 - head[after].bit_length()
    length = int.from_bytes(head[after : after + width], "big") & (1 << 7 * width) - 1
    unknown = length == (1 << 7 * width) - 1
    return int.from_bytes(head[:after], "big"), after + width, None if unknown else length


_BY_NAME: tuple[tuple[int, bytes, type[Container]], ...] = (
    (8, b"WAVE", Wav),
    (8, b"AIFF", Aiff),
    (8, b"AIFC", Aiff),
    (0, b".snd", Au),
    (0, b"fLaC", Flac),
    (0, b"OggS", Ogg),
    (4, b"ftyp", Mp4),
    (4, b"moov", Mp4),
    (4, b"mdat", Mp4),
    (0, b"\x1aE\xdf\xa3", Webm),
    (0, b"ID3", Mpeg),
)


def container_of(head: bytes) -> Container | None:
    """By the first `MAGIC` bytes of a file."""
    for at, name, kind in _BY_NAME:
        if head.startswith(name, at):
            return kind()
    return Mpeg() if _mp3(head) or _adts(head) else None
