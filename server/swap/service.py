"""The one writer of what is served: requests, the queue, restarting where it was, looking after.

Owns `layout()` and the single task that runs swaps, so that no two ever run at once. Refuses to
touch a host itself: that is the ground's.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from server.base.bus import EventBus
from server.base.clock import Clock
from server.base.errors import Conflict, ModelNotFound, NotFound, QueueFull, SparkError
from server.base.finding import Finding, Severity
from server.base.health import Verdict
from server.base.logs import bind, get_logger
from server.catalog.model import Catalog, Model
from server.config.model import Settings
from server.launch.model import LaunchSpec, PlannedCommand
from server.launch.model import Node as HostNode
from server.swap.driver import Driver, learning_key
from server.swap.endings import buried, dropped, given_up
from server.swap.estimate import expected
from server.swap.events import Admitted, CancelAsked, Effect, Event, Placement
from server.swap.ground import Ground
from server.swap.ledger import Ledger
from server.swap.log import SwapLog
from server.swap.model import OnConflict, Past, Serving, State, SwapRecord, Use
from server.swap.node import RELIEF, STAGE_OF, Node
from server.swap.placer import Placer
from server.swap.resume import Continue, Facts, Report, Wait, hosts_of, resume
from server.swap.showing import Showing
from server.swap.vigil import Vigil

QUEUE_LIMIT = 16
LOOK_SECONDS = 2.0
FAILED_LOOKS = 2
KEPT_LOGS = 4


class SwapService:
    """One per app: `start()` once, `close()` at shutdown (engines go on)."""

    def __init__(
        self,
        *,
        ground: Ground,
        ledger: Ledger,
        catalog: Callable[[], Catalog],
        settings: Callable[[], Settings],
        build_spec: Callable[[Model, Settings], LaunchSpec],
        bus: EventBus,
        clock: Clock,
        new_id: Callable[[datetime], str],
        weight_bytes: Callable[[LaunchSpec], int | None] = lambda _spec: None,
        look_seconds: float = LOOK_SECONDS,
        groups: Callable[[Model, Settings], Sequence[tuple[HostNode, ...]]] = lambda _m, _s: (),
        pinned: Callable[[], frozenset[str]] = frozenset,
        use: Callable[[], Mapping[str, Use]] = dict,
    ) -> None:
        self._ground = ground
        self._ledger = ledger
        self._catalog = catalog
        self._settings = settings
        self._build_spec = build_spec
        self._clock = clock
        self._new_id = new_id
        self._weight_bytes = weight_bytes
        self._look_seconds = look_seconds
        self._log = get_logger("swap")
        self._lock = asyncio.Lock()
        self._queue: list[SwapRecord] = []
        self._wake = asyncio.Event()
        self._driver: Driver | None = None
        self._task: asyncio.Task[None] | None = None
        self._groups = groups
        self._learned: dict[str, dict[str, list[float]]] = {}
        self._showing = Showing(bus, clock)
        self._placer = Placer(
            ground=ground,
            showing=self._showing,
            settings=settings,
            groups=self._groups_of,
            pinned=pinned,
            use=use,
        )
        self._vigil = Vigil(
            ground=ground,
            ledger=ledger,
            showing=self._showing,
            settings=settings,
            clock=clock,
            again=self._again,
        )
        self._logs: OrderedDict[str, SwapLog] = OrderedDict()

    # ---- life

    async def start(self) -> None:
        """Show what was served at once, then look at the hosts in the background."""
        unfinished = await self._ledger.unfinished()
        begun = [record for record in unfinished if record.node != Node.QUEUED]
        self._queue = [record for record in unfinished if record.node == Node.QUEUED]
        unseen = Verdict.unknown("not looked at since the restart")
        for served in await self._ledger.served():
            self._showing.show(served, health=unseen)
        for record in begun:
            if record.node in {Node.DRAINING, Node.RELIEVING}:
                self._showing.hold(record.evicted_models)  # they are about to be stopped
        await self._recall()
        self._task = asyncio.create_task(self._run(begun), name="swap-writer")

    async def close(self) -> None:
        """Stop driving; the saved record is taken up at the next start."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    # ---- what people and programs ask

    async def request(
        self,
        model: str,
        *,
        on_conflict: OnConflict = "queue",
        force: bool = False,
        requested_by: str,
    ) -> SwapRecord:
        """Ask for a model (id or alias). Joins a swap to the same model that is scheduled last."""
        entry = self._find(model)
        target = self._build_spec(entry, self._settings())
        async with self._lock:
            scheduled = self._scheduled()
            if scheduled is not None and not force and self._leads_to(scheduled, entry.id, target):
                return scheduled
            return await self._enqueue(entry.id, target, on_conflict, force, requested_by)

    async def unload(self, model: str | None = None, *, requested_by: str) -> SwapRecord:
        """Stop one model (id or alias), or all that is served; queued behind a running swap."""
        wanted = None if model is None else self._served_as(model)
        async with self._lock:
            scheduled = self._scheduled()
            if scheduled is not None and self._leads_to(scheduled, None, None, wanted):
                return scheduled
            return await self._enqueue(None, None, "queue", False, requested_by, unloads=wanted)

    def _served_as(self, name: str) -> str:
        """The id of a model that is served, though its entry may be gone; else of the catalog."""
        for serving in self._showing.layout:
            if name == serving.model or name in serving.names:
                return serving.model
        entry = self._catalog().find(name)
        return entry.id if entry else self._find(name).id

    async def cancel(self, swap_id: str, *, requested_by: str) -> SwapRecord:
        """Cancel a queued or running swap. `Conflict` when it ended or is already rolling back."""
        async with self._lock:
            return await self._cancel(swap_id, requested_by)

    def current(self) -> SwapRecord | None:
        return self._driver.record if self._driver else None

    def queue(self) -> tuple[SwapRecord, ...]:
        return tuple(self._queue)

    async def get(self, swap_id: str) -> SwapRecord:
        for record in (self.current(), *self._queue):
            if record is not None and record.id == swap_id:
                return record
        found = await self._ledger.get(swap_id)
        if found is None:
            raise NotFound(f"There is no swap {swap_id!r}.", param="id")
        return found

    async def history(self, limit: int = 50, wanted: Past | None = None) -> list[SwapRecord]:
        """Newest first; the running one as it is now."""
        current = self.current()
        records = await self._ledger.history(limit, wanted)
        return [current if current and r.id == current.id else r for r in records]

    def layout(self) -> tuple[Serving, ...]:
        """All that is served, oldest first."""
        return self._showing.layout

    def serving(self) -> Serving | None:
        """The newest of the layout: for what looks at one."""
        return self._showing.newest

    @property
    def changed(self) -> list[Callable[[], None]]:
        """Called, at once and in order, after the layout or the state of a swap has changed."""
        return self._showing.changed

    def eta_seconds(self, model: str) -> float | None:
        """Until `model` could serve if it were asked for now, from what was learned of its loads,
        behind the swap that runs. None when it was never loaded. From memory."""
        running = self.current()
        left = 0.0
        if running is not None and not running.state.final:
            left = running.eta_seconds or 0.0
            if running.model == model and running.state is not State.ROLLING_BACK:
                return running.eta_seconds
        entry = self._catalog().find(model)
        try:
            spec = self._build_spec(entry, self._settings()) if entry else None
        except SparkError:  # it cannot be started at all
            return None
        learned = self._learned.get(learning_key(spec)) if spec else None
        return left + sum(expected(learned).values()) if learned else None

    async def log(self, swap_id: str) -> SwapLog:
        """What that swap has heard; of one that ended long ago the end, or nothing."""
        if self._driver is not None and self._driver.record.id == swap_id:
            return self._driver.log
        kept = self._logs.get(swap_id)
        if kept is None:
            kept = await self._ledger.log(swap_id)
        return SwapLog("") if kept is None else kept

    async def place(self, model: str) -> Placement:
        """Where `model` would go now, and who would go for it. Raises `Conflict` when pinned models
        bar every way. May ask the hosts for their free memory; touches nothing."""
        return await self._placer.of(self._build_spec(self._find(model), self._settings()))

    async def preflight(self, model: str) -> list[Finding]:
        return (await self.rehearse(model))[0]

    async def rehearse(self, model: str) -> tuple[list[Finding], Placement | None]:
        """What preflight finds, and where it would go; None where it can go nowhere."""
        spec = self._build_spec(self._find(model), self._settings())
        try:
            placement = await self._placer.of(spec)
        except Conflict as error:
            advice = error.advice or ""
            return [Finding("cannot_be_placed", Severity.ERROR, error.message, advice)], None
        standing = self._placer.standing(placement)
        return await self._ground.check(placement.target, standing), placement

    async def command(self, model: str) -> tuple[PlannedCommand, ...]:
        return self.preview(self._build_spec(self._find(model), self._settings()))

    def preview(self, spec: LaunchSpec) -> tuple[PlannedCommand, ...]:
        """The commands that would start `spec`, of the catalog or not. From memory."""
        return self._ground.commands(spec)

    def _groups_of(self, spec: LaunchSpec) -> Sequence[tuple[HostNode, ...]]:
        """By the catalog of this moment; nothing when the entry is gone or cannot be started."""
        entry = self._catalog().find(spec.model)
        try:
            return self._groups(entry, self._settings()) if entry else ()
        except SparkError:
            return ()

    # ---- the queue

    def _find(self, name: str) -> Model:
        catalog = self._catalog()
        entry = catalog.find(name)
        if entry is None:
            known = ", ".join(list(catalog.models)[:20]) or "none"
            raise ModelNotFound(
                f"The catalog has no model {name!r}. It has: {known}.",
                param="model",
                advice="Add it to the catalog, or use one of these ids.",
            )
        if not entry.enabled:
            raise Conflict(f"The model {entry.id!r} is disabled in the catalog.", param="model")
        return entry

    def _scheduled(self) -> SwapRecord | None:
        """The swap that decides what will be served when all are done: the last of the queue. One
        that has just ended decides nothing any more: who asks now asks anew."""
        if self._queue:
            return self._queue[-1]
        current = self.current()
        return None if current is None or current.state.final else current

    def _leads_to(
        self,
        record: SwapRecord,
        model: str | None,
        target: LaunchSpec | None,
        unloads: str | None = None,
    ) -> bool:
        """Whether who wants this may join `record`. Not one that is being cancelled or on its way
        back to the model before, nor one that began before its model or the settings were edited.
        """
        driver = self._driver
        leaving = driver is not None and driver.record.id == record.id and driver.cancelled_by
        if leaving or record.cancelled_by is not None or record.state is State.ROLLING_BACK:
            return False
        marks = [spec.fingerprint if spec else None for spec in (record.target, target)]
        wanted = (record.model, record.unloads)
        return wanted == (model, unloads) and marks[0] == marks[1]

    async def _enqueue(
        self,
        model: str | None,
        target: LaunchSpec | None,
        on_conflict: OnConflict,
        force: bool,
        requested_by: str,
        **more: Any,
    ) -> SwapRecord:
        busy = self._scheduled()
        if busy is not None and on_conflict == "reject":
            raise Conflict(
                f"A swap to {busy.model or 'nothing'} is {busy.state.value}; nothing was changed.",
                advice="Wait for it, cancel it, or ask with on_conflict queue or replace.",
            )
        if len(self._queue) >= QUEUE_LIMIT and on_conflict != "replace":
            raise QueueFull(f"{QUEUE_LIMIT} swaps are waiting already.", retry_after=30)
        now = self._clock.now()
        record = SwapRecord(
            id=self._new_id(now),
            model=model,
            node=Node.QUEUED.value,
            state=State.QUEUED,
            created_at=now,
            requested_by=requested_by,
            target=target,
            force=force,
            stage=STAGE_OF[Node.QUEUED],
            **more,
        )
        kept, replaced = ([], self._queue) if on_conflict == "replace" else (self._queue, [])
        ended = [dropped(waiting, requested_by, now) for waiting in replaced]
        await self._ledger.save(record, *ended)  # all or none: what is saved runs after a restart
        self._queue = [*kept, record]
        if on_conflict == "replace":
            self._cancel_current(requested_by)
        for changed in (*ended, record):
            self._showing.publish(changed)
        self._wake.set()
        return record

    def _cancel_current(self, requested_by: str) -> None:
        """A rollback is let finish: the safe end. So is a swap whose model serves already."""
        if self._driver is None:
            return
        record = self._driver.record
        late = record.state is State.ROLLING_BACK or Node(record.node) in RELIEF
        if not record.state.final and not late:
            self._driver.post(CancelAsked(requested_by))

    async def _cancel(self, swap_id: str, requested_by: str) -> SwapRecord:
        for waiting in self._queue:
            if waiting.id == swap_id:
                ended = dropped(waiting, requested_by, self._clock.now())
                await self._ledger.save(ended)
                self._queue.remove(waiting)
                self._showing.publish(ended)
                return ended
        driver = self._driver
        if driver is None or driver.record.id != swap_id:
            record = await self.get(swap_id)
            raise Conflict(f"The swap {swap_id} ended already: it is {record.state.value}.")
        record = driver.record
        if record.state.final:
            raise Conflict(f"The swap {swap_id} ended already: it is {record.state.value}.")
        if record.state is State.ROLLING_BACK and record.cancelled_by is None:
            raise Conflict(
                "The swap failed and the previous model is being restored; that is not cancelled.",
                advice="Wait for it, or ask for another model: it is queued behind.",
            )
        if Node(record.node) in RELIEF:
            raise Conflict(
                f"{record.model} serves already; only the old engine is being stopped.",
                advice="Ask for the old model again: it is queued behind.",
            )
        driver.post(CancelAsked(requested_by))
        return record.with_(cancelled_by=record.cancelled_by or requested_by)

    async def _again(
        self, spec: LaunchSpec, requested_by: str, fixed: bool = False
    ) -> SwapRecord | None:
        """The vigil asks for an engine anew, `fixed`: where it was; what people asked for meanwhile
        goes first."""
        async with self._lock:
            if self._queue:
                return None
            return await self._enqueue(spec.model, spec, "queue", True, requested_by, fixed=fixed)

    # ---- the writer

    async def _run(self, begun: list[SwapRecord]) -> None:
        for record in begun:
            await self._take_up(record)
        if not begun:
            await self._outlive(self._vigil.look())
        while True:
            if self._queue:
                await self._next()
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self._vigil.pause(self._look_seconds)):
                    await self._wake.wait()
            self._wake.clear()
            if not self._queue:
                await self._outlive(self._vigil.look())

    async def _outlive(self, work: Coroutine[Any, Any, None]) -> None:
        """The writer outlives whatever this runs into: without it nothing is swapped again."""
        try:
            await work
        except SparkError as error:
            self._log.warning("vigil.failed", error=error.message)
        except Exception:  # a bug of ours
            self._log.exception("vigil.bug")

    async def _next(self) -> None:
        async with self._lock:
            if not self._queue:
                return  # its last swap was cancelled while we waited for the lock
            record = self._queue[0]
            self._driver = self._new_driver(record)
            self._queue.remove(record)
        await self._drive(self._admitted(record))

    def _admitted(self, record: SwapRecord) -> Admitted:
        """What is served now, as this swap sees it."""
        newest, target = self._showing.newest, record.target
        if target is None:
            one = self._showing.find(record.unloads)
            gone = (one.deployment,) if one else ()
            evicted = self._showing.deployments if record.unloads is None else gone
            return Admitted(evicted[-1] if evicted else None, evicted=evicted)
        mine = self._showing.find(target.model)
        if mine is not None:
            served = mine.deployment.spec
            same_place = served.nodes in self._placer.groups(target)
            already = served.fingerprint == target.fingerprint and same_place
            return Admitted(mine.deployment, already)
        return Admitted(newest.deployment if newest else None)

    def _new_driver(self, record: SwapRecord) -> Driver:
        return Driver(
            record,
            ground=self._ground,
            ledger=self._ledger,
            clock=self._clock,
            showing=self._showing,
            drain_seconds=self._settings().engine.drain_seconds,
            weight_bytes=lambda r: self._weight_bytes(r.target) if r.target else None,
            place=self._placer.place,
            standing=self._placer.standing,
        )

    async def _drive(self, first: Event | Effect) -> None:
        driver = self._driver
        if driver is None:
            raise RuntimeError("no swap to drive")
        try:
            with bind(swap_id=driver.record.id):  # in every log line, whichever room it is from
                ended = await driver.run(first)
                if driver.log.next:
                    await self._outlive(self._ledger.keep_log(ended.id, driver.log))
        except Exception:  # a bug of ours: say so in the history, and keep the writer alive
            self._log.exception("swap.bug", swap_id=driver.record.id)
            ended = driver.record
            if not ended.state.final:  # else it is in the history as it was
                ended = await self._bury(ended)
        finally:
            self._driver = None
            self._logs[driver.record.id] = driver.log
            while len(self._logs) > KEPT_LOGS:
                self._logs.popitem(last=False)
        self._showing.publish(ended)
        await self._outlive(self._recall())
        await self._outlive(self._vigil.ended(ended))

    async def _recall(self) -> None:
        """What was learned of loads, for `eta_seconds`."""
        self._learned = await self._ledger.all_learned()

    async def _bury(self, record: SwapRecord) -> SwapRecord:
        now = self._clock.now()
        ended = buried(record, now)
        gone = (*record.evicted_models, *((record.model,) if record.model else ()))
        self._showing.show(drop=gone)  # whether they run is not known; the sweep finds out
        layout = self._showing.deployments
        await self._outlive(self._ledger.save_served(ended, layout, now))
        return ended

    async def _take_up(self, record: SwapRecord) -> None:
        """Resume by looking; wait while a host cannot be asked. A cancel is heard meanwhile."""
        self._driver = self._new_driver(record)
        while True:
            decision = resume(record, await self._facts(hosts_of(record)))
            match decision:
                case Wait(reason):
                    by = self._driver.cancelled_by
                    if by is not None:
                        self._driver.record = replace(record, cancelled_by=by)
                        return await self._drive(given_up(record, reason, by))
                    self._driver.record = replace(record, stage=reason)
                    self._showing.publish(self._driver.record)
                    await self._clock.sleep(LOOK_SECONDS)
                case Continue(effect):
                    self._log.info("swap.resumed", swap_id=record.id, node=record.node)
                    return await self._drive(effect)
                case Report(event):
                    self._log.info("swap.resumed", swap_id=record.id, node=record.node)
                    return await self._drive(event)

    async def _facts(self, hosts: Sequence[str]) -> Facts:
        try:
            return await self._ground.observe(hosts)
        except Exception:  # a bug of ours: what was not understood is unknown
            self._log.exception("swap.bug")
            return {}
