"""A ground without hosts: remembers engines, can be held at any call or told to fail there."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from server.base.errors import HostUnreachable
from server.base.finding import Finding, Severity
from server.base.health import Verdict
from server.launch.model import Engine, LaunchSpec, PlannedCommand, Progress
from server.swap.ground import EngineBrokeError, Listener, Proof
from server.swap.model import Deployment, SwapError
from server.swap.placing import Room
from server.swap.preflight import Standing
from server.swap.resume import Facts
from tests.swap.made import engine


class FakeGround:
    """`hold("watch")` stops the next `watch` until `let_go`; `reached` awaits its entry;
    `fail("watch", error)` makes every call of that name raise until `mend`."""

    def __init__(self) -> None:
        self.engines: dict[str, dict[str, Engine]] = {"spark-1": {}, "spark-2": {}}
        self.silent: set[str] = set()
        self.calls: list[str] = []
        self.most_engines = 0
        self.left_in_flight = 0
        self.verdict: Verdict | None = None
        self.seen: dict[str, Room] = {}
        self.drained: list[str] = []
        self._held: dict[str, asyncio.Event] = {}
        self._entered: dict[str, asyncio.Event] = {}
        self._failures: dict[str, list[SwapError]] = {}

    # ---- for tests

    def hold(self, call: str) -> None:
        self._held[call] = asyncio.Event()
        self._entered[call] = asyncio.Event()

    async def reached(self, call: str) -> None:
        async with asyncio.timeout(10):
            await self._entered[call].wait()

    def let_go(self, call: str) -> None:
        self._held.pop(call).set()

    def fail(self, call: str, *errors: SwapError) -> None:
        self._failures[call] = list(errors)

    def running(self) -> list[str]:
        return [e.tag for on in self.engines.values() for e in on.values() if e.running]

    async def _at(self, call: str) -> None:
        self.calls.append(call)
        if call in self._entered:
            self._entered[call].set()
        if call in self._held:
            await self._held[call].wait()
        failures = self._failures.get(call)
        if failures:
            raise EngineBrokeError(failures.pop(0))

    def _answering(self, hosts: Sequence[str]) -> None:
        for host in hosts:
            if host in self.silent:
                raise HostUnreachable(f"{host} does not answer")

    # ---- the protocol

    def commands(self, spec: LaunchSpec) -> tuple[PlannedCommand, ...]:
        return (PlannedCommand("start", spec.head.host, spec.argv, " ".join(spec.argv)),)

    def reachable(self) -> frozenset[str]:
        return frozenset(self.engines) - frozenset(self.silent)

    async def observe(self, hosts: Sequence[str]) -> Facts:
        return {
            host: None if host in self.silent else tuple(self.engines[host].values())
            for host in hosts
        }

    async def rooms(self, hosts: Sequence[str], layout: Sequence[Deployment]) -> Mapping[str, Room]:
        """Unknown, but where a test says what is there."""
        await self._at("rooms")
        return {host: self.seen.get(host, Room()) for host in hosts}

    async def check(self, spec: LaunchSpec, standing: Standing) -> list[Finding]:
        await self._at("check")
        return [Finding("fit", Severity.OK, "fits")]

    async def drain(self, seconds: float, models: Sequence[str]) -> int:
        await self._at("drain")
        self.drained += models
        return self.left_in_flight

    async def stop_all(
        self, specs: Sequence[LaunchSpec], *, keep: Collection[str], listener: Listener
    ) -> None:
        await self._at("stop_all")
        hosts = {node.host for spec in specs for node in spec.nodes} or set(self.engines)
        self._answering(sorted(hosts))
        for host in hosts:
            kept = {t: e for t, e in self.engines[host].items() if t in keep}
            self.engines[host] = kept

    async def retire(self, deployments: Sequence[Deployment], listener: Listener) -> None:
        await self._at("retire")
        for deployment in deployments:
            self._answering([deployment.spec.head.host])
            self.engines[deployment.spec.head.host].pop(deployment.engine.tag, None)

    async def start(self, spec: LaunchSpec, tag: str, listener: Listener) -> Engine:
        await self._at("start")
        host = spec.head.host
        self._answering([host])
        listener.step("run", host)
        found = self.engines[host].get(tag)
        if found is None:
            made = replace(engine(tag, spec.model, host=host), container=spec.container)
            found = self.engines[host][tag] = made
        self.most_engines = max(self.most_engines, len(self.running()))
        return found

    async def watch(self, spec: LaunchSpec, engine: Engine, listener: Listener) -> None:
        listener.line("Loading weights took 1 seconds")
        listener.progress(Progress("weights", 0.5, "50 %"))
        await self._at("watch")

    async def prove(self, spec: LaunchSpec, engine: Engine) -> Proof:
        await self._at("prove")
        if engine.tag not in self.running():
            raise EngineBrokeError(SwapError("engine_died", f"{engine.tag} is not running"))
        return Proof(0.1, 4096)

    async def discard(
        self, spec: LaunchSpec, tag: str, *, keep: Collection[str], listener: Listener
    ) -> None:
        await self._at("discard")
        self._answering([node.host for node in spec.nodes])
        for node in spec.nodes:
            self.engines[node.host].pop(tag, None)

    async def remove(self, engine: Engine) -> None:
        await self._at("remove")
        self.engines[engine.host].pop(engine.tag, None)

    async def alive(self, deployment: Deployment) -> Verdict:
        self.calls.append("alive")
        if self.verdict is not None:
            return self.verdict
        if deployment.spec.head.host in self.silent:
            return Verdict.unknown("the host does not answer")
        running = deployment.engine.tag in self.running()
        return Verdict.up() if running else Verdict.down("the engine ended")

    async def explain(self, spec: LaunchSpec, engine: Engine) -> SwapError:
        return SwapError("oom", "out of memory", "too big", "use a smaller one", "CUDA OOM")
