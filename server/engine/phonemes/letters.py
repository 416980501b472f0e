"""A guess at a word from its letters alone, for names that no dictionary has. Pure.

Owns a small table of English spellings, longest first, in the spirit of Elovitz et al., "Letter-to-
Sound Rules for Automatic Translation of English Text to Phonetics" (IEEE ASSP 24, 1976), but far
smaller: a name is understood, not always said as its bearer would.
"""

import unicodedata

_FRONT = frozenset("eiy")
_SOUNDED = frozenset("aeiouy")

_SPELLINGS = {
    "tion": "ʃən", "sion": "ʒən", "cious": "ʃəs", "tious": "ʃəs", "ture": "ʧəɹ", "ough": "O",
    "augh": "ɔ", "eigh": "A", "igh": "I", "dge": "ʤ", "tch": "ʧ", "sch": "ʃ", "chr": "kɹ",
    "eau": "O", "air": "ɛɹ", "ear": "ɪɹ", "eer": "ɪɹ", "our": "Wəɹ", "oor": "ɔɹ", "ire": "Iəɹ",
    "are": "ɛɹ", "ore": "ɔɹ", "ure": "jʊɹ", "qu": "kw", "ck": "k", "ch": "ʧ", "sh": "ʃ",
    "th": "θ", "ph": "f", "wh": "w", "gh": "ɡ", "kn": "n", "wr": "ɹ", "ng": "ŋ", "nk": "ŋk",
    "ai": "A", "ay": "A", "au": "ɔ", "aw": "ɔ", "ee": "i", "ea": "i", "ei": "A", "ey": "i",
    "eu": "ju", "ew": "ju", "ie": "i", "oa": "O", "oe": "O", "oi": "Y", "oo": "u", "ou": "W",
    "ow": "O", "oy": "Y", "ui": "u", "uy": "I", "ar": "ɑɹ", "er": "əɹ", "ir": "ɜɹ", "or": "ɔɹ",
    "ur": "ɜɹ", "bb": "b", "cc": "k", "dd": "d", "ff": "f", "gg": "ɡ", "ll": "l", "mm": "m",
    "nn": "n", "pp": "p", "rr": "ɹ", "ss": "s", "tt": "t", "vv": "v", "zz": "z",
    "a": "æ", "b": "b", "c": "k", "d": "d", "e": "ɛ", "f": "f", "g": "ɡ", "h": "h", "i": "ɪ",
    "j": "ʤ", "k": "k", "l": "l", "m": "m", "n": "n", "o": "ɑ", "p": "p", "q": "k", "r": "ɹ",
    "s": "s", "t": "t", "u": "ʌ", "v": "v", "w": "w", "x": "ks", "y": "i", "z": "z",
}  # fmt: skip
_LONG = {"a": "A", "e": "i", "i": "I", "o": "O", "u": "u", "y": "I"}
_LAST = {"a": "ə", "o": "O", "i": "i", "u": "u", "y": "i", "e": "i"}
_VOWEL_SOUNDS = frozenset("AIOWYiuæɑɔəɛɜɪʊʌ")


def plain(word: str) -> str:
    """Lower-case Latin letters only; accents are dropped."""
    parts = unicodedata.normalize("NFKD", word.lower())
    return "".join(letter for letter in parts if letter.isascii() and letter.isalpha())


def guessed(word: str) -> str:
    """Phonemes with the stress on the first vowel; "" when there is no Latin letter."""
    letters = plain(word)
    said: list[str] = []
    at = 0
    while at < len(letters):
        length, sound = _one(letters, at)
        said.append(sound)
        at += length
    return _stressed("".join(said))


def _one(word: str, at: int) -> tuple[int, str]:
    """How many letters from `at` are one sound, and which."""
    rest = word[at:]
    if (sound := _by_place(word, at, rest)) is not None:
        return 1, sound
    for length in (5, 4, 3, 2, 1):
        if (sound := _SPELLINGS.get(rest[:length])) is not None and len(rest) >= length:
            return length, sound
    return 1, ""


def _by_place(word: str, at: int, rest: str) -> str | None:
    """The sound of a letter that depends on where it stands; None for all others."""
    if len(rest) == 1 and rest in _LAST:
        silent = rest == "e" and any(letter in _SOUNDED for letter in word[:at])
        return "" if silent else _LAST[rest]
    if rest[0] in "cg" and rest[1:2] in _FRONT:
        return "s" if rest[0] == "c" else "ʤ"
    if len(rest) == 3 and rest[0] in _LONG and rest[1] not in _SOUNDED | {"x"} and rest[2] == "e":
        return _LONG[rest[0]]
    return "j" if rest[0] == "y" and at == 0 else None


def _stressed(phonemes: str) -> str:
    for at, sound in enumerate(phonemes):
        if sound in _VOWEL_SOUNDS:
            return f"{phonemes[:at]}ˈ{phonemes[at:]}"
    return phonemes
