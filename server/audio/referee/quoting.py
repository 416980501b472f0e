"""Words of a recording inside a question: data that cannot become anything else. Pure.

Owns how they are written there. Each line is one JSON object on one line. Nothing in a word can end
its string or its line, close the transcript, or spell a token that a chat template gives a meaning
to (`<|im_end|>`, `[INST]`): the letters that those are made of are written as JSON escapes, which a
model reads and a tokenizer does not. Control letters and what turns the direction of writing become
spaces.
"""

import json
import unicodedata
from collections.abc import Iterable

from server.audio.model import joined

LONGEST_WORD = 40
OPEN, CLOSE = "<transcript>", "</transcript>"
# ASCII, the full-width bar of some templates, and the block that sentencepiece marks spaces with.
_MEANING = str.maketrans({letter: f"\\u{ord(letter):04x}" for letter in "<>[]{}|&`#\uff5c\u2581"})
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def quoted(text: str) -> str:
    """As a JSON string, with its quotation marks."""
    return json.dumps(plain(text), ensure_ascii=False).translate(_MEANING)


def plain(text: str) -> str:
    """What can be seen of it, on one line."""
    if not (text.isascii() and text.isprintable()):
        text = "".join(
            " " if unicodedata.category(letter) in _UNSEEN else letter for letter in text
        )
    return " ".join(text.split())


def line(texts: Iterable[str]) -> str:
    """Words as one text, each of them cut to a length that a word can have."""
    return joined(
        word if len(word) <= LONGEST_WORD else word[: LONGEST_WORD - 1] + "…"
        for word in map(plain, texts)
    )


def fenced(lines: Iterable[str]) -> str:
    return "\n".join([OPEN, *lines, CLOSE])
