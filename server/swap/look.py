"""The look before a swap: asks every host what preflight needs to know, all at once.

Owns the remote questions and what they are put together to; what follows from the answers is
`swap.preflight`. Touches nothing.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

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
from server.swap.placing import Room
from server.swap.preflight import HostFacts, Standing, findings


def held_bytes(holds: Sequence[GpuHold]) -> int:
    """What these GPU processes hold together; one that does not tell counts nothing."""
    return sum(hold.used or 0 for hold in holds)


def other_containers(fleet: Fleet, host: str, ours: Sequence[Engine]) -> tuple[str, ...]:
    """Ids of the containers on the host that are not engines of ours, by its last sample."""
    sample = fleet.latest(host)
    containers = sample.containers if sample else None
    mine = {engine.ident for engine in ours}
    return tuple(c.id for c in containers or () if c.id not in mine)


def going(
    memory: HostMemory | None,
    fleet: Fleet,
    host: str,
    doomed: Sequence[Engine],
    staying: Sequence[Engine],
) -> tuple[GpuHold, ...] | None:
    """The GPU processes of engines that will be gone. None when they cannot be told from those of
    an engine that stays: a process is known by the container in its cgroup, which a bare engine
    has not, and some hosts do not tell."""
    if memory is None or memory.holds is None:
        return None
    for engine in staying:
        if not any(engine.ident in hold.cgroup for hold in memory.holds):
            return None
    others = other_containers(fleet, host, doomed)
    return memory.held_outside((*others, *(engine.ident for engine in staying)))


class Look:
    """One per app. `engine` answers the engine settings of the moment, `ports` the ports of the
    services that are configured on a host."""

    def __init__(
        self,
        *,
        engines: Engines,
        shells: Shells,
        fleet: Fleet,
        catalog: Callable[[], Catalog],
        engine: Callable[[], EngineSettings],
        ports: Callable[[str], frozenset[int]] = lambda _host: frozenset(),
    ) -> None:
        self._engines = engines
        self._shells = shells
        self._fleet = fleet
        self._catalog = catalog
        self._engine = engine
        self._ports = ports
        self._weights: dict[str, int] = {}

    def weight_bytes(self, spec: LaunchSpec) -> int | None:
        """The size of the weights as the last preflight saw it: the prior of a first load."""
        return self._weights.get(spec.source)

    async def rooms(self, hosts: Sequence[str], layout: Sequence[Deployment]) -> Mapping[str, Room]:
        found = await asyncio.gather(*(self._room(host, layout) for host in hosts))
        return dict(zip(hosts, found, strict=True))

    async def _room(self, host: str, layout: Sequence[Deployment]) -> Room:
        """Unknown where the host does not say everything: half an answer could hide an engine."""
        try:
            engines, memory = await asyncio.gather(
                self._engines.observe(host, self._engine()), self._engines.memory(host)
            )
        except SparkError:
            return Room()
        sample = self._fleet.latest(host)
        total = sample.memory.total if sample else None
        layout_tags = {deployment.engine.tag: deployment.spec.model for deployment in layout}
        running = [engine for engine in engines if engine.running]
        held: dict[str, int] = {}
        for engine in running:
            mine = [h for h in memory.holds or () if engine.ident in h.cgroup]
            if engine.tag in layout_tags and held_bytes(mine):
                held[layout_tags[engine.tag]] = held_bytes(mine)
        left_over = [engine.container for engine in running if engine.tag not in layout_tags]
        return Room(total, memory.available, held, frozenset(left_over), self._ports(host))

    async def check(self, spec: LaunchSpec, standing: Standing) -> list[Finding]:
        model = self._catalog().find(spec.model)
        looks = asyncio.gather(*(self._facts(spec, model, node.host) for node in spec.nodes))
        memories = asyncio.gather(*(self._memory(node.host) for node in spec.nodes))
        launch, facts, memory = await asyncio.gather(self._engines.check(spec), looks, memories)
        pairs = zip(facts, memory, strict=True)
        available = [self._available(*pair, standing) for pair in pairs]
        fitting = self._fit(spec, model, facts, available)
        return findings(spec, facts, launch, fitting, standing)

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

    def _available(
        self, facts: HostFacts, memory: HostMemory | None, standing: Standing
    ) -> int | None:
        """What will be free there once every engine is gone that goes, asked of the host itself:
        the samples list GPU processes at a slow beat, and may not know the newest engine yet."""
        if memory is None or not facts.reachable or facts.trouble:
            return None
        running = [engine for engine in facts.engines if engine.running]
        doomed = [engine for engine in running if standing.gone(engine)]
        if memory.available is None or not doomed:
            return memory.available
        staying = [engine for engine in running if engine not in doomed]
        mine = going(memory, self._fleet, facts.host, doomed, staying)
        return None if mine is None else memory.available + held_bytes(mine)
