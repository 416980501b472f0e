"""The text of a simulated answer: words of the model's vocabulary, the same for a prompt.

Pure. Owns tokenising by words and choosing them; refuses to look intelligent.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence

TOKEN = re.compile(r"\w+|[^\w\s]")
SENTENCE = 9


def tokens(text: str) -> list[str]:
    return TOKEN.findall(text)


def notice(model: str) -> str:
    """How every answer begins."""
    return f"[simulated] This is a simulated engine serving {model}."


def answer(model: str, prompt: str, vocabulary: Sequence[str], seed: int) -> Iterator[str]:
    """Pieces of an endless answer: first the notice, then words chosen by a hash of the prompt."""
    for at, word in enumerate(notice(model).split(" ")):
        yield word if at == 0 else f" {word}"
    yield from babble(prompt, vocabulary, seed)


def babble(prompt: str, vocabulary: Sequence[str], seed: int) -> Iterator[str]:
    count = 0
    while True:
        digest = hashlib.sha256(f"{seed}\0{count}\0{prompt}".encode()).digest()
        for low, high in zip(digest[::2], digest[1::2], strict=True):
            word = vocabulary[(low << 8 | high) % len(vocabulary)]
            starts = count % SENTENCE == 0
            ends = count % SENTENCE == SENTENCE - 1
            yield f" {word.capitalize() if starts else word}{'.' if ends else ''}"
            count += 1


def natural_length(prompt: str) -> int:
    """Where the answer stops by itself when no limit is given: 24 to 55 tokens."""
    return 24 + hashlib.sha256(prompt.encode()).digest()[0] % 32
