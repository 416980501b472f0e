"""Carries out one sweep: a quiet window first, N requests in flight, the end when others come.

Each of N workers sends its next request when its last one was answered (a closed loop). What a
worker did by the time of its last answer is its rate, and a run's rate is the sum over its workers:
so no half-finished request is counted or lost.

Every request holds a lease like anybody's, so a drain sees it and ends it. A watch looks many
times a second whether somebody else waits or runs, and then ends them all: the place is theirs.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from server.base.clock import Clock
from server.base.errors import Conflict, SparkError, Unavailable, UpstreamError, UpstreamTimeout
from server.gateway.inflight import Lease
from server.gateway.model import Upstream, UpstreamClient, UpstreamRequest
from server.gateway.sweep.knee import knee, summed
from server.gateway.sweep.model import Run, Sweep, Wish
from server.gateway.sweep.payload import Payload
from server.gateway.sweep.plan import levels, order

LOOK_SECONDS = 0.05
PATIENCE = 60.0
"""How long a quiet window is waited for."""
WARM_SECONDS = 1.0
LEAST = 3
"""Requests of each worker in a run at least, however slow they are."""
_ERROR_BYTES = 4096
_TOLD = 200


class Ground(Protocol):
    """What the gateway knows of one upstream, and the way to it."""

    def upstream(self) -> Upstream:
        """As it is now. Raises `Unavailable` when it does not answer, `Leaving` when it goes."""
        ...

    def others(self) -> int:
        """Requests of anybody else that run on it or wait for it."""
        ...

    def idle_seconds(self) -> float:
        """How long there was none."""
        ...

    def neighbours(self) -> int:
        """Requests of others that run on its host, beside it."""
        ...

    def reserved(self) -> AbstractContextManager[None]:
        """While it lasts nobody else is let in; who comes is one of the `others`."""
        ...

    def lease(self, request_id: str) -> AbstractContextManager[Lease]: ...


class OthersNeedIt(Conflict):
    """Somebody came: the sweep makes room."""


class Leaving(Unavailable):
    """It gets nothing new any more, because another model is to have its place."""


@dataclass(slots=True)
class _Worker:
    """What one worker did."""

    count: int = 0
    took: float = 0.0


class Runner:
    """One sweep. `told` hears the record whenever it has moved on."""

    def __init__(
        self,
        sweep: Sweep,
        wish: Wish,
        payload: Payload,
        *,
        ground: Ground,
        client: UpstreamClient,
        clock: Clock,
        seed: int,
        told: Callable[[Sweep], None],
    ) -> None:
        self.sweep = sweep
        self._wish = wish
        self._payload = payload
        self._ground = ground
        self._client = client
        self._clock = clock
        self._seed = seed
        self._told = told
        self._runs: list[Run] = []
        self._neighbours = 0

    async def run(self) -> None:
        """To its end, whatever that is. Only a cancellation is raised, after it was noted."""
        try:
            await self._quiet()
            with self._ground.reserved():
                await self._measure()
            self._conclude()
        except (OthersNeedIt, Leaving) as error:
            self._end("aborted", error.message)
        except SparkError as error:
            self._end("failed", error.message)
        except asyncio.CancelledError:
            self._end("cancelled", "It was cancelled.")
            raise

    def _say(self, **changes: object) -> None:
        self.sweep = self.sweep.with_(**changes)
        self._told(self.sweep)

    def _end(self, state: str, message: str) -> None:
        self._say(
            state=state,
            message=message,
            finished_at=self._clock.now(),
            levels=summed(self._runs),
            notes=self._notes(),
        )

    async def _quiet(self) -> None:
        self._say(message=f"Waits until nobody has used {self._ground.upstream().name} for a bit.")
        until = self._clock.monotonic() + PATIENCE + self._wish.quiet
        while self._ground.others() or self._ground.idle_seconds() < self._wish.quiet:
            if self._clock.monotonic() > until:
                raise Unavailable(
                    f"{self._ground.upstream().name} was never quiet for {self._wish.quiet:g} s "
                    f"within {PATIENCE:.0f} s: try again when it is used less."
                )
            await self._clock.sleep(LOOK_SECONDS)
        self._ground.upstream()

    async def _measure(self) -> None:
        chosen = levels(self.sweep.most)
        runs = order(chosen, self.sweep.repeats, self._seed)
        whole = len(chosen) + len(runs)
        self._say(state="running", runs=whole, message="Warms it up, one level after the other.")
        bound = self.sweep.most + 1
        for number, level in enumerate((*chosen, *runs)):
            warming = number < len(chosen)
            if level < bound:
                seconds = min(WARM_SECONDS, self.sweep.seconds) if warming else self.sweep.seconds
                run = await self._stretch(level, seconds, 1 if warming else LEAST)
                if run.failed:
                    bound = level
                if run.failed or not warming:
                    self._runs.append(run)
            self._say(done=number + 1, levels=summed(self._runs), message=f"{level} at once")

    async def _stretch(self, level: int, seconds: float, least: int) -> Run:
        """Keep `level` in flight for `seconds`, and longer until each worker has its `least`."""
        latencies: list[float] = []
        workers = [_Worker() for _ in range(level)]
        until = self._clock.monotonic() + seconds
        tasks = [
            asyncio.create_task(self._work(worker, until, least, latencies), name="sweep worker")
            for worker in workers
        ]
        together = asyncio.gather(*tasks)
        watch = asyncio.create_task(self._watch(), name="sweep watch")
        try:
            either: set[asyncio.Future[Any]] = {watch, together}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                watch.result()
            failed = _failure(together)
        finally:
            for task in (*tasks, watch):
                task.cancel()
            await asyncio.gather(*tasks, together, watch, return_exceptions=True)
        rate = sum(worker.count / worker.took for worker in workers if worker.took > 0)
        return Run(level, rate, tuple(latencies), failed)

    async def _watch(self) -> None:
        """Ends the moment somebody else needs the upstream, or it goes away."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            upstream = self._ground.upstream()
            others = self._ground.others()
            if others:
                raise OthersNeedIt(
                    f"Stopped: somebody else needs {upstream.name} ({others} "
                    f"{'request' if others == 1 else 'requests'})."
                )
            self._neighbours = max(self._neighbours, self._ground.neighbours())

    async def _work(
        self, worker: _Worker, until: float, least: int, latencies: list[float]
    ) -> None:
        began = self._clock.monotonic()
        while True:
            took = await self._once()
            latencies.append(took)
            worker.count += 1
            now = self._clock.monotonic()
            worker.took = now - began
            if now >= until and worker.count >= least:
                return

    async def _once(self) -> float:
        """One request; the seconds to the end of its answer."""
        upstream = self._ground.upstream()
        request = UpstreamRequest(
            method="POST",
            url=upstream.base_url + self._payload.path,
            headers=[*self._payload.headers, (b"accept-encoding", b"identity")],
            body=self._payload.body,
            name=upstream.name,
        )
        with self._ground.lease(self.sweep.id) as lease, lease.endable():
            began = self._clock.monotonic()
            response = await self._client.open(request)
            try:
                if response.status >= 400:
                    body = await response.read(_ERROR_BYTES)
                    raise _refused(upstream.name, response.status, body)
                async for _ in response.chunks():
                    pass
            finally:
                response.close()
            return self._clock.monotonic() - began

    def _notes(self) -> tuple[str, ...]:
        notes = []
        if self._payload.synthetic:
            notes.append(
                "The recording was a made-up sound of a few seconds: with real speech, longer or "
                "shorter, the figures differ. Give a recording of your own to know."
            )
        if self._neighbours:
            notes.append(
                f"Up to {self._neighbours} requests of others ran on the same host meanwhile, so "
                "the figures may be too low."
            )
        return tuple(notes)

    def _conclude(self) -> None:
        found = summed(self._runs)
        proposal = knee(found, latency=self._wish.latency)
        if proposal is None:
            why = next((one.failed for one in found if one.failed), "no level was good enough")
            raise Unavailable(f"Nothing can be proposed for {self.sweep.target}: {why}")
        self._say(knee=proposal)
        self._end("done", proposal.sentence)


def _failure(together: "asyncio.Future[list[None]]") -> str:
    """How the upstream broke under the load, empty when it did not. All else is raised."""
    try:
        together.result()
    except (UpstreamError, UpstreamTimeout) as error:
        return error.message[:_TOLD]
    return ""


def _refused(name: str, status: int, body: bytes) -> SparkError:
    """A 4xx is the request's fault and ends the sweep; a 5xx is what load may do."""
    told = body.decode("utf-8", "replace").strip()[:_TOLD]
    message = f"{name} answered HTTP {status}: {told}" if told else f"{name} answered HTTP {status}"
    if status >= 500 or status == 429:
        return UpstreamError(message, source=name)
    return Unavailable(message, advice="Give a request that it accepts as the payload.")
