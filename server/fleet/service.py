"""The fleet: one sampler for each configured host, probes for each configured service.

Owns the tasks, the newest sample and the history of each host, and tells the bus: at most one
`host` event per host per second, newest wins. Refuses to do remote work on behalf of a reader:
`status`, `samples`, `services` answer from memory.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from server.base.bus import EventBus
from server.base.clock import Clock
from server.base.errors import NotFound
from server.base.health import Verdict
from server.base.logs import get_logger
from server.config.model import Host, Service, Settings
from server.fleet import state
from server.fleet.history import History
from server.fleet.model import HostStatus, Sample, ServiceStatus
from server.fleet.probe import Prober, health_path
from server.fleet.sampler import LIFETIME, Plan, Sampler
from server.fleet.trend import Curves, Trend
from server.ssh.model import Shells

BEAT = 0.25
PUBLISH_SECONDS = 1.0
PROBE_SECONDS = 5.0
PROBES_AT_ONCE = 16


@dataclass(slots=True)
class _Watched:
    """What the fleet knows of one host."""

    host: Host
    plan: Plan
    history: History
    trend: Trend = field(default_factory=Trend)
    sampler: Sampler | None = None
    task: asyncio.Task[None] | None = None
    last: Sample | None = None
    seen_at: datetime | None = None
    seen: float | None = None
    problem: str = ""
    told: Verdict | None = None
    told_at: float = field(default=-PUBLISH_SECONDS)
    fresh: bool = False


class Fleet:
    """Start it inside a running loop; `close()` ends every task."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        shells: Shells,
        bus: EventBus,
        clock: Clock,
        *,
        prober: Prober | None = None,
        lifetime: float = LIFETIME,
    ) -> None:
        self._settings = settings
        self._shells = shells
        self._bus = bus
        self._clock = clock
        self._prober = prober or Prober(clock)
        self._lifetime = lifetime
        self._watched: dict[str, _Watched] = {}
        self._services: dict[str, ServiceStatus] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = False
        self._log = get_logger("fleet")

    async def start(self) -> None:
        self._started = True
        self.reconcile()
        self._spawn(self._beat(), "fleet beat")
        self._spawn(self._probe_forever(), "fleet probes")

    async def close(self) -> None:
        """Idempotent. The remote samplers are gone when it returns."""
        self._started = False
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._watched.clear()
        await self._prober.close()

    def reconcile(self) -> None:
        """The settings changed: watch new hosts, drop removed ones, follow changed ones anew."""
        if not self._started:
            return
        settings = self._settings()
        wanted = {host.name: host for host in settings.hosts}
        plan = _plan(settings, self._lifetime)
        keep = settings.fleet.keep_minutes * 60
        most = int(keep / plan.sample_seconds * 1.1) + 1
        for name, watched in list(self._watched.items()):
            if wanted.get(name) != watched.host:
                self._drop(name, gone=name not in wanted)
        for name, host in wanted.items():
            known = self._watched.get(name)
            if known is None:
                self._watched[name] = known = _Watched(host, plan, History(keep, most))
            known.history.keep(keep, most)
            if known.task is None or known.plan != plan:
                self._follow(known, plan)
        for name in set(self._services) - {service.name for service in settings.services}:
            del self._services[name]
            self._bus.publish("service", name, {"name": name, "removed": True})

    def nudge(self, name: str) -> None:
        """Somebody fixed something on that host: try now instead of after the pause."""
        sampler = self._find(name).sampler
        if sampler is not None:
            sampler.nudge()

    def status(self, name: str) -> HostStatus:
        return self._status(self._find(name))

    def statuses(self) -> tuple[HostStatus, ...]:
        return tuple(self._status(watched) for watched in self._watched.values())

    def latest(self, name: str) -> Sample | None:
        """The newest sample ever seen. Ask `status` whether it is still the truth."""
        return self._find(name).last

    def samples(self, name: str, minutes: float, *, until: datetime | None = None) -> list[Sample]:
        """The minutes before `until` (default: now), oldest first. What a host was doing before it
        went silent is kept: ask with `until=status(name).seen_at`."""
        end = self._clock.now() if until is None else until
        found = self._find(name).history.since(end - timedelta(minutes=minutes))
        return found if until is None else [sample for sample in found if sample.at <= until]

    def trend(self, name: str) -> Curves:
        """The last hour as curves; cheap, however many ask."""
        return self._find(name).trend.curves()

    def services(self) -> tuple[ServiceStatus, ...]:
        """In the order of the settings; Unknown before the first probe."""
        return tuple(self._service(service) for service in self._settings().services)

    def _service(self, service: Service) -> ServiceStatus:
        known = self._services.get(service.name)
        return known or ServiceStatus(service.name, Verdict.unknown("not probed yet"))

    def _find(self, name: str) -> _Watched:
        watched = self._watched.get(name)
        if watched is None:
            raise NotFound(f"no host is named {name!r}", param="host")
        return watched

    def _status(self, watched: _Watched) -> HostStatus:
        return HostStatus(watched.host.name, self._verdict(watched), watched.last, watched.seen_at)

    def _verdict(self, watched: _Watched) -> Verdict:
        age = None if watched.seen is None else self._clock.monotonic() - watched.seen
        plan = watched.plan
        stale = max(plan.stale_seconds, 3 * plan.sample_seconds)
        return state.host_verdict(age, stale, watched.problem)

    def _follow(self, watched: _Watched, plan: Plan) -> None:
        if watched.task is not None:
            watched.task.cancel()
        watched.plan = plan

        def arrived(sample: Sample) -> None:
            if watched.task is asyncio.current_task():
                self._arrived(watched, sample)

        def failed(problem: str) -> None:
            if watched.task is asyncio.current_task():
                self._failed(watched, problem)

        watched.sampler = Sampler(
            watched.host.name,
            plan,
            self._shells,
            self._clock,
            on_sample=arrived,
            on_problem=failed,
        )
        watched.task = self._spawn(watched.sampler.run(), f"sampler {watched.host.name}")

    def _drop(self, name: str, *, gone: bool) -> None:
        watched = self._watched.pop(name)
        if watched.task is not None:
            watched.task.cancel()
        watched.task = None
        if gone:
            self._bus.publish("host", name, {"name": name, "removed": True})

    def _arrived(self, watched: _Watched, sample: Sample) -> None:
        if watched.problem:
            self._log.info("host sampled again", host=watched.host.name)
        watched.last, watched.seen_at = sample, self._clock.now()
        watched.seen, watched.problem = self._clock.monotonic(), ""
        watched.history.add(sample)
        watched.trend.add(sample)
        watched.fresh = True
        self._tell(watched)

    def _failed(self, watched: _Watched, problem: str) -> None:
        if not watched.problem:
            self._log.warning("host not sampled", host=watched.host.name, problem=problem)
        watched.problem = problem
        self._tell(watched)

    def _tell(self, watched: _Watched) -> None:
        """Publish when there is something new and the last event is a second old; else the beat
        will come by."""
        now = self._clock.monotonic()
        if now - watched.told_at < PUBLISH_SECONDS:
            return
        verdict = self._verdict(watched)
        if not watched.fresh and verdict == watched.told:
            return
        watched.told, watched.told_at, watched.fresh = verdict, now, False
        if self._bus.subscribers:
            body = HostStatus(watched.host.name, verdict, watched.last, watched.seen_at).to_dict()
            self._bus.publish("host", watched.host.name, body)

    async def _beat(self) -> None:
        """Silence makes no event of its own: look at every host a few times a second."""
        while True:
            await self._clock.sleep(BEAT)
            for watched in tuple(self._watched.values()):
                self._tell(watched)

    async def _probe_forever(self) -> None:
        gate = asyncio.Semaphore(PROBES_AT_ONCE)

        async def one(service: Service) -> None:
            async with gate:
                try:
                    await self._probe(service)
                except Exception:
                    # One odd service must not stop the probes of the others.
                    self._log.exception("probe failed", service=service.name)
                    verdict = Verdict.unknown("the probe failed inside Spark Control")
                    self._services[service.name] = ServiceStatus(service.name, verdict)

        while True:
            async with asyncio.TaskGroup() as group:
                for service in self._settings().services:
                    group.create_task(one(service))
            await self._clock.sleep(PROBE_SECONDS)

    async def _probe(self, service: Service) -> None:
        host = self._settings().host(service.host)
        if host is None:
            return
        answer = await self._prober.ask(service, host)
        watched = self._watched.get(service.host)
        if watched is None:
            return
        verdict, detail = state.service_verdict(
            answer,
            path=health_path(service),
            path_given=service.health_path is not None,
            host=self._verdict(watched),
            container=state.container_problem(
                service.container, watched.last.containers if watched.last else None
            ),
        )
        answered = answer.outcome is state.Outcome.ANSWERED
        before, now = self._services.get(service.name), self._clock.now()
        same = before is not None and before.verdict.health is verdict.health
        status = ServiceStatus(
            service.name,
            verdict,
            checked_at=now,
            latency=answer.seconds if answered else None,
            detail=detail,
            since=before.since if before is not None and same else now,
        )
        self._services[service.name] = status
        self._bus.publish("service", service.name, status.to_dict())

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _plan(settings: Settings, lifetime: float) -> Plan:
    engine = settings.engine
    homes = () if engine.hf_home is None else (engine.hf_home,)
    return Plan(
        sample_seconds=settings.fleet.sample_seconds,
        stale_seconds=settings.fleet.stale_seconds,
        paths=(*homes, *engine.model_roots),
        lifetime=lifetime,
    )
