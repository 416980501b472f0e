"""The first `Router`: one engine, no queue, no swap on demand.

Looks at what is served, takes the lease in the same breath, and says no with the reason otherwise.
"""

from collections.abc import Callable, Sequence

from server.catalog.model import Catalog
from server.gateway.inflight import InFlight
from server.gateway.model import Grant
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

    async def admit(self, model: str, request_id: str) -> Grant:
        """No await between the look and the lease: a drain that begins later sees this request."""
        catalog, serving = self._catalog(), self._serving()
        if serving is None or not serving.accepting or not matches(model, catalog, serving):
            raise refusal(model, catalog, serving, self._swaps())
        lease = self._inflight.lease(serving.model, request_id)
        return Grant(serving.model, serving.base_url, lease, rewritten(model, serving))
