"""`pgrep` on a simulated host: sees the processes of this host (or container) only.

Owns `-f`, `-a`, `-x`, `-c`; refuses the rest with pgrep's exit code 2.
"""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from server.sim import procs


def main(argv: Sequence[str]) -> int:
    flags = {letter for word in argv if word.startswith("-") for letter in word[1:]}
    patterns = [word for word in argv if not word.startswith("-")]
    if len(patterns) != 1 or flags - set("faxcl"):
        sys.stderr.write("pgrep: only one matching criterion can be provided\n")
        return 2
    inside = os.environ.get("SIM_CONTAINER")
    mark = ("SIM_CONTAINER", inside) if inside else ("SIM_HOST", os.environ["SIM_HOST"])
    found = []
    for pid in procs.carrying(*mark):
        if pid == os.getpid():
            continue
        words = procs.argv(pid)
        name = Path(words[0]).name if words else ""
        text = " ".join(words) if "f" in flags else name
        match = re.fullmatch if "x" in flags else re.search
        if match(patterns[0], text):
            found.append((pid, " ".join(words) if "a" in flags else name))
    if "c" in flags:
        print(len(found))
    else:
        for pid, text in sorted(found):
            print(f"{pid} {text}" if flags & {"a", "l"} else pid)
    return 0 if found else 1
