"""Which kinds of recording are opened, and what other files look like. Pure tables.

Owns the lists: a container or a codec that is not in them is refused, since each brings a parser
of its own that a hostile file may break.
"""

CONTAINERS = {
    "wav": "wav",
    "w64": "w64",
    "mp3": "mp3",
    "aac": "aac",
    "mov,mp4,m4a,3gp,3g2,mj2": "mp4",
    "matroska,webm": "webm",
    "ogg": "ogg",
    "flac": "flac",
    "aiff": "aiff",
    "au": "au",
    "caf": "caf",
    "amr": "amr",
}
"""What is opened, by the library's name of it, and our word for it."""

_COMPRESSED = (
    *("mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "aac", "opus", "libopus", "vorbis"),
    *("flac", "alac", "ac3", "eac3", "speex", "gsm", "gsm_ms", "amrnb", "amrwb"),
    *("libopencore_amrnb", "libopencore_amrwb", "adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt"),
)
_PLAIN = (
    *("alaw", "mulaw", "s8", "s8_planar", "u8", "s16be", "s16be_planar", "s16le", "s16le_planar"),
    *("u16be", "u16le", "s24be", "s24le", "s24le_planar", "u24be", "u24le", "s32be", "s32le"),
    *("s32le_planar", "u32be", "u32le", "s64be", "s64le", "f16le", "f24le", "f32be", "f32le"),
    *("f64be", "f64le"),
)
PACKED = frozenset(f"pcm_{name}" for name in _PLAIN if not name.endswith("planar"))
"""Samples of all channels one after the other, so that there may be many channels."""
DECODERS = frozenset((*_COMPRESSED, *(f"pcm_{name}" for name in _PLAIN)))
OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"#EXTM3U", "a playlist"),
    (b"[playlist]", "a playlist"),
    (b"ffconcat", "a playlist"),
    (b"<?xml", "an XML document"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
    (b"{", "a text"),
    (b"MThd", "a list of notes (MIDI)"),
)


BEGINNINGS: tuple[tuple[int, bytes], ...] = (
    (8, b"WAVE"),
    (0, b"riff\x2e\x91\xcf\x11"),
    (8, b"AIFF"),
    (8, b"AIFC"),
    (0, b"ID3"),
    (0, b"fLaC"),
    (0, b"OggS"),
    (0, b"caff"),
    (0, b".snd"),
    (0, b"#!AMR"),
    (0, b"\x1aE\xdf\xa3"),
    (4, b"ftyp"),
    (4, b"moov"),
    (4, b"mdat"),
)


_PRINTABLE = frozenset(b"\t\r\n") | frozenset(range(32, 127))


def other(head: bytes) -> str | None:
    """What a file plainly is that is no recording, by its first bytes."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    named = next((what for magic, what in OTHERS if text.startswith(magic)), None)
    if named is None and text and all(letter in _PRINTABLE for letter in text):
        return "a text"
    return named


def begins(head: bytes) -> bool:
    """Whether these are the first bytes of a recording of a kind that is opened."""
    return any(head.startswith(magic, at) for at, magic in BEGINNINGS)


HEAD = 4096
_UNTOLD = 0x7FFF0000
"""Whoever writes into a pipe does not know the length and writes about the largest number."""


def promised(head: bytes) -> float | None:
    """How many seconds the header of a WAV file tells of; None when it does not know."""
    at, a_second = 12, 0
    while at + 24 <= len(head):
        name, size = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        if name == b"fmt ":
            a_second = int.from_bytes(head[at + 16 : at + 20], "little")
        if name == b"data":
            known = a_second and 0 < size < _UNTOLD
            return size / a_second if known else None
        at += 8 + size + size % 2
    return None
