"""The same speaker in part after part, by the sound of the voice. Pure."""

from typing import NamedTuple


class Known(NamedTuple):
    """Somebody whose voice the caller sent along: it is called `name` wherever it is heard."""

    name: str
    voice: tuple[float, ...]
