"""The look before a swap: asks every host what preflight needs to know, all at once.

Owns the remote questions and what they are put together to; what follows from the answers is
`swap.preflight`. Touches nothing.
"""

import asyncio
from collections.abc import Callable, Sequence

from server.base.errors import HostKeyChanged, HostUnreachable, SparkError
from server.base.finding import Finding
from server.catalog.fit import Fit, fit
from server.catalog.inspect import inspect
from server.catalog.model import Catalog, Model, ModelFiles
from server.config.model import Engine as EngineSettings
from server.fleet.service import Fleet
from server.launch.model import Engine, LaunchSpec
from server.launch.observe import GpuHold, HostMemory
from server.launch.service import Engines
from server.ssh.model import Shells
from server.swap.model import Deployment
from server.swap.preflight import HostFacts, findings


def held_bytes(holds: Sequence[GpuHold]) -> int:
    """What these GPU processes hold together; one that does not tell counts nothing."""
    return sum(hold.used or 0 for hold in holds)


def other_containers(fleet: Fleet, host: str, ours: Sequence[Engine]) -> tuple[str, ...]:
    """Ids of the containers on the host that are not engines of ours, by its last sample."""
    sample = fleet.latest(host)
    containers = sample.containers if sample else None
    mine = {engine.ident for engine in ours}
    return tuple(c.id for c in containers or () if c.id not in mine)


class Look:
    """One per app. `engine` answers the engine settings of the moment."""

    def __init__(
        self,
        *,
        engines: Engines,
        shells: Shells,
        fleet: Fleet,
        catalog: Callable[[], Catalog],
        engine: Callable[[], EngineSettings],
    ) -> None:
        self._engines = engines
        self._shells = shells
        self._fleet = fleet
        self._catalog = catalog
        self._engine = engine
        self._weights: dict[str, int] = {}

    def weight_bytes(self, spec: LaunchSpec) -> int | None:
        """The size of the weights as the last preflight saw it: the prior of a first load."""
        return self._weights.get(spec.source)

    async def check(self, spec: LaunchSpec, previous: Deployment | None) -> list[Finding]:
        model = self._catalog().find(spec.model)
        looks = asyncio.gather(*(self._facts(spec, model, node.host) for node in spec.nodes))
        memories = asyncio.gather(*(self._memory(node.host) for node in spec.nodes))
        launch, facts, memory = await asyncio.gather(self._engines.check(spec), looks, memories)
        available = [self._available(*pair) for pair in zip(facts, memory, strict=True)]
        served = previous.engine if previous else None
        fitting = self._fit(spec, model, facts, available)
        return findings(spec, facts, launch, fitting, served)

    def _fit(
        self,
        spec: LaunchSpec,
        model: Model | None,
        facts: Sequence[HostFacts],
        available: Sequence[int | None],
    ) -> Fit | None:
        files = next((f.files for f in facts if f.files and f.files.config), None)
        sample = self._fleet.latest(spec.head.host)
        if model is None or files is None or sample is None:
            return None
        known = [figure for figure in available if figure is not None]
        least = min(known) if len(known) == len(available) else None
        return fit(
            files.config,
            files.weight_bytes,
            model.knobs,
            len(spec.nodes),
            sample.memory.total,
            least,
        )

    async def _facts(self, spec: LaunchSpec, model: Model | None, host: str) -> HostFacts:
        try:
            seen, owner, files = await asyncio.gather(
                self._seen(host),
                self._engines.port_owner(host, spec.port),
                self._files(model, host),
            )
        except SparkError as error:
            return HostFacts(host=host, reachable=False, reason=error.message)
        engines, trouble = seen
        sample = self._fleet.latest(host)
        disks = sample.disks if sample else ()
        return HostFacts(
            host=host,
            reachable=True,
            files=files,
            port_owner=owner,
            engines=engines,
            trouble=trouble,
            disk_free=max((disk.available for disk in disks), default=None),
            driver=next((g.driver for g in sample.gpus if g.driver), None) if sample else None,
        )

    async def _seen(self, host: str) -> tuple[tuple[Engine, ...], str]:
        """Engines of ours there, or why the host, though it answers, could not tell."""
        try:
            return await self._engines.observe(host, self._engine()), ""
        except (HostUnreachable, HostKeyChanged):
            raise
        except SparkError as error:
            return (), error.message

    async def _files(self, model: Model | None, host: str) -> ModelFiles | None:
        if model is None:
            return None
        engine = self._engine()
        shell = self._shells.shell(host)
        files = await inspect(shell, model, engine.model_roots, engine.hf_home)
        if files.weight_bytes:
            self._weights[model.source.ref] = files.weight_bytes
        return files

    async def _memory(self, host: str) -> HostMemory | None:
        try:
            return await self._engines.memory(host)
        except SparkError:
            return None

    def _available(self, facts: HostFacts, memory: HostMemory | None) -> int | None:
        """What will be free there once every engine of ours is gone, asked of the host itself: the
        samples list GPU processes at a slow beat, and may not know the newest engine yet."""
        if memory is None or not facts.reachable or facts.trouble:
            return None
        if memory.available is None or not any(engine.running for engine in facts.engines):
            return memory.available
        others = other_containers(self._fleet, facts.host, facts.engines)
        return memory.available + held_bytes(memory.held_outside(others))
