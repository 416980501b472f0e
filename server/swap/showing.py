"""What is served right now: the layout, an immutable snapshot of each model, told on the bus."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from server.base.bus import EventBus
from server.base.clock import Clock
from server.base.health import Verdict
from server.base.logs import get_logger
from server.swap.model import Deployment, Serving, State, SwapRecord


class Showing:
    """Owns the layout. Only the swap writer calls its methods that change it. `changed` are called
    after the layout or the state of a record has changed."""

    def __init__(self, bus: EventBus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._served: dict[str, Serving] = {}
        # All that is served, oldest first: the same object until something changes.
        self.layout: tuple[Serving, ...] = ()
        self._states: dict[str, State] = {}
        self.changed: list[Callable[[], None]] = []

    @property
    def newest(self) -> Serving | None:
        return next(reversed(self._served.values()), None)

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        return tuple(serving.deployment for serving in self._served.values())

    @property
    def tags(self) -> frozenset[str]:
        return frozenset(deployment.engine.tag for deployment in self.deployments)

    def find(self, model: str | None) -> Serving | None:
        return self._served.get(model) if model is not None else None

    def hold(self, models: Collection[str]) -> None:
        """Nothing new is admitted to these."""
        self._change(models, accepting=False)

    def admit(self, models: Collection[str]) -> None:
        """These were not touched: they are admitted to again."""
        self._change(models, accepting=True)

    def judge(self, model: str, health: Verdict) -> None:
        serving = self._served.get(model)
        if serving is not None and serving.health != health:
            self._change((model,), health=health)

    def after(self, deployment: Deployment | None, drop: Collection[str]) -> tuple[Deployment, ...]:
        """The layout as `show` would leave it: to be saved before it is shown."""
        kept = {d.spec.model: d for d in self.deployments if d.spec.model not in drop}
        if deployment is not None:
            kept[deployment.spec.model] = deployment
        return tuple(kept.values())

    def show(
        self,
        deployment: Deployment | None = None,
        *,
        drop: Collection[str] = (),
        health: Verdict | None = None,
    ) -> None:
        for model in drop:
            self._served.pop(model, None)
        if deployment is not None:
            spec = deployment.spec
            self._served[spec.model] = Serving(
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
        before = self._states.get(record.id)
        if record.state.final:
            self._states.pop(record.id, None)
        else:
            self._states[record.id] = record.state
        if record.state is not before:
            self._call()

    def notice(self, level: str, message: str, **more: Any) -> None:
        body: Mapping[str, Any] = {"level": level, "message": message, **more}
        self._bus.publish("notice", "engine", body)

    def _change(self, models: Collection[str], **changes: Any) -> None:
        found = [model for model in models if model in self._served]
        for model in found:
            self._served[model] = replace(self._served[model], **changes)
        if found:
            self._tell()

    def _tell(self) -> None:
        self.layout = tuple(self._served.values())
        newest = self.newest
        body: Mapping[str, Any] = newest.to_dict() if newest else {"model": None}
        layout = [serving.to_dict() for serving in self.layout]
        self._bus.publish("model", "serving", {**body, "layout": layout})
        self._call()

    def _call(self) -> None:
        for hear in self.changed:
            try:
                hear()
            except Exception:  # a bug of a listener must not end a swap
                get_logger("swap").exception("swap.hook_bug")
