"""Scores of recognised speech. Pure: the same arguments give the same figures.

Each answer holds counts as well as the rate: counts of several recordings can be added, rates
cannot. A rate over nothing is None, not zero. Needs the extra `lab` (`jiwer`); nothing of the app
imports this room.
"""

from server.lab.scores.speakers import SpeakerErrors, wder
from server.lab.scores.text import LETTERS, SPOKEN, VERBATIM, Normaliser
from server.lab.scores.turns import DiarizationErrors, der
from server.lab.scores.words import TextErrors, cer, wer

__all__ = [
    "LETTERS",
    "SPOKEN",
    "VERBATIM",
    "DiarizationErrors",
    "Normaliser",
    "SpeakerErrors",
    "TextErrors",
    "cer",
    "der",
    "wder",
    "wer",
]
