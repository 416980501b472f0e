"""Stops engines on hosts, spares those that stay, and waits until their memory is really back.

Owns the order of a stop and what must come back before the next engine starts. Decides nothing
about who goes.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from server.base.errors import SparkError
from server.base.units import size
from server.config.model import Engine as EngineSettings
from server.fleet.service import Fleet
from server.launch.model import Engine, LaunchSpec
from server.launch.observe import HostMemory
from server.launch.place import share
from server.launch.service import Engines
from server.swap.ground import Listener
from server.swap.look import going, held_bytes
from server.swap.model import Deployment

STEADY_SECONDS = 3.0
MEMORY_SHARE = 0.9
"""How much of an engine's resident memory must be back before the next one starts."""

_Place = tuple[str, str, bool]


@dataclass(frozen=True, slots=True)
class _Held:
    """What must be back on a host after a stop: available bytes, and processes off the GPU. With
    `steady` it was reckoned, not measured: no longer than until nothing more comes back."""

    host: str
    need: int
    pids: tuple[int, ...] = ()
    steady: float = 0.0


@dataclass(frozen=True, slots=True)
class _Before:
    """A host before a stop: the tags that stay, by their place, and what must come back."""

    kept: Mapping[_Place, str] = field(default_factory=dict)
    held: tuple[_Held, ...] = ()


def _place(host: str, what: LaunchSpec | Engine) -> _Place:
    """What a stop goes by: the host, the name, and whether it is no container."""
    return host, what.container, what.launcher == "bare"


def _distinct(specs: Sequence[LaunchSpec]) -> list[LaunchSpec]:
    """One spec per set of things that a stop reaches: same hosts, same name, same way."""
    found = {(s.container, s.launcher == "bare", s.nodes): s for s in specs}
    return list(found.values())


class Clearing:
    """One per ground."""

    def __init__(
        self, *, engines: Engines, fleet: Fleet, patience: Callable[[], EngineSettings]
    ) -> None:
        self._engines = engines
        self._fleet = fleet
        self._patience = patience

    async def retire(self, deployments: Sequence[Deployment], listener: Listener) -> None:
        """Their places are theirs alone, so whatever of ours is there goes."""
        for deployment in deployments:
            await self._engines.stop(
                deployment.spec, grace=self._patience().stop_seconds, on_step=listener.step
            )

    async def stop_all(
        self, specs: Sequence[LaunchSpec], *, keep: Collection[str], listener: Listener
    ) -> None:
        hosts = tuple(dict.fromkeys(node.host for spec in specs for node in spec.nodes))
        shares = {_place(node.host, spec): share(spec) for spec in specs for node in spec.nodes}
        looks = await asyncio.gather(*(self._before(host, shares, keep) for host in hosts))
        kept = {place: tag for look in looks for place, tag in look.kept.items()}
        for spec in _distinct(specs):
            places = [_place(node.host, spec) for node in spec.nodes]
            await self._engines.stop(
                spec,
                grace=self._patience().stop_seconds,
                keep_tag=next((kept[place] for place in places if place in kept), None),
                on_step=listener.step,
            )
        held = (one for look in looks for one in look.held)
        await asyncio.gather(*(self._await_memory(one, listener) for one in held))

    async def discard(self, spec: LaunchSpec, *, keep: Collection[str], listener: Listener) -> None:
        """Everything of ours under the name goes, and a start still on its way is defeated: at this
        point of a swap nothing of ours but the layout is meant to run on these hosts. Its memory is
        waited for as well: the previous model is about to take it."""
        await self.stop_all([spec], keep=keep, listener=listener)
        await asyncio.gather(*(self._await_room(spec, node.host) for node in spec.nodes))

    async def _before(
        self, host: str, shares: Mapping[_Place, float], keep: Collection[str]
    ) -> _Before:
        """What the engines that are about to go hold there. An engine that the stop of the specs
        does not reach (older settings named it otherwise) is stopped here. A host that does not say
        is left to the stop itself, so that the other hosts are not spared by it."""
        try:
            seen, memory = await asyncio.gather(
                self._engines.observe(host, self._patience()), self._memory(host)
            )
        except SparkError:
            return _Before()
        running = [engine for engine in seen if engine.running]
        staying = [engine for engine in running if engine.tag in keep]
        doomed = [engine for engine in running if engine.tag not in keep]
        kept = {_place(host, engine): engine.tag for engine in staying}
        for engine in doomed:
            if _place(host, engine) not in shares:
                await self._engines.stop(engine, grace=self._patience().stop_seconds)
        if not doomed or memory is None or memory.available is None:
            return _Before(kept)
        mine = going(memory, self._fleet, host, doomed, staying)
        if mine is None:
            told = sum(shares.get(_place(host, engine), 0.0) for engine in doomed)
            back = int(MEMORY_SHARE * told * (self._total(host) or 0))
            held = _Held(host, memory.available + back, (), STEADY_SECONDS)
        else:
            back = int(MEMORY_SHARE * held_bytes(mine))
            held = _Held(host, memory.available + back, tuple(hold.pid for hold in mine))
        return _Before(kept, (held,) if back else ())

    def _total(self, host: str) -> int | None:
        sample = self._fleet.latest(host)
        return sample.memory.total if sample else None

    async def _memory(self, host: str) -> HostMemory | None:
        """None when it is not told: nothing is known of memory, but much of the engines."""
        try:
            return await self._engines.memory(host)
        except SparkError:
            return None

    async def _await_memory(self, held: _Held, listener: Listener) -> None:
        listener.step("wait for memory", held.host)
        wait = self._patience().memory_wait_seconds
        seen = await self._engines.await_memory(
            held.host, held.need, held.pids, wait, steady=held.steady
        )
        if not seen.enough:
            listener.note(
                f"{held.host}: {size(seen.available)} of the expected {size(held.need)} are "
                f"available {wait:.0f} s after the stop; going on"
            )

    async def _await_room(self, spec: LaunchSpec, host: str) -> None:
        """An engine that ended by itself held what nobody can name any more: wait for the share of
        memory that such engines take, or until no more of it comes back."""
        total = self._total(host)
        need = 1 << 50 if total is None else int(share(spec) * total)
        wait = self._patience().memory_wait_seconds
        with suppress(SparkError):  # the start that follows says what is wrong
            await self._engines.await_memory(host, need, (), wait, steady=STEADY_SECONDS)
