"""The demand: looks at who waits and what is served, decides by `policy`, and acts.

Owns the task, the holds it has set, what it told people, and when each model was last used. Woken
by the admission, by the swaps and once a second. Refuses to touch a host: it asks the swap service,
as a person would.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from server.base.bus import EventBus
from server.base.clock import Clock
from server.base.errors import SparkError
from server.base.health import Verdict
from server.base.logs import get_logger
from server.catalog.model import Catalog
from server.config.model import Settings
from server.gateway.demand.gather import Seen, gather, policy_of, rules_of, to_place
from server.gateway.demand.losses import Losses
from server.gateway.demand.model import (
    Action,
    AskPeople,
    Facts,
    Hold,
    Refuse,
    ReturnToDefault,
    Rules,
    StartSwap,
    Unhold,
    Unload,
)
from server.gateway.demand.outlook import eta
from server.gateway.demand.places import Places
from server.gateway.demand.policy import decide
from server.gateway.demand.setbacks import Setbacks, died, error_of
from server.gateway.demand.usage import Usage
from server.gateway.demand.wants import Wants
from server.gateway.model import Ask, SwapPolicy, Upstream
from server.gateway.pools import Pools, pools
from server.gateway.refusal import refusal
from server.gateway.route import Known, model_pool, not_found
from server.swap.events import Placement
from server.swap.model import OnConflict, Serving, State, SwapRecord, Use

TICK_SECONDS = 1.0
ASK_AGAIN_SECONDS = 600.0
PAUSE_SECONDS = 0.02
"""At least this long between two looks, however many requests come and go."""
_CAUSE = "another model goes first"


class Swaps(Protocol):
    """What the demand needs of the swap service."""

    def layout(self) -> tuple[Serving, ...]: ...
    def current(self) -> SwapRecord | None: ...
    def queue(self) -> tuple[SwapRecord, ...]: ...
    def eta_seconds(self, model: str) -> float | None: ...
    async def place(self, model: str) -> Placement: ...
    async def get(self, swap_id: str) -> SwapRecord: ...
    async def request(
        self, model: str, *, on_conflict: OnConflict = "queue", requested_by: str
    ) -> SwapRecord: ...
    async def unload(self, model: str | None = None, *, requested_by: str) -> SwapRecord: ...


class Turnstile(Protocol):
    """What the demand says to the admission."""

    def set_pools(self, pools: Mapping[str, tuple[Upstream, ...]]) -> None: ...
    def hold(self, pool: str, cause: str) -> None: ...
    def unhold(self, pool: str, cause: str) -> None: ...
    def refuse(self, pool: str, error: SparkError) -> None: ...
    def set_eta(self, pool: str, seconds: float | None) -> None: ...


class Demand:
    """One per app: `start()` once, `close()` at shutdown."""

    def __init__(
        self,
        *,
        swaps: Swaps,
        admission: Turnstile,
        catalog: Callable[[], Catalog],
        settings: Callable[[], Settings],
        in_flight: Callable[[], Mapping[str, int]],
        verdicts: Callable[[], Mapping[str, Verdict]],
        bus: EventBus,
        clock: Clock,
    ) -> None:
        self._swaps = swaps
        self._admission = admission
        self._catalog = catalog
        self._settings = settings
        self._in_flight = in_flight
        self._verdicts = verdicts
        self._bus = bus
        self._clock = clock
        self.wants = Wants()
        self.setbacks = Setbacks()
        self._places = Places(swaps.place)
        self._usage = Usage(clock.monotonic())
        self._pools: Pools = {}
        self._held: frozenset[str] = frozenset()
        self._asked: dict[str, float] = {}
        self._etas: dict[str, float] = {}
        self._under_way: frozenset[str] = frozenset()
        self._losses = Losses()
        self._wake = asyncio.Event()
        self._known = Known(catalog())
        self._task: asyncio.Task[None] | None = None
        self._log = get_logger("demand")

    # ---- life

    async def start(self) -> None:
        self.refresh()
        self._task = asyncio.create_task(self._run(), name="demand")

    async def close(self) -> None:
        """What was started goes on."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.look()
            except SparkError as error:
                self._log.warning("demand.failed", error=error.message)
            except Exception:  # a bug of ours: without this task nothing is loaded again
                self._log.exception("demand.bug")
            await asyncio.sleep(PAUSE_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._wake.wait()

    # ---- what others tell and ask; all of it at once, from memory

    def poke(self) -> None:
        """Somebody waits who did not before, or left, or is done."""
        if self.wants.any() or self._held:
            self._wake.set()

    def changed(self) -> None:
        """What is served, or a swap, changed. A drain that begins now must be seen now."""
        self.refresh()
        self._wake.set()

    def refresh(self) -> None:
        """The pools as they are now."""
        made = pools(self._catalog(), self._swaps.layout(), self._settings(), self._verdicts())
        if made != self._pools:
            self._pools = made
            self._admission.set_pools(made)

    @property
    def pools(self) -> Pools:
        return self._pools

    def loaded(self, model: str) -> bool:
        """Whether a request for it goes first, or needs a swap."""
        return any(one.model == model and one.accepting for one in self._swaps.layout())

    def under_way(self) -> tuple[SwapRecord, ...]:
        """The running swap, then the queued ones."""
        current = self._swaps.current()
        return (*((current,) if current else ()), *self._swaps.queue())

    def loading(self, model: str) -> bool:
        return any(swap.model == model for swap in self.under_way())

    def mark(self, model: str, ask: Ask) -> None:
        """Another model answers this request; its own is wanted all the same."""
        self.wants.mark(model, ask, self._clock.monotonic())
        self._wake.set()

    def policy(self, ask: Ask) -> SwapPolicy:
        """The caller's own, else the model's, else the settings'."""
        return ask.caller.swap or policy_of(ask.route.model, self._catalog(), self._settings())

    def admissible(self, model: str, policy: SwapPolicy) -> None:
        """Refuses at once who would wait in vain for a model that is not loaded."""
        if policy == "never":
            raise refusal(model, self._swaps.layout(), self.under_way())
        if not self.loading(model):
            error = self.setbacks.why(model, self._clock.monotonic())
            if error is not None:
                raise error

    def granted(self, model: str) -> None:
        self._usage.used(model, self._clock.monotonic())

    def use(self) -> Mapping[str, Use]:
        """How each served model is used: what an eviction goes by."""
        now, counts = self._clock.monotonic(), self._in_flight()
        return {
            one.model: Use(
                counts.get(one.model, 0),
                0.0 if counts.get(one.model) else self._usage.idle(one.model, now),
                self.wants.count(one.model),
            )
            for one in self._swaps.layout()
        }

    # ---- one look

    async def look(self) -> None:
        """Look, decide, act. Called by the task; tests call it instead."""
        self.refresh()
        await self._follow()
        facts, rules = await self._see()
        self._forget_asked({wanted.model for wanted in facts.wanted})
        for action in decide(facts, rules):
            await self._act(action)
        etas = {
            wanted.model: seconds
            for wanted in facts.wanted
            if (seconds := eta(wanted, self.under_way(), facts, rules, self._swaps.eta_seconds))
            is not None
        }
        for model in self._etas.keys() | etas.keys():
            self._admission.set_eta(model_pool(model), etas.get(model))
        self._etas = etas

    async def _see(self) -> tuple[Facts, Rules]:
        now, catalog = self._clock.monotonic(), self._catalog()
        layout, in_flight = self._swaps.layout(), self._in_flight()
        self._usage.look(frozenset(one.model for one in layout), in_flight, now)
        for one in layout:
            self.wants.unmark(one.model)
        seen = Seen(
            catalog=catalog,
            settings=self._settings(),
            layout=layout,
            swaps=tuple(swap.model for swap in self.under_way()),
            in_flight=in_flight,
            blocked={**self.setbacks.all(now), **self._missing(catalog, now)},
            lost=self._losses.open(),
            held=self._held,
            asked=frozenset(self._asked),
            now=now,
            wall=self._clock.now(),
        )
        facts, rules = gather(seen, self.wants, self._usage), rules_of(seen)
        return await self._places.fill(facts, to_place(facts, rules), now), rules

    def _missing(self, catalog: Catalog, now: float) -> dict[str, SparkError]:
        """Wanted, and taken out of the catalog or disabled meanwhile."""
        served = {one.model for one in self._swaps.layout()}
        ids = [model.id for model in catalog.models.values() if model.enabled]
        return {
            model: not_found(model, ids)
            for model in self.wants.models(now)
            if model not in served and model not in ids
        }

    async def _follow(self) -> None:
        """What became of the swaps that were under way at the last look, and what was lost."""
        now, under_way = self._clock.monotonic(), self.under_way()
        before, self._under_way = self._under_way, frozenset(swap.id for swap in under_way)
        ended = [await self._swaps.get(swap_id) for swap_id in before - self._under_way]
        for record in ended:
            self._note(record, now)
        served = frozenset(one.model for one in self._swaps.layout())
        self._losses.look(served, [*ended, *under_way], now)
        for model in self._losses.settle([*served, *(swap.model for swap in under_way)], now):
            self.setbacks.failed(model, died(model), now)

    def _note(self, record: SwapRecord, now: float) -> None:
        if record.model is None or not record.state.final:
            return
        if record.state is State.SERVING:
            self.setbacks.loaded(record.model, now)
        else:
            self.setbacks.failed(record.model, error_of(record.model, record), now)

    async def _act(self, action: Action) -> None:
        match action:
            case StartSwap(model, caller):
                await self._swap(model, caller)
            case ReturnToDefault(model):
                await self._swap(model, "return to the default model")
            case Unload(model):
                self._usage.part(model)
                await self._swaps.unload(model, requested_by="demand: unused for its ttl")
            case Hold(model):
                self._held |= {model}
                self._admission.hold(model_pool(model), _CAUSE)
            case Unhold(model):
                self._held -= {model}
                self._admission.unhold(model_pool(model), _CAUSE)
            case Refuse(model, error):
                self.wants.unmark(model)
                self._admission.refuse(model_pool(model), error)
            case AskPeople(model, count, caller):
                self._asked[model] = self._clock.monotonic()
                self._ask(model, count, caller)

    async def _swap(self, model: str, caller: str) -> None:
        try:
            record = await self._swaps.request(model, requested_by=f"demand: {caller}")
        except SparkError as error:
            self._log.warning("demand.refused", model=model, error=error.message)
            self.setbacks.failed(model, error, self._clock.monotonic())
            self._wake.set()
            return
        self._under_way |= {record.id}

    def _forget_asked(self, wanted: set[str]) -> None:
        """People are told anew, but not once a minute by a program that gives up and retries."""
        since = self._clock.monotonic() - ASK_AGAIN_SECONDS
        self._asked = {m: at for m, at in self._asked.items() if m in wanted or at > since}

    def _ask(self, model: str, count: int, caller: str) -> None:
        requests = "A request waits" if count == 1 else f"{count} requests wait"
        self._bus.publish(
            "notice",
            f"ask-{model}",
            {
                "level": "info",
                "message": f"{requests} for {model}, which is not loaded (asked by {caller}).",
                "advice": f"Swap it in, or run `spark-control swap {model}`; they wait.",
                "model": model,
            },
        )

    def known(self) -> Known:
        """All that can be named now: the same object until one of them is another one."""
        last, settings = self._known, self._settings()
        catalog, layout = self._catalog(), self._swaps.layout()
        if (
            last.catalog is not catalog
            or last.layout is not layout
            or last.services is not settings.services
        ):
            self._known = last = Known(catalog, layout, settings.services)
        return last
