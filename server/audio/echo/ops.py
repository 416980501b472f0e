"""The two questions about echo that the ear's process answers: `leak` and `suppress`.

Owns their form on the way there and back. What is named are files of plain sound that the process
wrote itself, in the folder of one request.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from server.audio.echo import leak as leaking
from server.audio.echo import suppress as suppressing
from server.audio.echo.model import Line
from server.audio.sound.child import refusal


def leak(args: Mapping[str, Any]) -> dict[str, Any]:
    """`mic`, `system`: the files. What they have in common."""
    try:
        return leaking.to_wire(leaking.measure(Path(args["mic"]), Path(args["system"])))
    except OSError as error:
        raise refusal.disk(error.errno or 0) from None


def suppress(args: Mapping[str, Any]) -> dict[str, Any]:
    """`mic`, `system`, `out`: files; `delay`, `drift`: the line. `gain` is what the linear filter
    gains where the far side is alone."""
    line = Line(float(args["delay"]), float(args["drift"]))
    mic, system, out = (Path(args[name]) for name in ("mic", "system", "out"))
    try:
        return {"gain": suppressing.suppress(mic, system, out, line)}
    except OSError as error:
        raise refusal.disk(error.errno or 0) from None
