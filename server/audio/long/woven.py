"""One transcript from those of the parts, as they are heard from the left to the right. Pure.

Owns what is kept between two parts: the words woven so far, which of them begin a sentence, and
what was told of the language. A sentence that was heard whole keeps the text that its recogniser
wrote; one across a seam is made of its words.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from server.audio.long.gaps import cut_short
from server.audio.long.heard import Told, told
from server.audio.long.quiet import Span, made_up, within
from server.audio.model import Gap, Word, joined
from server.audio.sound.model import Piece
from server.audio.transcript import Spoken, Transcript
from server.audio.weave import Part, Weaving


class Woven:
    """`quiet` are the silences of the recording."""

    def __init__(self, quiet: Sequence[Span] = ()) -> None:
        self._quiet = quiet
        self._weaving = Weaving()
        self._sentences: dict[int, tuple[Spoken, int]] = {}  # by first word; with its word count
        self._votes: Counter[str] = Counter()
        self._languages: list[str] = []
        self.dropped: list[Word] = []
        self.gaps: list[Gap] = []

    def add(self, piece: Piece, found: Transcript) -> None:
        """The next part that was heard, in their order."""
        quiet = within(self._quiet, piece.start, piece.end)
        heard = self._without_made_up(told(found, piece.start, piece.seconds, quiet), quiet)
        if found.language is not None:
            self._languages.append(found.language)
            self._votes[found.language] += len(heard.words)
        timed = bool(found.words or found.segments)
        end = self._heard_until(piece, found, quiet)
        kept, begin = self._weaving.add(Part(piece.start, end, heard.words, timed))
        while self._sentences and next(reversed(self._sentences)) > kept:
            self._sentences.popitem()
        for first, end in pairwise([*heard.sentences, len(heard.words)]):
            if first >= begin:
                line = heard.sentences[first]
                self._sentences[kept + first - begin] = (line, end - first)

    def _heard_until(self, piece: Piece, found: Transcript, quiet: Sequence[Span]) -> float:
        if self.gaps and self.gaps[-1].end > piece.start:
            self.gaps[-1] = self.gaps[-1]._replace(end=piece.start)
        short = cut_short(piece, found, quiet)
        if short is None:
            return piece.end
        self.gaps.append(short)
        return short.start

    @property
    def words(self) -> tuple[Word, ...]:
        return tuple(self._weaving.words)

    @property
    def language(self) -> str | None:
        """That of most words; silence has none, whatever a recogniser says of it."""
        if self._votes.total():
            return max(self._votes, key=self._votes.__getitem__)
        return self._languages[0] if self._languages else None

    def segments(self) -> tuple[Spoken, ...]:
        """Every word in one of them."""
        words = self._weaving.words
        begins = [begin for begin in self._sentences if begin < len(words)]
        if words and (not begins or begins[0] > 0):
            begins.insert(0, 0)
        borders = pairwise([*begins, len(words)])
        return tuple(self._sentence(begin, words[begin:end]) for begin, end in borders)

    def _sentence(self, begin: int, words: Sequence[Word]) -> Spoken:
        line, count = self._sentences.get(begin, (None, 0))
        start, end = words[0].start, max(word.end for word in words)
        if line is None:
            return Spoken(joined(word.text for word in words), start, end)
        whole = count == len(words)
        text = line.text.strip() if whole else joined(word.text for word in words)
        return line._replace(text=text, start=start, end=end)

    def _without_made_up(self, heard: Told, quiet: Sequence[Span]) -> Told:
        gone = made_up(heard.words, quiet)
        if not gone:
            return heard
        self.dropped += [heard.words[index] for index in sorted(gone)]
        words: list[Word] = []
        sentences: dict[int, Spoken] = {}
        waiting: Spoken | None = None
        for index, word in enumerate(heard.words):
            waiting = heard.sentences.get(index, waiting)
            if index in gone:
                continue
            if waiting is not None:
                sentences[len(words)] = waiting
                waiting = None
            words.append(word)
        return Told(words, sentences)
