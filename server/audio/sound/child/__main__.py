"""One question a line, one answer a line; ends when nobody asks any more.

    {"op": "examine", "seconds": 20, "args": {…}}
    {"done": {…}}   or   {"refused": {"kind": …, "message": …, "advice": …, "number": …}}

Owns the pipes: what a library prints goes nowhere. Ends itself when an answer takes much too long,
should nobody else do so.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from server.audio.sound.child.confine import confine
from server.audio.sound.child.fence import fence, version

_LATE = 5


def main(argv: Sequence[str]) -> None:
    memory, file_size, *folder = argv
    answers = _private(1)
    confine(int(memory), int(file_size))
    # Imported within the bounds, and once: this is what makes a warm process quick.
    import av.logging  # noqa: PLC0415

    from server.audio.sound.child.refusal import Refused  # noqa: PLC0415
    from server.audio.sound.child.table import ops  # noqa: PLC0415

    av.logging.set_level(None)
    if folder:
        fence(Path(folder[0]), version())
    # The default action ends the process, also within one long call of a library.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    table = ops()
    _tell(answers, {"ready": True})
    for line in sys.stdin.buffer:
        asked = orjson.loads(line)
        signal.alarm(int(asked["seconds"]) + _LATE)
        try:
            told: dict[str, Any] = {"done": table[asked["op"]](asked["args"])}
        except Refused as refused:
            told = {"refused": refused.to_dict()}
        signal.alarm(0)
        _tell(answers, told)


def _private(descriptor: int) -> BinaryIO:
    """Standard output for us alone."""
    kept = os.fdopen(os.dup(descriptor), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
    return kept


def _tell(answers: BinaryIO, told: dict[str, Any]) -> None:
    left = memoryview(orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
    while left:
        left = left[answers.write(left) or 0 :]


if __name__ == "__main__":
    main(sys.argv[1:])
