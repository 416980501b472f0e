"""What is served right now: one immutable snapshot, replaced as a whole and told on the bus."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from server.base.bus import EventBus
from server.base.clock import Clock
from server.base.health import Verdict
from server.swap.model import Deployment, Serving, SwapRecord


class Showing:
    """Owns the `Serving` snapshot. Only the swap writer calls its methods that change it."""

    def __init__(self, bus: EventBus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._serving: Serving | None = None

    @property
    def serving(self) -> Serving | None:
        return self._serving

    def hold(self) -> None:
        """Nothing new is admitted to the old engine."""
        self._change(accepting=False)

    def admit(self) -> None:
        """The old engine was not touched: it is admitted to again."""
        self._change(accepting=True)

    def judge(self, health: Verdict) -> None:
        if self._serving is not None and self._serving.health != health:
            self._change(health=health)

    def show(self, deployment: Deployment | None, *, health: Verdict | None = None) -> None:
        if deployment is None:
            self._serving = None
        else:
            spec = deployment.spec
            self._serving = Serving(
                model=spec.model,
                names=spec.served_names,
                base_url=spec.base_url,
                since=deployment.proven_at or self._clock.now(),
                deployment=deployment,
                max_model_len=deployment.max_model_len,
                health=health or Verdict.up(),
            )
        self._tell()

    def publish(self, record: SwapRecord) -> None:
        self._bus.publish("swap", record.id, record.to_dict())

    def notice(self, level: str, message: str, **more: Any) -> None:
        body: Mapping[str, Any] = {"level": level, "message": message, **more}
        self._bus.publish("notice", "engine", body)

    def _change(self, **changes: Any) -> None:
        if self._serving is not None:
            self._serving = replace(self._serving, **changes)
            self._tell()

    def _tell(self) -> None:
        serving = self._serving
        self._bus.publish("model", "serving", serving.to_dict() if serving else {"model": None})
