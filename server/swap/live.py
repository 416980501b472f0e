"""The ground on real hosts: carries out what the swap driver asks, with the rooms below.

Owns the order of remote calls inside one effect, the health poll and the proof. Decides nothing
about what comes next.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import datetime
from typing import Any

import httpx

from server.base.clock import Clock
from server.base.errors import SparkError
from server.base.finding import Finding
from server.base.health import Health, Verdict
from server.config.model import Engine as EngineSettings
from server.config.model import Settings
from server.fleet.service import Fleet
from server.launch.model import Engine, LaunchFailed, LaunchSpec, PlannedCommand
from server.launch.service import Engines
from server.launch.signatures import diagnose, excerpt
from server.ssh.model import Stream
from server.swap.clearing import Clearing
from server.swap.ground import EngineBrokeError, Listener, Proof
from server.swap.load import Load
from server.swap.look import Look
from server.swap.model import Deployment, SwapError
from server.swap.placing import Room
from server.swap.preflight import Standing
from server.swap.proof import first_token
from server.swap.resume import Facts

HEALTH_TIMEOUT = httpx.Timeout(3.0)
LOG_LINES = 400


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
        self._clearing = Clearing(engines=engines, fleet=fleet, patience=self.patience)

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
        # Plain letters: the launcher of several nodes refuses a label that a shell would change.
        return self._engines.commands(spec, "SWAP-ID")

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
        await self._clearing.retire(deployments, listener)

    async def stop_all(
        self, specs: Sequence[LaunchSpec], *, keep: Collection[str], listener: Listener
    ) -> None:
        await self._clearing.stop_all(specs, keep=keep, listener=listener)

    async def discard(
        self, spec: LaunchSpec, tag: str, *, keep: Collection[str], listener: Listener
    ) -> None:
        await self._clearing.discard(spec, keep=keep, listener=listener)

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
