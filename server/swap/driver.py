"""Drives one swap from its first event to its end: save, then act, then post what happened.

Owns the task of the effect that runs, the tick that moves the bar, and the phase timer. Decides
nothing: what follows what is `swap.machine`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from server.base.clock import Clock, iso
from server.base.errors import InsufficientStorage, SparkError, Unavailable
from server.base.logs import get_logger
from server.launch.model import LaunchSpec, Progress
from server.swap.estimate import ORDER, Position, beside, estimate, expected, unloading
from server.swap.events import (
    IMMEDIATE,
    Admit,
    Admitted,
    Advanced,
    Answered,
    Broke,
    CancelAsked,
    Check,
    Checked,
    Discard,
    Discarded,
    Drain,
    Drained,
    Effect,
    Event,
    Healthy,
    Hold,
    Placement,
    Prove,
    Restore,
    Retire,
    Serve,
    Start,
    Started,
    StepBegan,
    StopAll,
    Stopped,
    Tell,
    Watch,
)
from server.swap.ground import EngineBrokeError, Ground, Listener
from server.swap.ledger import Ledger
from server.swap.log import SwapLog
from server.swap.machine import advance
from server.swap.model import SwapError, SwapRecord
from server.swap.moving import back, mark_of, stage_of
from server.swap.node import ROLLBACK, Node
from server.swap.preflight import Standing
from server.swap.showing import Showing
from server.swap.timer import PHASE_OF_NODE, PhaseTimer

TICK_SECONDS = 0.5
SAVE_RETRY_SECONDS = 2.0


class Driver(Listener):
    """One per running swap. `post` from anywhere on the loop; `run` ends with the record."""

    def __init__(
        self,
        record: SwapRecord,
        *,
        ground: Ground,
        ledger: Ledger,
        clock: Clock,
        showing: Showing,
        drain_seconds: float,
        weight_bytes: Callable[[SwapRecord], int | None],
        place: Callable[[SwapRecord], Awaitable[Placement]],
        standing: Callable[[Placement], Standing],
    ) -> None:
        self.record = record
        self.log = SwapLog(iso(clock.now()) or "")
        self._ground = ground
        self._ledger = ledger
        self._clock = clock
        self._showing = showing
        self._drain_seconds = drain_seconds
        self._weight_bytes = weight_bytes
        self._place = place
        self._standing = standing
        self._events: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        self._epoch = 0
        self._task: asyncio.Task[None] | None = None
        self._timer = PhaseTimer(clock)
        self._learned: dict[str, Mapping[str, Sequence[float]]] = {}
        self._times = expected({})
        self._whole = False
        self._note = ""
        self.cancelled_by: str | None = None
        self._logger = get_logger("swap").bind(swap_id=record.id)

    # ---- what others call

    def post(self, event: Event) -> None:
        """An event from outside (cancel): valid in every epoch."""
        if isinstance(event, CancelAsked) and self.cancelled_by is None:
            self.cancelled_by = event.by
        self._events.put_nowait((-1, event))

    def step(self, name: str, host: str) -> None:
        self._events.put_nowait((self._epoch, StepBegan(name, host)))

    def line(self, text: str) -> None:
        self._note = ""
        self.log.hear(text, self._clock.now())

    def progress(self, progress: Progress) -> None:
        self._note = ""
        self._timer.hear(progress)

    def note(self, text: str) -> None:
        self._note = text

    async def run(self, first: Event | Effect) -> SwapRecord:
        """Until the record is final. `first`: an event, or after a restart the effect to repeat."""
        try:
            self._whole = isinstance(first, Admitted)
            await self._plan()
            if isinstance(first, Event):
                await self._take(first)
            else:
                self._mark(self.record)
                self._follow_node()
                self._begin(first)
            while not self.record.state.final:
                await self._one()
        finally:
            await self._halt()
        if self.record.node == Node.SERVING and self._whole and "starting" in self._timer.times:
            await self._learn()
        return self.record

    # ---- the loop

    async def _one(self) -> None:
        try:
            async with asyncio.timeout(TICK_SECONDS):
                epoch, event = await self._events.get()
        except TimeoutError:
            self._tick()
            return
        if epoch in (-1, self._epoch):
            await self._take(event)

    async def _take(self, event: Event) -> None:
        before = self.record
        record, effects = advance(before, event, self._clock.now())
        if record is before:
            return
        if record.node != before.node:
            self._mark(record)
        record = record.with_(log_lines=self.log.next)
        served = next((effect for effect in effects if isinstance(effect, Serve)), None)
        await self._save(record, served)
        self.record = record
        if record.node != before.node:
            self._logger.info("swap.state", state=record.state.value, node=record.node)
            self._follow_node()
        for effect in effects:
            if isinstance(effect, IMMEDIATE):
                self._at_once(effect)
        remote = [effect for effect in effects if not isinstance(effect, IMMEDIATE)]
        if remote or record.state.final:
            await self._halt()
        for effect in remote:
            self._begin(effect)
        if record.node != before.node and not record.state.final:
            await self._plan()
        self._showing.publish(self.record)

    def _mark(self, record: SwapRecord) -> None:
        said = mark_of(record)
        if said:
            self.log.mark(said, self._clock.now())

    def _follow_node(self) -> None:
        self._note = ""
        self._timer.enter(PHASE_OF_NODE.get(Node(self.record.node), self._timer.phase))

    async def _plan(self) -> None:
        """How long the phases should take, of the model that is on its way now. The size of the
        weights counts as soon as preflight has seen it."""
        record = self.record
        rolling = Node(record.node) in ROLLBACK
        old = back(record) if rolling else None
        spec = old.spec if old else record.target
        if spec is None:
            self._times = unloading()
            return
        key = learning_key(spec)
        if key not in self._learned:
            with suppress(SparkError):  # without them the bar is less sure, and that is all
                self._learned[key] = await self._ledger.learned(key)
        weights = None if rolling else self._weight_bytes(record)
        times = expected(self._learned.get(key, {}), weights)
        self._times = times if record.mode == "replace" else beside(times)

    def _at_once(self, effect: Effect) -> None:
        match effect:
            case Hold(models):
                self._showing.hold(models)
            case Admit(models):
                self._showing.admit(models)
            case Serve(deployment, drop):
                self._showing.show(deployment, drop=drop)
            case Tell(message, advice):
                self._showing.notice("warning", message, advice=advice)
            case _:
                raise TypeError(f"{effect} is not immediate")

    async def _save(self, record: SwapRecord, served: Serve | None) -> None:
        """Write ahead. While the disk refuses, wait: no effect runs that is not on record."""
        while True:
            try:
                if served is not None:
                    layout = self._showing.after(served.deployment, served.drop)
                    await self._ledger.save_served(record, layout, self._clock.now())
                else:
                    await self._ledger.save(record)
            except (InsufficientStorage, Unavailable) as error:
                self._logger.error("swap.not_saved", error=error.message)
                self.record = replace(self.record, stage=f"paused: {error.message}")
                self._showing.publish(self.record)
                await self._clock.sleep(SAVE_RETRY_SECONDS)
            else:
                return

    # ---- effects

    def _begin(self, effect: Effect) -> None:
        self._epoch += 1
        self._task = asyncio.create_task(self._carry(effect, self._epoch))

    async def _halt(self) -> None:
        """Cancel the running effect and wait until its remote side is really ended."""
        self._epoch += 1
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})  # a cancel of our own must end this wait, and us
            self._task = None

    async def _carry(self, effect: Effect, epoch: int) -> None:
        try:
            event = await self._perform(effect)
        except EngineBrokeError as broke:
            event = Broke(broke.error)
        except SparkError as error:
            event = Broke(_as_swap_error(error))
        except Exception as error:  # a bug of ours must end the swap truthfully, never hang it
            self._logger.exception("swap.bug", effect=type(effect).__name__)
            event = Broke(SwapError("internal", f"Unexpected {type(error).__name__}; see the log."))
        self._events.put_nowait((epoch, event))

    async def _perform(self, effect: Effect) -> Event:
        ground, event = self._ground, await self._clear(effect)
        if event is not None:
            return event
        match effect:
            case Check():
                event = await self._check()
            case Drain(models):
                event = Drained(await ground.drain(self._drain_seconds, models))
            case Start(spec, tag):
                event = Started(await ground.start(spec, tag, self))
            case Watch(spec, engine):
                await ground.watch(spec, engine, self)
                event = Healthy()
            case Prove(spec, engine):
                event = Answered((await ground.prove(spec, engine)).max_model_len)
            case _:
                raise TypeError(f"{effect} is not carried out remotely")
        return event

    async def _clear(self, effect: Effect) -> Event | None:
        """The effects that stop engines: what is of the layout stays (but what Retire names, which
        is not of the layout any more)."""
        ground, staying = self._ground, self._showing.tags
        event: Event | None = None
        match effect:
            case StopAll():
                await ground.stop_all(self._specs(), keep=staying, listener=self)
                event = Stopped()
            case Retire(evicted):
                await ground.retire(evicted, self)
                event = Stopped()
            case Restore(previous, tag):
                specs = [previous.spec]
                if self.record.touched and self.record.target is not None:
                    specs.append(self.record.target)
                await ground.stop_all(specs, keep=staying | {tag}, listener=self)
                event = Started(await ground.start(previous.spec, tag, self))
            case Discard(spec, tag):
                await ground.discard(spec, tag, keep=staying, listener=self)
                event = Discarded()
        return event

    async def _check(self) -> Event:
        placement = await self._place(self.record)
        findings = await self._ground.check(placement.target, self._standing(placement))
        return Checked(tuple(finding.to_dict() for finding in findings), placement)

    def _specs(self) -> list[LaunchSpec]:
        """Every place that this swap is to find empty."""
        specs = [self.record.target] if self.record.target else []
        return [*specs, *(gone.spec for gone in self.record.evicted)]

    # ---- progress

    def _tick(self) -> None:
        """Move the bar. Not saved: after a crash it is computed anew."""
        record = self.record
        if record.state.final or record.node == Node.QUEUED:
            return
        timer = self._timer
        position = Position(timer.phase, timer.elapsed, timer.fraction)
        percent, eta = estimate(self._times, position)
        stage = self._note or timer.detail or stage_of(record)
        event = Advanced(stage, percent, eta)
        moved, _ = advance(record, event, self._clock.now())
        self.record = moved.with_(log_lines=self.log.next)
        self._showing.publish(self.record)

    async def _learn(self) -> None:
        spec = self.record.target
        times = {phase: s for phase, s in self._timer.closed().items() if phase in ORDER}
        if spec is not None:
            with suppress(SparkError):  # a lost estimate is no reason to trouble a swap that serves
                await self._ledger.learn(learning_key(spec), times, self._clock.now())


def learning_key(spec: LaunchSpec) -> str:
    """Phase times are learned per (model source, image, launcher, number of nodes)."""
    return "|".join((spec.source, spec.image, spec.launcher, str(len(spec.nodes))))


def _as_swap_error(error: SparkError) -> SwapError:
    return SwapError(
        code=error.code, message=error.message, cause=error.message, advice=error.advice or ""
    )
