"""The ground on real hosts: carries out what the swap driver asks, with the rooms below.

Owns the order of remote calls inside one effect, the health poll and the proof. Decides nothing
about what comes next.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import httpx

from server.base.clock import Clock
from server.base.errors import DeadlineExceeded, HostUnreachable, SparkError
from server.base.finding import Finding
from server.base.health import Health, Verdict
from server.base.units import size
from server.catalog.fit import Fit, fit
from server.catalog.inspect import inspect
from server.catalog.model import Catalog, Model, ModelFiles
from server.config.model import Engine as EngineSettings
from server.config.model import Settings
from server.fleet.service import Fleet
from server.launch.model import Engine, LaunchFailed, LaunchSpec, PlannedCommand
from server.launch.service import Engines
from server.launch.signatures import diagnose, excerpt
from server.ssh.model import Shells, Stream
from server.swap.ground import EngineBrokeError, Listener, Proof
from server.swap.load import Load
from server.swap.model import Deployment, SwapError
from server.swap.preflight import HostFacts, findings
from server.swap.proof import first_token
from server.swap.resume import Facts

HEALTH_TIMEOUT = httpx.Timeout(3.0)
LOG_LINES = 400
MEMORY_SHARE = 0.9
"""How much of an engine's resident memory must be back before the next one starts."""


