"""The task that watches one host: it keeps one sampler stream open and feeds the parser.

Owns the life of the stream: opened on the host's one connection, renewed when its lifetime is
over, opened again with growing pauses after trouble. Refuses to decide what its silence means
(`state.py` does) and to tell anybody but its one listener.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from server.base.clock import Clock
from server.base.errors import HostUnreachable, SparkError
from server.base.logs import get_logger
from server.fleet.model import Sample
from server.fleet.parse import FrameParser
from server.fleet.script import SAMPLER, sampler_argv
from server.ssh.model import Shells

LIFETIME = 3600.0
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)
FINISHED = "@X\t@E"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a host is sampled. `paths` are the directories whose filesystems matter."""

    sample_seconds: float
    stale_seconds: float
    paths: tuple[str, ...]
    lifetime: float = LIFETIME

    @property
    def silence(self) -> float:
        """After so long without a frame the stream is given up and opened again."""
        return max(30.0, 3 * self.stale_seconds)


class Sampler:
    """`run()` never returns; cancel it. `on_problem` hears why frames stopped."""

    def __init__(
        self,
        host: str,
        plan: Plan,
        shells: Shells,
        clock: Clock,
        *,
        on_sample: Callable[[Sample], None],
        on_problem: Callable[[str], None],
    ) -> None:
        self._host = host
        self._plan = plan
        self._shells = shells
        self._clock = clock
        self._on_sample = on_sample
        self._on_problem = on_problem
        self._parser = FrameParser(host, plan.sample_seconds)
        self._wake = asyncio.Event()
        self._frames = 0
        self._log = get_logger("fleet")

    def nudge(self) -> None:
        """Try again now instead of after the pause: somebody fixed something."""
        self._wake.set()

    async def run(self) -> None:
        failures = 0
        while True:
            self._frames = 0
            problem, pause = await self._attempt()
            if problem is None:
                failures = 0
                continue
            failures = 1 if self._frames else failures + 1
            self._on_problem(problem)
            await self._rest(max(pause, PAUSES[min(failures, len(PAUSES)) - 1]))

    async def _attempt(self) -> tuple[str | None, float]:
        """One stream, to its end: None when it ended as planned, else why, and a least pause."""
        try:
            return await self._follow(), 0.0
        except HostUnreachable as error:
            return error.message, error.retry_after or 0.0
        except SparkError as error:
            return error.message, 0.0
        except TimeoutError:
            return "the host went silent", 0.0
        except Exception:
            # Unknown, not false: the host stays grey, the cause is in the log, and it is retried.
            self._log.exception("sampler failed", host=self._host)
            return "the sampler failed inside Spark Control", PAUSES[-1]

    async def _follow(self) -> str | None:
        plan = self._plan
        argv = sampler_argv(plan.sample_seconds, plan.lifetime, plan.paths)
        shell = self._shells.shell(self._host)
        self._parser.begin()
        finished = False
        loop = asyncio.get_running_loop()
        async with (
            asyncio.timeout(plan.silence) as silence,
            shell.stream(
                argv, lifetime=2 * plan.lifetime + 60, stdin=SAMPLER.encode(), stderr=False
            ) as stream,
        ):
            async for line in stream:
                sample = self._parser.feed(line, self._clock.monotonic(), self._clock.now())
                if sample is not None:
                    self._frames += 1
                    silence.reschedule(loop.time() + plan.silence)
                    self._on_sample(sample)
                elif line == FINISHED:
                    finished = True
        if finished and self._frames:
            return None
        return f"the sampler on the host ended early (status {stream.exit_status})"

    async def _rest(self, seconds: float) -> None:
        """Wait, but not when nudged."""
        self._wake.clear()
        waits = [
            asyncio.ensure_future(self._clock.sleep(seconds)),
            asyncio.ensure_future(self._wake.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
