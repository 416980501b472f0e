"""Long work in a process of its own, so that streams do not wait for it.

A pattern that looks through a long text, or a large JSON that is read, holds the interpreter from
the first letter to the last: a thread does not help, every stream waits. So what is larger than
`SMALL` is done by another process (`server.audio.work`), less important to the kernel than this
one. It is ended when the caller leaves and when it takes longer than `SECONDS`, whatever the text.
Owns that process. Refuses to know what it works on.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, cast

import orjson

from server.base.errors import InvalidValue, PayloadTooLarge
from server.gateway.client.here import Answered

Job = Literal["scrub", "scrub-text", "scrub-words", "label-merge"]
SMALL = 4096
"""Bytes that are worked on in a thread: the start of a process costs more than they do."""
SECONDS = 120.0
_PIECE = 1 << 18
_ROOT = Path(__file__).parents[2]


async def done(
    job: Job,
    raw: bytes,
    here: Callable[[bytes], Answered],
    seconds: float = SECONDS,
    *,
    always: bool = False,
) -> Answered:
    """`here` does the same as `job`. Raises what it raises, and `PayloadTooLarge`: what a caller
    can bring about by what it sends must not count against us. `always`: however small it is."""
    if len(raw) <= SMALL and not always:
        return await asyncio.to_thread(here, raw)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "server.audio.work", job, str(round(seconds) + 5)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # what it prints could be of the text
        env={"PYTHONPATH": str(_ROOT), "PATH": os.defpath},
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds):
            _, told = await asyncio.gather(_give(process, raw), _take(process))
            await process.wait()
    except TimeoutError:
        raise PayloadTooLarge(
            f"Spark Control worked on this for {seconds:g} s and then gave up.",
            advice="Send it in smaller parts.",
        ) from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())
    return _answer(told)


async def _give(process: asyncio.subprocess.Process, raw: bytes) -> None:
    pipe = cast("asyncio.StreamWriter", process.stdin)
    with suppress(BrokenPipeError, ConnectionResetError):  # how it ended tells why
        for at in range(0, len(raw), _PIECE):
            pipe.write(raw[at : at + _PIECE])
            await pipe.drain()
        pipe.close()


async def _take(process: asyncio.subprocess.Process) -> bytes:
    return await cast("asyncio.StreamReader", process.stdout).read()


def _answer(told: bytes) -> Answered:
    head, newline, body = told.partition(b"\n")
    if not newline:
        raise PayloadTooLarge(
            "The process that worked on this ended before it was done.",
            advice="Send it in smaller parts; the machine may have too little memory for it.",
        )
    said = orjson.loads(head)
    if "refused" in said:
        raise InvalidValue(said["refused"], param=said["param"], advice=said["advice"])
    return Answered(body, said["media_type"])
