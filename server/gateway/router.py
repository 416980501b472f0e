"""The first `Router`: one engine, no queue, no swap on demand.

Looks at what is served, takes the lease in the same breath, and says no with the reason otherwise.
"""

from collections.abc import Callable, Sequence

from server.catalog.model import Catalog
from server.gateway.inflight import InFlight
from server.gateway.model import Ask, Grant, Operation, Route, Waiting
from server.gateway.pools import engine, rewritten
from server.gateway.refusal import refusal
from server.gateway.route import Known, resolve
from server.swap.model import Serving, SwapRecord


class ServingRouter:
    """`swaps` gives the running swap, then the queued ones, so that a refusal tells the truth."""

    def __init__(
        self,
        *,
        catalog: Callable[[], Catalog],
        serving: Callable[[], Serving | None],
        swaps: Callable[[], Sequence[SwapRecord]],
        inflight: InFlight,
    ) -> None:
        self._catalog = catalog
        self._serving = serving
        self._swaps = swaps
        self._inflight = inflight

    def resolve(self, operation: Operation, model: str | None) -> Route:
        serving = self._serving()
        return resolve(operation, model, Known(self._catalog(), (serving,) if serving else ()))

    async def admit(self, ask: Ask, heard: Callable[[Waiting], None]) -> Grant:
        """No await between the look and the lease: a drain that begins later sees this request."""
        serving, model = self._serving(), ask.route.model
        if serving is None or not serving.accepting or serving.model != model:
            raise refusal(model, (serving,) if serving else (), self._swaps())
        lease = self._inflight.lease(serving.model, ask.request_id)
        upstream = engine(serving)
        return Grant(ask.route, upstream, lease, rewritten(ask.route.asked, model, upstream))