class LiveGround:
    """One per app. `http` is a shared client without redirects; `drain` waits for the gateway."""

    def __init__(
        self,
        *,
        engines: Engines,
        shells: Shells,
        fleet: Fleet,
        catalog: Callable[[], Catalog],
        settings: Callable[[], Settings],
        drain: Callable[[float], Awaitable[int]],
        http: httpx.AsyncClient,
        clock: Clock,
    ) -> None:
        self._engines = engines
        self._shells = shells
        self._fleet = fleet
        self._catalog = catalog
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

    def available(self, host: str) -> int | None:
        """Available bytes by the last sample."""
        sample = self._fleet.latest(host)
        return sample.memory.available if sample else None

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
            except (HostUnreachable, DeadlineExceeded):
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

    # ---- preflight

    async def check(self, spec: LaunchSpec, previous: Deployment | None) -> list[Finding]:
        model = self._catalog().find(spec.model)
        facts = await asyncio.gather(*(self._facts(spec, model, node.host) for node in spec.nodes))
        served = previous.engine if previous else None
        return findings(spec, facts, self._fit(spec, model, facts, previous), served)

    async def _facts(self, spec: LaunchSpec, model: Model | None, host: str) -> HostFacts:
        settings = self._settings()
        try:
            engines, owner, image, files = await asyncio.gather(
                self._engines.observe(host, settings.engine),
                self._engines.port_owner(host, spec.port),
                self._engines.image_id(host, spec),
                self._files(model, host),
            )
        except SparkError as error:
            return HostFacts(host=host, reachable=False, reason=error.message)
        sample = self._fleet.latest(host)
        disks = sample.disks if sample else ()
        return HostFacts(
            host=host,
            reachable=True,
            files=files,
            image_id=image,
            image_checked=spec.launcher != "bare",
            port_owner=owner,
            engines=engines,
            disk_free=max((disk.available for disk in disks), default=None),
            driver=next((g.driver for g in sample.gpus if g.driver), None) if sample else None,
        )

    async def _files(self, model: Model | None, host: str) -> ModelFiles | None:
        if model is None:
            return None
        engine = self._settings().engine
        shell = self._shells.shell(host)
        return await inspect(shell, model, engine.model_roots, engine.hf_home)

    def _fit(
        self,
        spec: LaunchSpec,
        model: Model | None,
        facts: Sequence[HostFacts],
        previous: Deployment | None,
    ) -> Fit | None:
        files = next((f.files for f in facts if f.files and f.files.config), None)
        sample = self._fleet.latest(spec.head.host)
        if model is None or files is None or files.config is None or sample is None:
            return None
        available = sample.memory.available
        if available is not None and previous is not None:
            available += self._resident(spec.head.host, previous.spec)
        return fit(
            files.config,
            files.weight_bytes,
            model.knobs,
            len(spec.nodes),
            sample.memory.total,
            available,
        )

    def _resident(self, host: str, spec: LaunchSpec) -> int:
        """Bytes that the GPU processes of that engine hold on `host` by the last sample."""
        sample = self._fleet.latest(host)
        if sample is None or host not in {node.host for node in spec.nodes}:
            return 0
        processes = [process for gpu in sample.gpus for process in gpu.processes]
        mine = [p for p in processes if p.container in {spec.container, None}]
        return sum(process.used_bytes or 0 for process in mine)

    # ---- stopping

    async def drain(self, seconds: float) -> int:
        return await self._drain(seconds)

    async def stop_all(
        self, specs: Sequence[LaunchSpec], *, keep_tag: str | None, listener: Listener
    ) -> None:
        hosts = dict.fromkeys(node.host for spec in specs for node in spec.nodes)
        await asyncio.gather(*(self._clear(h, specs, keep_tag, listener) for h in hosts))

    async def _clear(
        self, host: str, specs: Sequence[LaunchSpec], keep_tag: str | None, listener: Listener
    ) -> None:
        engine = self._settings().engine
        doomed = [e for e in await self._engines.observe(host, engine) if e.tag != keep_tag]
        running = [e for e in doomed if e.running]
        if not doomed:
            return
        sample = self._fleet.latest(host)
        before = sample.memory.available if sample else None
        held = sum(self._resident(host, s) for s in specs if host in {n.host for n in s.nodes})
        for old in doomed:
            if old.running:
                listener.step(f"stop {old.model}", host)
            await self._engines.stop(old, grace=engine.stop_seconds)
        if running and before is not None and held:
            await self._await_memory(host, before + int(MEMORY_SHARE * held), listener)

    async def _await_memory(self, host: str, need: int, listener: Listener) -> None:
        listener.step("wait for memory", host)
        wait = self._settings().engine.memory_wait_seconds
        available = await self._engines.await_memory(host, need_bytes=need, deadline=wait)
        if available is None or available < need:
            listener.note(
                f"{host}: {size(available)} of the expected {size(need)} are available "
                f"{wait:.0f} s after the stop; going on"
            )

    async def discard(self, spec: LaunchSpec, tag: str, listener: Listener) -> None:
        engine = self._settings().engine

        async def one(host: str) -> None:
            for old in await self._engines.observe(host, engine):
                if old.tag == tag:
                    listener.step(f"remove {old.model}", host)
                    await self._engines.stop(old, grace=engine.stop_seconds)

        await asyncio.gather(*(one(node.host) for node in spec.nodes))

    # ---- starting

    async def start(self, spec: LaunchSpec, tag: str, listener: Listener) -> Engine:
        try:
            return await self._engines.start(spec, tag=tag, on_step=listener.step)
        except LaunchFailed as error:
            diagnosis = diagnose(error.output, exit_code=None, oom_killed=False)
            raise EngineBrokeError(
                SwapError(
                    code=diagnosis.code,
                    message=error.message,
                    cause=diagnosis.cause,
                    advice=diagnosis.advice or error.advice or "",
                    log_excerpt=excerpt(error.output),
                )
            ) from error

    async def watch(self, spec: LaunchSpec, engine: Engine, listener: Listener) -> None:
        load = Load(self, spec, engine, listener)
        await load.run()
        if not await self._ours(spec, engine):
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
        with suppress(httpx.HTTPError, json.JSONDecodeError):
            answer = await self._http.get(f"{spec.base_url}/v1/models", timeout=HEALTH_TIMEOUT)
            body: Any = answer.json()
            entries = body.get("data") if isinstance(body, dict) else None
            first = entries[0] if isinstance(entries, list) and entries else None
            value = first.get("max_model_len") if isinstance(first, dict) else None
            return value if isinstance(value, int) else None
        return None
