"""What an answer about two channels has beside the conversation.

Owns the fields `removed`, `bleed_ratio`, `echo` and `warnings`. No word is repeated in them where
the transcript is scrubbed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from server.audio.channels import Conversation
from server.audio.echo.decide import warnings
from server.audio.echo.model import Leak
from server.audio.echo.service import Listened
from server.audio.front.dual_form import Side
from server.audio.merging import removed

_WORD: Mapping[Side, str] = {"mic": "microphone", "system": "system"}


def told(
    made: Conversation,
    found: Listened | None,
    *,
    silent: Iterable[Side],
    one_file: bool,
    text: bool,
) -> dict[str, Any]:
    """`silent` are channels in which nothing sounds; `text`: words may be repeated."""
    beside: dict[str, Any] = {
        "removed": removed(made, words=text),
        "bleed_ratio": round(made.bleed, 4),
        "echo": _echo(found),
    }
    odd = [f"The {_WORD[side]} channel is silent." for side in silent]
    if found is not None and found.leak is not None:
        odd += warnings(found.leak, one_file=one_file)
    return beside | ({"warnings": odd} if odd else {})


def _echo(found: Listened | None) -> dict[str, Any]:
    """`on`: the canceller ran. The figures are there where both channels were looked at."""
    if found is None:
        return {"on": False, "reason": "there is one channel with sound"}
    shape: dict[str, Any] = {"on": found.choice.on, "reason": found.choice.why}
    return shape if found.leak is None else shape | _figures(found.leak)


def _figures(leak: Leak) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "level_db": None if leak.level is None else round(leak.level, 1),
        "found_in": round(leak.clear / leak.blocks, 3) if leak.blocks else 0.0,
    }
    if leak.line is not None:
        shape["delay_ms"] = round(leak.line.delay * 1000, 1)
        shape["drift_ppm"] = round(leak.line.drift * 1e6, 1)
    return shape
