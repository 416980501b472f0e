"""The questions that the child answers: a name, and the function that is handed the arguments.

A new one is a row here. Its function takes a mapping from JSON and returns one for JSON, raises
`Refused` for what is wrong with a recording, and holds no more of it than it needs. What is not
always needed is imported by the function itself.
"""

from collections.abc import Callable, Mapping
from typing import Any

from server.audio.sound.child.decode import decoded
from server.audio.sound.child.examine import examined
from server.audio.sound.child.loud import loud

Answer = Mapping[str, Any]
Op = Callable[[Mapping[str, Any]], Answer]


def ops() -> Mapping[str, Op]:
    return {
        "examine": examined,
        "decode": decoded,
        "loud": loud,
        "leak": _leak,
        "suppress": _suppress,
    }


def _leak(args: Mapping[str, Any]) -> Answer:
    from server.audio.echo.ops import leak  # noqa: PLC0415

    return leak(args)


def _suppress(args: Mapping[str, Any]) -> Answer:
    from server.audio.echo.ops import suppress  # noqa: PLC0415

    return suppress(args)
