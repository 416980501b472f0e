"""A cluster that a test moves by hand, the demand over it, and requests that ask the router."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from server.base.bus import EventBus
from server.base.errors import Conflict, SparkError
from server.catalog.model import Catalog
from server.config.gateway import Gateway
from server.config.model import Settings
from server.gateway.admission.service import Admission
from server.gateway.demand.service import Demand
from server.gateway.inflight import InFlight
from server.gateway.model import Ask, Caller, Grant
from server.gateway.operations import OPERATIONS
from server.gateway.router import GatewayRouter
from server.swap.events import Placement
from server.swap.model import Mode, OnConflict, Serving, State, SwapError, SwapRecord
from tests.fleet.fakes import FakeClock
from tests.gateway.made import catalog, model
from tests.swap.made import deployment, record, spec


@dataclass
class Cluster:
    """The swap service, as far as the demand knows it. One place; a test says when a swap ends."""

    clock: FakeClock
    served: list[Serving] = field(default_factory=list)
    under_way: list[SwapRecord] = field(default_factory=list)
    records: dict[str, SwapRecord] = field(default_factory=dict)
    changed: list[Callable[[], None]] = field(default_factory=list)
    barred: bool = False
    mode: Mode = "replace"
    unplanned: SparkError | None = None
    planned: int = 0
    refuses: SparkError | None = None
    unloads: list[str | None] = field(default_factory=list)

    def layout(self) -> tuple[Serving, ...]:
        return tuple(self.served)

    def current(self) -> SwapRecord | None:
        return self.under_way[0] if self.under_way else None

    def queue(self) -> tuple[SwapRecord, ...]:
        return tuple(self.under_way[1:])

    def eta_seconds(self, _model: str) -> float | None:
        return 120.0

    async def get(self, swap_id: str) -> SwapRecord:
        return self.records[swap_id]

    async def place(self, name: str) -> Placement:
        self.planned += 1
        if self.unplanned is not None:
            raise self.unplanned
        if self.barred:
            raise Conflict("pinned")
        gone = () if self.mode == "beside" else tuple(s.deployment for s in self.served)
        return Placement(spec(name), gone, self.mode)

    async def request(
        self, name: str, *, on_conflict: OnConflict = "queue", requested_by: str
    ) -> SwapRecord:
        if self.refuses is not None:
            raise self.refuses
        return self._begin(name, requested_by)

    async def unload(self, name: str | None = None, *, requested_by: str) -> SwapRecord:
        self.unloads.append(name)
        return self._begin(None, requested_by)

    def _begin(self, name: str | None, requested_by: str) -> SwapRecord:
        made = record().with_(id=f"swap-{len(self.records)}", model=name, requested_by=requested_by)
        self.records[made.id] = made
        self.under_way.append(made)
        self.tell()
        return made

    def tell(self) -> None:
        for hook in self.changed:
            hook()

    def shows(self, *names: str, accepting: bool = True) -> None:
        self.served = [
            Serving(
                name,
                (name,),
                "http://127.0.0.1:1",
                self.clock.now(),
                deployment(name),
                accepting=accepting,
            )
            for name in names
        ]
        self.tell()

    def ends(self, state: State = State.SERVING, error: SwapError | None = None) -> None:
        """The running swap is over."""
        made = self.under_way.pop(0).with_(state=state, error=error)
        self.records[made.id] = made
        if state is State.SERVING and made.model:
            self.shows(made.model)
        elif state is State.UNLOADED:
            self.shows()
        else:
            self.tell()


class House:
    """The demand, the admission and the router, with nobody acting but the test."""

    def __init__(self, *, models: Catalog | None = None, **gateway: Any) -> None:
        self.clock = FakeClock()
        self.cluster = Cluster(self.clock)
        self.catalog = models or catalog(model("tiny"), model("large"), model("other"))
        self.settings = Settings(gateway=Gateway(**gateway))
        self.inflight = InFlight()
        self.bus = EventBus()
        self.admission = Admission(
            inflight=self.inflight, settings=lambda: self.settings.gateway, clock=self.clock
        )
        self.demand = Demand(
            swaps=self.cluster,
            admission=self.admission,
            catalog=lambda: self.catalog,
            settings=lambda: self.settings,
            in_flight=self.inflight.counts,
            verdicts=dict,
            bus=self.bus,
            clock=self.clock,
        )
        self.admission.on_change = self.demand.poke
        self.cluster.changed.append(self.demand.changed)
        self.router = GatewayRouter(
            demand=self.demand, admission=self.admission, settings=lambda: self.settings
        )

    def ask(self, name: str, caller: Caller | None = None, **fields: Any) -> asyncio.Task[Grant]:
        """A request on its way in."""
        operation = OPERATIONS["/v1/chat/completions"]
        ask = Ask(
            self.router.resolve(operation, name),
            operation,
            caller or Caller("program"),
            "req",
            self.clock.monotonic(),
            900.0,
            **fields,
        )
        return asyncio.create_task(self.router.admit(ask, lambda _told: None))

    async def look(self, seconds: float = 0.0) -> None:
        """Time goes by, everybody takes a step, the demand looks, and all take another."""
        self.clock.seconds += seconds
        await self.rest()
        await self.demand.look()
        await self.rest()

    async def rest(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    def wanted(self) -> list[str | None]:
        return [swap.model for swap in self.cluster.under_way]

    def close(self) -> None:
        self.admission.close()
