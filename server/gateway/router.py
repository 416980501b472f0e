"""The first `Router`: one engine, no queue, no swap on demand.

Looks at what is served, takes the lease in the same breath, and says no with the reason otherwise.
"""

from collections.abc import Callable, Sequence

from server.base.errors import InvalidRequest
from server.catalog.model import Catalog
from server.gateway.inflight import InFlight
from server.gateway.model import Ask, Grant, Operation, Route, Upstream, Waiting
from server.gateway.route import matches, refusal, rewritten
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
        if model is None:
            raise InvalidRequest(f"{operation.path} needs a model.", param="model")
        found = self._catalog().find(model)
        name = found.id if found else model
        return Route(f"model:{name}", name, model)

    async def admit(self, ask: Ask, heard: Callable[[Waiting], None]) -> Grant:
        """No await between the look and the lease: a drain that begins later sees this request."""
        model = ask.route.asked or ask.route.model
        catalog, serving = self._catalog(), self._serving()
        if serving is None or not serving.accepting or not matches(model, catalog, serving):
            raise refusal(model, catalog, serving, self._swaps())
        lease = self._inflight.lease(serving.model, ask.request_id)
        host = serving.deployment.engine.host
        upstream = Upstream(
            f"{serving.model}@{host}",
            "llm",
            serving.base_url,
            host,
            models=serving.names,
            engine=True,
        )
        return Grant(ask.route, upstream, lease, rewritten(model, serving))
