"""Sweeps as a service: one at a time, followed on the bus, kept when it is over.

Owns the task of the running sweep and the ceiling of each kind. Refuses a second one beside it:
both would measure each other.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from server.base.bus import EventBus
from server.base.clock import Clock
from server.base.errors import Conflict, InvalidValue, NotFound, SparkError
from server.base.logs import get_logger
from server.gateway.model import Upstream, UpstreamClient
from server.gateway.sweep.ledger import SweepLedger
from server.gateway.sweep.model import CEILINGS, DEFAULT_MOST, MOST, Sweep, Wish
from server.gateway.sweep.payload import payload
from server.gateway.sweep.runner import Ground, Runner

SHORTEST, LONGEST = 0.1, 600.0
REPEATS = 20


class Sweeps:
    """`find` raises `NotFound`; `ground` makes the view of one target. `seed` orders a plan."""

    def __init__(
        self,
        *,
        find: Callable[[str], Upstream],
        ground: Callable[[str], Ground],
        client: UpstreamClient,
        ledger: SweepLedger,
        bus: EventBus,
        clock: Clock,
        new_id: Callable[[datetime], str],
        seed: Callable[[], int],
    ) -> None:
        self._find = find
        self._ground = ground
        self._client = client
        self._ledger = ledger
        self._bus = bus
        self._clock = clock
        self._new_id = new_id
        self._seed = seed
        self._runner: Runner | None = None
        self._task: asyncio.Task[None] | None = None
        self._log = get_logger("sweep")

    async def start(self, wish: Wish, *, requested_by: str) -> Sweep:
        """Raises `NotFound`, `InvalidValue`, `Unavailable`, and `Conflict` while one is running."""
        upstream = self._find(wish.target)
        _check(wish)
        made = await asyncio.to_thread(payload, upstream, wish)
        ground = self._ground(wish.target)
        ground.upstream()
        if self._task is not None and self._runner is not None and self._runner.sweep.over:
            await asyncio.wait({self._task})  # the last one is over and only being kept
        if self._runner is not None:
            raise Conflict(
                f"A sweep of {self._runner.sweep.target} is running: one at a time.",
                advice=f"Wait for it, or cancel {self._runner.sweep.id}.",
            )
        now = self._clock.now()
        sweep = Sweep(
            id=self._new_id(now),
            target=wish.target,
            kind=upstream.kind,
            upstream=upstream.name,
            payload=made.label,
            most=most(upstream.kind, wish.most),
            seconds=wish.seconds,
            repeats=wish.repeats,
            requested_by=requested_by,
            created_at=now,
            cap=upstream.cap,
        )
        runner = Runner(
            sweep,
            wish,
            made,
            ground=ground,
            client=self._client,
            clock=self._clock,
            seed=self._seed(),
            told=self._tell,
        )
        self._runner = runner
        self._task = asyncio.create_task(self._carry_out(runner), name=f"sweep {wish.target}")
        await asyncio.sleep(0)  # a task that was cancelled before it began would clean nothing up
        return runner.sweep

    def _tell(self, sweep: Sweep) -> None:
        self._bus.publish("job", sweep.id, {"job": "sweep"} | sweep.to_dict())

    async def _carry_out(self, runner: Runner) -> None:
        try:
            await runner.run()
        except asyncio.CancelledError:
            pass  # noted in the record; what is left is to keep it
        finally:
            try:
                await self._ledger.save(runner.sweep)
            except SparkError as error:
                self._log.warning("sweep not kept", sweep=runner.sweep.id, problem=error.message)
            finally:
                self._runner = self._task = None

    async def cancel(self, sweep_id: str) -> Sweep:
        """Ends it and its requests. Raises `NotFound`, and `Conflict` when it is over."""
        runner, task = self._runner, self._task
        if runner is None or task is None or runner.sweep.id != sweep_id or runner.sweep.over:
            ended = await self.get(sweep_id)
            raise Conflict(f"The sweep {ended.id} is over: {ended.state}.")
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task})
        return runner.sweep

    def current(self) -> Sweep | None:
        return None if self._runner is None else self._runner.sweep

    async def get(self, sweep_id: str) -> Sweep:
        current = self.current()
        if current is not None and current.id == sweep_id:
            return current
        kept = await self._ledger.get(sweep_id)
        if kept is None:
            raise NotFound(f"There is no sweep {sweep_id[:100]!r}.", param="sweep_id")
        return kept

    async def history(self, limit: int = 20) -> list[Sweep]:
        """Newest first, the running one before all."""
        current = self.current()
        kept = await self._ledger.history(limit)
        return ([current] if current else []) + [
            one for one in kept if current is None or one.id != current.id
        ][: limit - (current is not None)]

    async def last(self, target: str) -> Sweep | None:
        """The newest sweep of a service or model, running or over."""
        return next((one for one in await self.history(100) if one.target == target), None)

    async def close(self) -> None:
        """One that is over is only being kept: it is waited for, not broken off."""
        runner, task = self._runner, self._task
        if runner is not None and task is not None:
            if not runner.sweep.over:
                task.cancel()
            await asyncio.wait({task})


def most(kind: str, wanted: int | None) -> int:
    """How far up it goes. Raises `InvalidValue` above what the kind stands."""
    ceiling = CEILINGS.get(kind, MOST)
    if wanted is not None and not 1 <= wanted <= ceiling:
        raise InvalidValue(
            f"max is {wanted}, and a sweep of kind {kind} goes from 1 to {ceiling} at once.",
            param="max",
        )
    return min(ceiling, DEFAULT_MOST) if wanted is None else wanted


def _check(wish: Wish) -> None:
    if not SHORTEST <= wish.seconds <= LONGEST:
        raise InvalidValue(f"seconds: use {SHORTEST:g} to {LONGEST:g}", param="seconds")
    if not 1 <= wish.repeats <= REPEATS:
        raise InvalidValue(f"repeats: use 1 to {REPEATS}", param="repeats")
    if not 0 <= wish.quiet <= LONGEST:
        raise InvalidValue(f"quiet: use 0 to {LONGEST:g}", param="quiet")
