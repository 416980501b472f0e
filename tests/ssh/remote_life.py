"""Looking at real processes: whether they live, and a word from them without polling."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil


def alive(pid: int) -> bool:
    """A zombie is dead: in a container nobody may be there to bury it."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def finish_off(pid: int) -> None:
    """For tests that leave a process behind on purpose."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Pipe:
    """A named pipe: reading waits until the remote command wrote to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)

    async def words(self) -> list[str]:
        return (await asyncio.to_thread(self.path.read_text)).split()
