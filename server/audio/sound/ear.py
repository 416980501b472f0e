"""Recordings are opened by a child process that stays warm: `python -m server.audio.sound.child`.

Owns the pool of these processes and what their answers mean. A light question never waits for a
heavy one: heavy ones leave a process free. Refuses to believe them more than any other stranger:
an answer is checked, and what goes wrong with a recording is an error of the recording. Only a
process that was killed from outside, as by a kernel without memory, is asked once more, by another.
"""

import asyncio
import math
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import orjson

from server.audio.sound.model import Channels, Decoded, Level, Sound
from server.audio.sound.process import Child, Crashed, Killed, Late, command
from server.base.errors import (
    InvalidValue,
    PayloadTooLarge,
    SparkError,
    Unavailable,
    UnsupportedMediaType,
)
from server.base.files import storage_error

MEMORY_BYTES = 1 << 30
"""Address space of a child: the libraries take 0.2 GiB of it before they do anything."""
FILE_BYTES = 16 << 30
OPEN_SECONDS = 15.0
SECONDS_A_MIB = 0.05
EXAMINE_FACTOR = 300.0
DECODE_FACTOR = 50.0
"""A slow and busy machine follows, and decodes, this many times faster than it is spoken. What
takes longer is made to take long: a file of crumbs, say, each of which is looked at."""
IDLE_SECONDS = 600.0

_WORDS = 500
T = TypeVar("T")


