"""What can be read of processes under /proc, and how the simulator's own are found and ended.

Owns pids and their identity (pid, start ticks). Refuses to signal anything that does not carry
this simulator's mark in its environment or does not descend from it.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path


def pids() -> Iterator[int]:
    for name in os.listdir("/proc"):  # noqa: PTH208  (read at 4 Hz: Path objects cost too much)
        if name.isdigit():
            yield int(name)


def stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the command name: [0] state, [1] ppid, [3] session."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def ticks(pid: int) -> int | None:
    """Start time in clock ticks since boot: with the pid, the identity of a live process."""
    found = stat(pid)
    return None if found is None or found[0] == "Z" else int(found[19])


def environ(pid: int) -> dict[str, str]:
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return {}
    pairs = (item.partition(b"=") for item in raw.split(b"\0") if item)
    return {key.decode(errors="replace"): value.decode(errors="replace") for key, _, value in pairs}


def argv(pid: int) -> list[str]:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [part.decode(errors="replace") for part in raw.split(b"\0")[:-1]]


def carrying(key: str, value: str) -> list[int]:
    """Live processes with `key=value` in the environment they were started with."""
    mark = f"{key}={value}".encode()
    found = []
    for pid in pids():
        try:
            raw = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if mark in raw.split(b"\0") and ticks(pid) is not None:
            found.append(pid)
    return found


def descendants(root: int) -> list[int]:
    """Everything below `root`, however deep. The simulator adopts its orphans, so none escape."""
    children: dict[int, list[int]] = {}
    for pid in pids():
        found = stat(pid)
        if found is not None and found[0] != "Z":
            children.setdefault(int(found[1]), []).append(pid)
    below: list[int] = []
    queue = [root]
    while queue:
        next_ones = children.get(queue.pop(), [])
        below += next_ones
        queue += next_ones
    return below


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process installed a handler. Without one, PID 1 of a container ignores it."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    for line in text.splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def kill(found: Iterable[int], number: signal.Signals = signal.SIGKILL) -> None:
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def sweep(directory: Path) -> None:
    """Kill what an earlier simulator on `directory` left behind when it was itself killed."""
    deadline = time.monotonic() + 3
    while left := [pid for pid in carrying("SIM_DIR", str(directory)) if pid != os.getpid()]:
        kill(left)
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes {left} of an earlier simulator do not die")
        time.sleep(0.02)
