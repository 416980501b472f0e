"""The turns of one recording, from those of its parts as they are heard from left to right. Pure.

Owns what is kept between two parts: the turns so far, by the keys of the gallery, and the gallery.
What the speakers are called is decided at the end, when it is known who is who.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from server.audio.long import turns as said
from server.audio.model import Turn
from server.audio.sound.model import Piece
from server.audio.speakers import link
from server.audio.transcript import Diarized


class Linking:
    def __init__(self, known: Sequence[link.Known], rules: link.Rules) -> None:
        self._rules = rules
        self._gallery = link.opened(known)
        self._turns: list[Turn] = []
        self._until = float("-inf")

    def add(self, piece: Piece, found: Diarized) -> None:
        """The next part that was heard, in their order."""
        here = said.placed(found, piece.start, piece.seconds)
        shared = (piece.start, min(self._until, piece.end))
        overlap = shared[1] > shared[0]
        near = tuple(one for one in self._turns if one.end > shared[0]) if overlap else ()
        part = link.Heard(piece.number, here, found.voices, near, shared)
        self._gallery, names = link.linked(self._gallery, part, self._rules)
        here = said.named(here, names)
        if overlap:
            early = [one for one in self._turns if one.end <= shared[0]]
            self._turns = [*early, *said.joined(near, here, *shared)]
        else:
            self._turns += here
        self._until = piece.end

    def done(self) -> tuple[tuple[Turn, ...], Mapping[str, tuple[float, ...]]]:
        """The turns and the voices, by the names that the caller is told."""
        same = link.settled(self._gallery, self._rules)
        turns = said.named(self._turns, same)
        names = self._names(turns)
        voices = {}
        for key, name in names.items():
            unit = link.direction(self._gallery.voices[key].direction or ())
            if unit is not None:
                voices[name] = unit
        return said.named(turns, names), MappingProxyType(voices)

    def _names(self, turns: Sequence[Turn]) -> dict[str, str]:
        known = {key: one.name for key, one in self._gallery.voices.items() if one.name}
        names: dict[str, str] = {}
        number = 0
        for key in dict.fromkeys(one.speaker for one in turns):
            if key in known:
                names[key] = known[key]
                continue
            while f"SPEAKER_{number:02d}" in known.values():
                number += 1
            names[key] = f"SPEAKER_{number:02d}"
            number += 1
        return names