class Ear:
    """`close` ends the processes. Of the data they see only what lies in `folder`. `processes` is
    how many there are at most, `idle_seconds` after how long without a question they are ended."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        processes: int = 2,
        memory: int = MEMORY_BYTES,
        idle_seconds: float = IDLE_SECONDS,
        argv: Sequence[str] | None = None,
    ) -> None:
        self._argv = argv or command(memory, FILE_BYTES, folder)
        self._idle_seconds = idle_seconds
        self._slots = asyncio.Semaphore(processes)
        self._heavy = asyncio.Semaphore(max(1, processes - 1))
        self._idle: list[Child] = []
        self._all: set[Child] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def examine(self, path: Path, offset: int, length: int, cap_seconds: float) -> Sound:
        """What the file in these bytes of `path` is. Follows it no further than `cap_seconds`.

        Raises `InvalidValue` (empty, damaged, cut off, without sound) and `UnsupportedMediaType`
        (no recording)."""
        told = await self.run(
            "examine",
            seconds=_seconds(length) + cap_seconds / EXAMINE_FACTOR,
            heavy=False,
            path=str(path),
            offset=offset,
            length=length,
            cap_seconds=cap_seconds,
        )
        return _checked(_sound, told)

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
        name = f"sound-{secrets.token_hex(4)}"
        args = {
            "path": str(path),
            "offset": offset,
            "length": length,
            "folder": str(folder),
            "name": name,
            "channels": channels,
            "most_seconds": most_seconds,
        }
        seconds = _seconds(length) + most_seconds / DECODE_FACTOR

        async def asked() -> Mapping[str, Any]:
            # What a process that was killed has left: new files are made, none is written over.
            await asyncio.to_thread(_emptied, folder, name)
            return await self._once("decode", seconds, heavy=True, args=args)

        told = await _again(asked)
        return _checked(lambda given: _decoded(given, folder), told)

    async def run(
        self, op: str, *, seconds: float, heavy: bool = True, **args: Any
    ) -> Mapping[str, Any]:
        """One question of the table in `child/table.py`, answered within `seconds`. Light ones
        (`heavy=False`) never wait for a heavy one. Cancelling it ends the work at once.

        Raises what the answer says, `PayloadTooLarge` when it is late, and `InvalidValue` when the
        process crashed over it, or two of them were killed."""
        return await _again(lambda: self._once(op, seconds, heavy=heavy, args=args))

    async def _once(
        self, op: str, seconds: float, *, heavy: bool, args: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Raises `Killed` as well."""
        if not heavy:
            return await self._asked(op, seconds, args)
        async with self._heavy:
            return await self._asked(op, seconds, args)

    async def close(self) -> None:
        """Ends all processes, also those at work. Nothing is answered afterwards."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for child in tuple(self._all):
            await self._end(child)
        if self._ending:
            await asyncio.wait(self._ending)

    # -- inside

    async def _asked(self, op: str, seconds: float, args: Mapping[str, Any]) -> Mapping[str, Any]:
        question = orjson.dumps({"op": op, "seconds": math.ceil(seconds), "args": args})
        async with self._slots:
            child = await self._child()
            whole = False
            try:
                line = await child.ask(question, seconds)
                whole = True
            except Late:
                raise PayloadTooLarge(
                    f"Spark Control worked on the recording for {seconds:.0f} s and then gave up.",
                    advice="Send a shorter one, or convert it to a WAV file first.",
                ) from None
            except Killed:
                raise
            except Crashed:
                raise _crash() from None
            finally:
                if whole:
                    self._rest(child)
                else:
                    await asyncio.shield(self._end(child))
        return _answer(line)

    async def _child(self) -> Child:
        """One that waits for a question, or a new one."""
        while self._idle:
            child = self._idle.pop()
            if child.alive and not self._closed:
                return child
            await asyncio.shield(self._end(child))
        if self._closed:
            raise Unavailable("Spark Control is stopping.", retry_after=5)
        child = Child()
        self._all.add(child)
        try:
            await child.start(self._argv)
        except (Late, Crashed, OSError):
            await asyncio.shield(self._end(child))
            raise Unavailable(
                "The process that opens recordings could not be started.",
                advice="Look into the log of Spark Control; the machine may be out of memory.",
                retry_after=5,
            ) from None
        except BaseException:
            await asyncio.shield(self._end(child))
            raise
        return child

    def _rest(self, child: Child) -> None:
        self._idle.append(child)
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._idle_seconds, self._retire)

    def _retire(self) -> None:
        """Nobody asked for long: the memory is worth more than the start of a process."""
        self._timer = None
        while self._idle:
            task = asyncio.get_running_loop().create_task(self._end(self._idle.pop()))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _end(self, child: Child) -> None:
        with suppress(ValueError):
            self._idle.remove(child)
        await child.end()
        self._all.discard(child)


def _seconds(length: int) -> float:
    return OPEN_SECONDS + SECONDS_A_MIB * length / (1 << 20)


async def _again(ask: Callable[[], Awaitable[T]]) -> T:
    """Being killed is no fault of a recording; being killed twice over it may be."""
    try:
        return await ask()
    except Killed:
        pass
    try:
        return await ask()
    except Killed:
        raise _crash() from None


def _emptied(folder: Path, name: str) -> None:
    for left in folder.glob(f"{name}*"):
        left.unlink(missing_ok=True)


def _crash() -> SparkError:
    return InvalidValue(
        "The process that opened the recording ended over it: it is damaged, or needs more memory "
        "than is given to it.",
        param="file",
        advice="Convert it to a WAV file and send that.",
    )


def _answer(line: bytes) -> Mapping[str, Any]:
    """Raises the error that it tells of."""
    try:
        told = orjson.loads(line)
        done = told.get("done")
        refused = told.get("refused")
        if isinstance(done, dict):
            return done
        kind, message = refused["kind"], str(refused["message"])[:_WORDS]
        advice = None if refused["advice"] is None else str(refused["advice"])[:_WORDS]
        number = int(refused["number"])
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _crash() from None
    raise _refused(kind, message, advice, number)


def _refused(kind: object, message: str, advice: str | None, number: int) -> SparkError:
    if kind == "disk":
        return storage_error("The sound of the recording", OSError(number, ""))
    if kind == "type":
        return UnsupportedMediaType(message, param="file", advice=advice)
    if kind == "large":
        return PayloadTooLarge(message, param="file", advice=advice)
    return InvalidValue(message, param="file", advice=advice)


def _checked(made: Callable[[Mapping[str, Any]], T], told: Mapping[str, Any]) -> T:
    try:
        return made(told)
    except (ValueError, TypeError, KeyError):
        raise _crash() from None


def _sound(told: Mapping[str, Any]) -> Sound:
    return Sound(
        container=str(told["container"]),
        codec=str(told["codec"]),
        seconds=_finite(told["seconds"]),
        channels=int(told["channels"]),
        sample_rate=int(told["sample_rate"]),
        beyond=told["beyond"] is True,
    )


def _decoded(told: Mapping[str, Any], folder: Path) -> Decoded:
    return Decoded(
        channels=_files(told["channels"], folder),
        envelopes=_files(told["envelopes"], folder),
        levels=tuple(Level(one["peak"], one["rms"]) for one in told["levels"]),
        seconds=_finite(told["seconds"]),
        broken=int(told["broken"]),
    )


def _files(told: Sequence[str], folder: Path) -> tuple[Path, ...]:
    """By their names alone: they lie in the folder that was given."""
    return tuple(folder / Path(one).name for one in told)


def _finite(value: object) -> float:
    seconds = float(value)  # type: ignore[arg-type]
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(value)
    return seconds
