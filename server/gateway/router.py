"""The `Router`: what a name means, and a place at who answers it.

Owns the order of a request that asks for a model: refused at once, bridged, or let in by the
admission while the demand sees that it waits. Decisions are made by `route`, `demand` and the
admission.
"""

from collections.abc import Callable
from typing import Protocol

from server.config.model import Settings
from server.gateway.demand.bridge import bridge, bridged
from server.gateway.demand.service import Demand
from server.gateway.model import Ask, Grant, Operation, Route, SwapPolicy, Waiting
from server.gateway.route import Known, model_of, resolve

_REMEMBERED = 1024
_LONGEST = 128


class Admits(Protocol):
    def admit_now(self, ask: Ask) -> Grant | None: ...

    async def admit(self, ask: Ask, heard: Callable[[Waiting], None]) -> Grant: ...


class GatewayRouter:
    """One per app."""

    def __init__(
        self, *, demand: Demand, admission: Admits, settings: Callable[[], Settings]
    ) -> None:
        self._demand = demand
        self._admission = admission
        self._settings = settings
        self._known = Known(demand.known().catalog)
        self._routes: dict[tuple[str, str | None], Route] = {}

    def resolve(self, operation: Operation, model: str | None) -> Route:
        """Remembered for as long as nothing that has a name changes."""
        known = self._demand.known()
        same = known is self._known or _same(known, self._known)
        if not same or len(self._routes) >= _REMEMBERED:
            self._known = known
            self._routes.clear()
            self._demand.refresh()
        key = (operation.path, model)
        route = self._routes.get(key)
        if route is None:
            route = resolve(operation, model, known)
            if model is None or len(model) <= _LONGEST:
                self._routes[key] = route
        return route

    def admit_now(self, ask: Ask) -> Grant | None:
        model = model_of(ask.route.pool)
        if model is not None and not self._demand.loaded(model):
            return None
        grant = self._admission.admit_now(ask)
        if grant is not None and model is not None:
            self._demand.granted(model)
        return grant

    async def admit(self, ask: Ask, heard: Callable[[Waiting], None]) -> Grant:
        model = model_of(ask.route.pool)
        if model is None:
            return await self._admission.admit(ask, heard)
        demand = self._demand
        if not demand.loaded(model):
            policy = demand.policy(ask)
            demand.admissible(model, policy)
            grant = await self._bridged(model, ask, policy, heard)
            if grant is not None:
                return grant
        with demand.wants.want(model, ask):
            grant = await self._admission.admit(ask, heard)
        demand.granted(model)
        return grant

    async def _bridged(
        self, model: str, ask: Ask, policy: SwapPolicy, heard: Callable[[Waiting], None]
    ) -> Grant | None:
        """The answer of another model, when the settings name one and it is ready; its own model is
        loaded all the same."""
        demand, name = self._demand, self._settings().gateway.bridge
        if name is None or (policy != "auto" and not demand.loading(model)):
            return None
        route = bridge(name, ask, demand.known(), demand.pools)
        if route is None:
            return None
        demand.mark(model, ask)
        grant = await self._admission.admit(ask._replace(route=route), heard)
        served = model_of(route.pool)
        if served is not None:
            demand.granted(served)
        return bridged(grant, name)


def _same(one: Known, other: Known) -> bool:
    """The parts are immutable and replaced as a whole."""
    return (
        one.catalog is other.catalog
        and one.services is other.services
        and (one.layout is other.layout or one.layout == other.layout)
    )
