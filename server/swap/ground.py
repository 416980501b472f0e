"""The seam between the swap driver and the world: everything the driver may ask to have done.

The driver knows only this protocol; `swap.live` carries it out on real hosts, tests on fakes. Every
call is idempotent by the swap's tag, may be cancelled at any await, and raises `SparkError`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from server.base.errors import SparkError
from server.base.finding import Finding
from server.base.health import Verdict
from server.launch.model import Engine, LaunchSpec, PlannedCommand, Progress
from server.swap.model import Deployment, SwapError
from server.swap.placing import Room
from server.swap.preflight import Standing
from server.swap.resume import Facts


class Listener(Protocol):
    """Hears how a call gets on."""

    def step(self, name: str, host: str) -> None: ...
    def line(self, text: str) -> None: ...
    def progress(self, progress: Progress) -> None: ...
    def note(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Proof:
    """A model answered. `first_token_seconds` from the request to the first streamed token."""

    first_token_seconds: float
    max_model_len: int | None


class EngineBrokeError(SparkError):
    """A start or a load failed for a known reason: carries the finished explanation."""

    status = 502
    code = "engine_broke"

    def __init__(self, error: SwapError) -> None:
        super().__init__(error.message)
        self.error = error


class Ground(Protocol):
    async def rooms(self, hosts: Sequence[str], layout: Sequence[Deployment]) -> Mapping[str, Room]:
        """Memory of each host and what the layout holds of it; what is not told is None there."""
        ...

    async def check(self, spec: LaunchSpec, standing: Standing) -> list[Finding]:
        """Preflight: touches nothing. What does not stay will be gone by then (memory, port)."""
        ...

    async def drain(self, seconds: float, models: Sequence[str]) -> int:
        """Wait for requests in flight on these models; returns how many were left when the time
        was over."""
        ...

    async def stop_all(
        self, specs: Sequence[LaunchSpec], *, keep: Collection[str], listener: Listener
    ) -> None:
        """Stop every engine of ours on the hosts of `specs` but those tagged as in `keep`; return
        when all are gone and their memory is back (or the memory wait is over, which is noted)."""
        ...

    async def retire(self, deployments: Sequence[Deployment], listener: Listener) -> None:
        """Stop these engines on all their hosts and nothing else; return when they are gone."""
        ...

    async def start(self, spec: LaunchSpec, tag: str, listener: Listener) -> Engine: ...

    async def watch(self, spec: LaunchSpec, engine: Engine, listener: Listener) -> None:
        """Return when `/health` is 200. Raises `EngineBrokeError`: ended, stuck, host lost."""
        ...

    async def prove(self, spec: LaunchSpec, engine: Engine) -> Proof: ...

    async def discard(
        self, spec: LaunchSpec, tag: str, *, keep: Collection[str], listener: Listener
    ) -> None:
        """Remove what was started of `spec` under `tag`; what bears a tag of `keep` stays."""
        ...

    async def remove(self, engine: Engine) -> None:
        """Remove this very engine and nothing else."""
        ...

    async def observe(self, hosts: Sequence[str]) -> Facts:
        """Engines of ours per host, concurrently; None for a host that does not answer."""
        ...

    async def alive(self, deployment: Deployment) -> Verdict:
        """Down only when the engine is known to be gone; Unknown when it cannot be told."""
        ...

    async def explain(self, spec: LaunchSpec, engine: Engine) -> SwapError:
        """Why this engine ended, from its exit code and log, read before anything removes it."""
        ...

    def commands(self, spec: LaunchSpec) -> tuple[PlannedCommand, ...]: ...

    def reachable(self) -> frozenset[str]:
        """Names of the hosts that are Up right now, from the samplers: no remote work."""
        ...
