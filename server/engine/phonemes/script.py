"""A whole text as the lines that a voice can say at once: phonemes, none longer than the model
takes.

Owns cutting and the joining of words. Refuses other alphabets: what has no Latin letter is left
out, and a text of which nothing is left gives no line.
"""

import re

from server.engine.phonemes.lexicon import Lexicon, before
from server.engine.phonemes.spell import sentences, spoken

LONGEST = 510
"""Phonemes that Kokoro takes at once."""
COMFORT = 300
"""Longer lines are cut at a comma: the voice stays even, and the first sound is soon."""
_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*'?|[,;:.!?…—()\"“”]")
_MARKS = frozenset(',;:.!?…—()"“”')


def lines(text: str, lexicon: Lexicon) -> list[str]:
    """The phonemes of `text`, sentence by sentence."""
    found: list[str] = []
    for sentence in sentences(spoken(text)):
        found.extend(_cut(phonemes(sentence, lexicon)))
    return found


def phonemes(sentence: str, lexicon: Lexicon) -> str:
    """One sentence, read backwards: small words are said as the word after them wants it."""
    tokens = _TOKEN.findall(sentence.replace("-", " "))
    said: list[str] = []
    following = ""
    for token in reversed(tokens):
        if token in _MARKS:
            said.append(token)
            following = ""
            continue
        sound = before(token, following, british=lexicon.british) or lexicon.word(token)
        if sound:
            said.append(f" {sound}")
            following = sound
    whole = "".join(reversed(said)).strip()
    # A flap is written T and a glottal stop t in the alphabet of this model.
    return whole.replace("ɾ", "T").replace("ʔ", "t") if any(c.isalpha() for c in whole) else ""


def _cut(line: str) -> list[str]:
    pieces: list[str] = []
    while len(line) > COMFORT:
        at = max(line.rfind(mark, 0, COMFORT) for mark in ",;:—")
        if at < COMFORT // 4:
            at = line.rfind(" ", 0, COMFORT)
        at = at if at > 0 else LONGEST - 1
        pieces.append(line[: at + 1].strip())
        line = line[at + 1 :].strip()
    return [piece for piece in [*pieces, line] if piece]
