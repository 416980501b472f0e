"""One child process: started, asked a question at a time, ended.

Owns its pipes and that it is gone when it was ended. Refuses to understand what is said. What it
prints goes nowhere: that could be of a recording. Its environment is empty but for where the
program lies, so that no secret of ours is within its reach.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

START_SECONDS = 60.0
GONE_SECONDS = 5.0
"""That it is gone is known a moment after its pipe is closed."""
ANSWER_BYTES = 32 << 20
_ROOT = Path(__file__).parents[3]


class Crashed(Exception):
    """It ended, or said something endless."""


class Killed(Crashed):
    """It was ended from outside: `SIGKILL`, which is what a kernel without memory sends. Its own
    limits and deadline end it by other signals."""


class Late(Exception):
    """It did not answer in time."""


def command(memory: int, file_size: int, folder: Path | None = None) -> tuple[str, ...]:
    """Without a `folder` it may open what the user may open."""
    words = ("server.audio.sound.child", str(memory), str(file_size))
    return (sys.executable, "-P", "-m", *words, *(() if folder is None else (str(folder),)))


class Child:
    """`start` it, `ask` it one question after the other, `end` it in any case."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._ended = False

    @property
    def alive(self) -> bool:
        process = self._process
        return process is not None and process.returncode is None and not self._ended

    async def start(self, argv: Sequence[str]) -> None:
        """Returns when it is ready. Raises `Crashed`, `Late`, `OSError`."""
        self._process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=ANSWER_BYTES,
            env={
                "PYTHONPATH": str(_ROOT),
                "PATH": os.defpath,
                # One thread each: the address space is bounded, and the machine is shared.
                "OPENBLAS_NUM_THREADS": "1",
                "OMP_NUM_THREADS": "1",
                "LC_ALL": "C.UTF-8",
            },
            start_new_session=True,
        )
        if self._ended:  # while it started
            self._process.kill()
        await self._line(START_SECONDS)

    async def ask(self, question: bytes, seconds: float) -> bytes:
        """The answer as it was said. Raises `Crashed` (`Killed`) and `Late`."""
        pipe = cast("asyncio.StreamWriter", self._running.stdin)
        with suppress(BrokenPipeError, ConnectionResetError):  # that no answer comes tells it
            pipe.write(question + b"\n")
            await pipe.drain()
        return await self._line(seconds)

    async def end(self) -> None:
        """It is gone afterwards."""
        self._ended = True
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    @property
    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise Crashed
        return self._process

    async def _line(self, seconds: float) -> bytes:
        pipe = cast("asyncio.StreamReader", self._running.stdout)
        try:
            async with asyncio.timeout(seconds):
                line = await pipe.readline()
        except TimeoutError:
            raise Late from None
        except ValueError:  # longer than `ANSWER_BYTES`
            raise Crashed from None
        if not line.endswith(b"\n"):
            raise await self._crash()
        return line

    async def _crash(self) -> Crashed:
        with suppress(TimeoutError):
            async with asyncio.timeout(GONE_SECONDS):
                if await self._running.wait() == -signal.SIGKILL and not self._ended:
                    return Killed()
        return Crashed()
