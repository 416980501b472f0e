"""Whether everything is here: each weight unpacked and checked, in the order in which it is
missed.
"""

from server.engine.weights.pinned import AMERICAN, BRITISH, KOKORO, SPEAKER, STYLES, WHISPER
from server.engine.weights.shelf import Shelf


def check(shelf: Shelf) -> None:
    """Raises MissingWeights with the first thing that is not here."""
    shelf.directory("whisper", WHISPER)
    for weight in (KOKORO, STYLES, *AMERICAN, *BRITISH, SPEAKER):
        shelf.path(weight)
