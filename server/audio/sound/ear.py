"""Recordings are opened by a child process that stays warm: `python -m server.audio.sound.child`.

Owns these processes: started when first needed, one question at a time each, ended when an answer
is late, when whoever asked leaves, and after a crash. Refuses to believe them more than any other
stranger: an answer is checked, and what went wrong with a recording is an error of the recording.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from server.audio.sound.model import Channels, Decoded, Sound


class Ear:
    """`close` ends the processes. `processes` is how many there are at most."""

    def __init__(self, *, processes: int = 2) -> None:
        raise NotImplementedError

    async def examine(self, path: Path, offset: int, length: int, cap_seconds: float) -> Sound:
        """What the file in these bytes of `path` is. Follows it no further than `cap_seconds`.

        Raises `InvalidValue` (empty, damaged, cut off, without sound) and `UnsupportedMediaType`
        (no recording)."""
        raise NotImplementedError

    async def decode(
        self,
        path: Path,
        offset: int,
        length: int,
        *,
        folder: Path,
        channels: Channels,
        most_seconds: float,
    ) -> Decoded:
        """Plain sound in new files of `folder`, which must exist and is removed by whoever made it.

        Raises what `examine` raises, `PayloadTooLarge` beyond `most_seconds`, and
        `InsufficientStorage`."""
        raise NotImplementedError

    async def run(
        self, op: str, *, seconds: float, heavy: bool = True, **args: Any
    ) -> Mapping[str, Any]:
        """One question of the table in `child/table.py`, answered within `seconds`. Light ones
        (`heavy=False`) never wait for a heavy one."""
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError
