"""The ground on real hosts: carries out what the swap driver asks, with the rooms below.

Owns the order of remote calls inside one effect, the health poll and the proof. Decides nothing
about what comes next.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from server.base.clock import Clock
from server.base.errors import SparkError
from server.base.finding import Finding
from server.base.health import Health, Verdict
from server.base.units import size
from server.config.model import Engine as EngineSettings
from server.config.model import Settings
from server.fleet.service import Fleet
from server.launch.model import Engine, LaunchFailed, LaunchSpec, PlannedCommand
from server.launch.observe import HostMemory
from server.launch.place import share
from server.launch.service import Engines
from server.launch.signatures import diagnose, excerpt
from server.ssh.model import Stream
from server.swap.ground import EngineBrokeError, Listener, Proof
from server.swap.load import Load
from server.swap.look import Look, going, held_bytes
from server.swap.model import Deployment, SwapError
from server.swap.placing import Room
from server.swap.preflight import Standing
from server.swap.proof import first_token
from server.swap.resume import Facts

HEALTH_TIMEOUT = httpx.Timeout(3.0)
LOG_LINES = 400
STEADY_SECONDS = 3.0
MEMORY_SHARE = 0.9
"""How much of an engine's resident memory must be back before the next one starts."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What must be back on a host after a stop: available bytes, and processes off the GPU."""

    host: str
    need: int
    pids: tuple[int, ...]


_Place = tuple[str, str, bool]


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


class LiveGround:
    """One per app. `http` is a shared client without redirects; `drain` waits for the gateway."""

    def __init__(
        self,
        *,
        engines: Engines,
        look: Look,
        fleet: Fleet,
        settings: Callable[[], Settings],
        drain: Callable[[float, Sequence[str]], Awaitable[int]],
        http: httpx.AsyncClient,
        clock: Clock,
    ) -> None:
        self._engines = engines
        self._look = look
        self._fleet = fleet
        self._settings = settings
        self._drain = drain
        self._http = http
        self._clock = clock

    # ---- looking

    @property
    def clock(self) -> Clock:
        return self._clock

    def patience(self) -> EngineSettings:
        return self._settings().engine

    def available(self, host: str, since: datetime) -> int | None:
        """Available bytes by the last sample; None when that is older than `since`."""
        sample = self._fleet.latest(host)
        return sample.memory.available if sample and sample.at >= since else None

    def follow(self, spec: LaunchSpec, engine: Engine) -> AbstractAsyncContextManager[Stream]:
        return self._engines.follow(engine, spec)

    async def runs(self, spec: LaunchSpec, engine: Engine) -> bool:
        """Raises HostUnreachable when that cannot be told."""
        seen = await self._engines.observe(spec.head.host, self._settings().engine)
        return any(e.running and e.same(engine) for e in seen)

    def commands(self, spec: LaunchSpec) -> tuple[PlannedCommand, ...]:
        return self._engines.commands(spec, "<swap id>")

    def reachable(self) -> frozenset[str]:
        statuses = self._fleet.statuses()
        return frozenset(s.name for s in statuses if s.verdict.health is Health.UP)

    async def observe(self, hosts: Sequence[str]) -> Facts:
        async def one(host: str) -> tuple[Engine, ...] | None:
            try:
                return await self._engines.observe(host, self._settings().engine)
            except SparkError:  # whatever kept it from telling: unknown, and not "nothing there"
                return None

        seen = await asyncio.gather(*(one(host) for host in hosts))
        return dict(zip(hosts, seen, strict=True))

    async def alive(self, deployment: Deployment) -> Verdict:
        healthy = await self.healthy(deployment.spec)
        if healthy and not self._worker_missing(deployment):
            return Verdict.up()
        head = deployment.spec.head.host
        facts = await self.observe([node.host for node in deployment.spec.nodes])
        if any(seen is None for seen in facts.values()):
            return Verdict.unknown(f"{head} does not answer")
        mine = [e for e in facts[head] or () if e.same(deployment.engine)]
        if not any(engine.running for engine in mine):
            return Verdict.down(f"the engine on {head} ended")
        for node in deployment.spec.nodes[1:]:
            tag = deployment.engine.tag
            if not any(e.running and e.tag == tag for e in facts[node.host] or ()):
                return Verdict.down(f"the worker on {node.host} ended")
        if healthy:
            return Verdict.up()
        return Verdict.unknown(f"the engine on {head} runs but /health does not answer")

    def _worker_missing(self, deployment: Deployment) -> bool:
        """From the samples alone: the head's `/health` can stay 200 after a worker died."""
        for node in deployment.spec.nodes[1:]:
            sample = self._fleet.latest(node.host)
            if sample is None or sample.containers is None:
                continue
            names = {c.name for c in sample.containers if c.state == "running"}
            if deployment.spec.container not in names:
                return True
        return False

    async def healthy(self, spec: LaunchSpec) -> bool:
        try:
            answer = await self._http.get(f"{spec.base_url}/health", timeout=HEALTH_TIMEOUT)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    async def rooms(self, hosts: Sequence[str], layout: Sequence[Deployment]) -> Mapping[str, Room]:
        return await self._look.rooms(hosts, layout)

    async def check(self, spec: LaunchSpec, standing: Standing) -> list[Finding]:
        return await self._look.check(spec, standing)

    # ---- stopping

    async def drain(self, seconds: float, models: Sequence[str]) -> int:
        return await self._drain(seconds, models)

    async def retire(self, deployments: Sequence[Deployment], listener: Listener) -> None:
        """Their places are theirs alone, so whatever of ours is there goes."""
        for deployment in deployments:
            await self._engines.stop(
                deployment.spec, grace=self.patience().stop_seconds, on_step=listener.step
            )

    async def stop_all(
        self, specs: Sequence[LaunchSpec], *, keep: Collection[str], listener: Listener
    ) -> None:
        hosts = tuple(dict.fromkeys(node.host for spec in specs for node in spec.nodes))
        reached = frozenset(_place(node.host, spec) for spec in specs for node in spec.nodes)
        looks = await asyncio.gather(*(self._held(host, reached, keep) for host in hosts))
        kept = {place: tag for look in looks for place, tag in look.kept.items()}
        for spec in _distinct(specs):
            await self._engines.stop(
                spec,
                grace=self.patience().stop_seconds,
                keep_tag=next(
                    (tag for n in spec.nodes if (tag := kept.get(_place(n.host, spec)))), None
                ),
                on_step=listener.step,
            )
        held = (one for look in looks for one in look.held)
        await asyncio.gather(*(self._await_memory(one, listener) for one in held))

    async def _held(
        self, host: str, reached: Collection[_Place], keep: Collection[str]
    ) -> "_Before":
        """What the engines that are about to go hold there. An engine that the stop of the specs
        does not reach (older settings named it otherwise) is stopped here. A host that does not say
        is left to the stop itself, so that the other hosts are not spared by it."""
        try:
            seen, memory = await asyncio.gather(
                self._engines.observe(host, self.patience()), self._memory(host)
            )
        except SparkError:
            return _Before()
        running = [engine for engine in seen if engine.running]
        staying = [engine for engine in running if engine.tag in keep]
        kept = {_place(host, engine): engine.tag for engine in staying}
        doomed = [engine for engine in running if engine.tag not in keep]
        if not doomed:
            return _Before(kept)
        mine = going(memory, self._fleet, host, doomed, staying)
        held = held_bytes(mine)
        for engine in doomed:
            if _place(host, engine) not in reached:
                await self._engines.stop(engine, grace=self.patience().stop_seconds)
        if memory is None or memory.available is None or not held:
            return _Before(kept)
        gone = tuple(hold.pid for hold in mine)
        need = memory.available + int(MEMORY_SHARE * held)
        return _Before(kept, (_Held(host, need, gone),))

    async def _memory(self, host: str) -> HostMemory | None:
        """None when it is not told: nothing is known of memory, but much of the engines."""
        try:
            return await self._engines.memory(host)
        except SparkError:
            return None

    async def _await_memory(self, held: "_Held", listener: Listener) -> None:
        listener.step("wait for memory", held.host)
        wait = self.patience().memory_wait_seconds
        seen = await self._engines.await_memory(held.host, held.need, held.pids, wait)
        if not seen.enough:
            listener.note(
                f"{held.host}: {size(seen.available)} of the expected {size(held.need)} are "
                f"available {wait:.0f} s after the stop; going on"
            )

    async def discard(
        self, spec: LaunchSpec, tag: str, *, keep: Collection[str], listener: Listener
    ) -> None:
        """Everything of ours under the name goes, and a start still on its way is defeated: at this
        point of a swap nothing of ours but the layout is meant to run on these hosts. Its memory is
        waited for as well: the previous model is about to take it."""
        await self.stop_all([spec], keep=keep, listener=listener)
        await asyncio.gather(*(self._await_room(spec, node.host) for node in spec.nodes))

    async def _await_room(self, spec: LaunchSpec, host: str) -> None:
        """An engine that ended by itself held what nobody can name any more: wait for the share of
        memory that such engines take, or until no more of it comes back."""
        sample = self._fleet.latest(host)
        total = sample.memory.total if sample else None
        need = 1 << 50 if total is None else int(share(spec) * total)
        wait = self.patience().memory_wait_seconds
        with suppress(SparkError):  # the start that follows says what is wrong
            await self._engines.await_memory(host, need, (), wait, steady=STEADY_SECONDS)

    async def remove(self, engine: Engine) -> None:
        await self._engines.stop(engine, grace=self.patience().stop_seconds)

    # ---- starting

    async def start(self, spec: LaunchSpec, tag: str, listener: Listener) -> Engine:
        try:
            return await self._engines.start(spec, tag=tag, on_step=listener.step)
        except LaunchFailed as error:
            diagnosis = error.diagnosis
            raise EngineBrokeError(
                SwapError(
                    code=diagnosis.code,
                    message=error.message,
                    cause=diagnosis.cause,
                    advice=diagnosis.advice,
                    log_excerpt=excerpt(error.output),
                )
            ) from error

    async def watch(self, spec: LaunchSpec, engine: Engine, listener: Listener) -> None:
        known = await Load(self, spec, engine, listener).run()
        if not known and not await self._ours(spec, engine):
            raise EngineBrokeError(await self.explain(spec, engine))

    async def _ours(self, spec: LaunchSpec, engine: Engine) -> bool:
        """A 200 from some other program on the same port is not our engine."""
        seen = (await self.observe([spec.head.host]))[spec.head.host]
        return seen is None or any(e.running and e.same(engine) for e in seen)

    async def tail(self, spec: LaunchSpec, engine: Engine) -> str:
        try:
            return await self._engines.tail(engine, spec, lines=LOG_LINES)
        except SparkError as error:
            return f"(the log could not be read: {error.message})"

    async def explain(self, spec: LaunchSpec, engine: Engine) -> SwapError:
        host = spec.head.host
        text = await self.tail(spec, engine)
        seen = (await self.observe([host]))[host]
        now = next((e for e in seen or () if e.same(engine)), engine)
        diagnosis = diagnose(text, exit_code=now.exit_code, oom_killed=now.oom_killed)
        status = "" if now.exit_code is None else f" with exit code {now.exit_code}"
        return SwapError(
            code=diagnosis.code,
            message=f"The engine for {spec.model} on {host} ended{status}: {diagnosis.cause}",
            cause=diagnosis.cause,
            advice=diagnosis.advice,
            log_excerpt=excerpt(text),
        )

    async def prove(self, spec: LaunchSpec, engine: Engine) -> Proof:
        deadline = self._settings().engine.answer_seconds
        began = self._clock.monotonic()
        name = spec.served_names[0]
        try:
            async with asyncio.timeout(deadline):
                await first_token(self._http, spec.base_url, name)
        except TimeoutError as error:
            raise EngineBrokeError(
                SwapError(
                    "no_answer",
                    f"{spec.model} is healthy but gave no token within {deadline:.0f} s.",
                    cause="The engine accepts requests and does not answer them.",
                    advice="Look at its log; engine.answer_seconds sets the patience.",
                    log_excerpt=excerpt(await self.tail(spec, engine)),
                )
            ) from error
        except (SparkError, httpx.HTTPError) as error:
            if not await self._ours(spec, engine):
                raise EngineBrokeError(await self.explain(spec, engine)) from error
            raise EngineBrokeError(
                SwapError(
                    "bad_answer",
                    f"{spec.model} is healthy but its first answer failed: {error}",
                    cause="The engine answered the test question with an error.",
                    advice="Look at its log for the request that failed.",
                    log_excerpt=excerpt(await self.tail(spec, engine)),
                )
            ) from error
        seconds = self._clock.monotonic() - began
        return Proof(seconds, await self._max_model_len(spec))

    async def _max_model_len(self, spec: LaunchSpec) -> int | None:
        with suppress(httpx.HTTPError, ValueError):
            answer = await self._http.get(f"{spec.base_url}/v1/models", timeout=HEALTH_TIMEOUT)
            body: Any = answer.json()
            entries = body.get("data") if isinstance(body, dict) else None
            first = entries[0] if isinstance(entries, list) and entries else None
            value = first.get("max_model_len") if isinstance(first, dict) else None
            return value if isinstance(value, int) else None
        return None
