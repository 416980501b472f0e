"""Starts, finds, follows and stops engines on hosts, one round trip per host and step.

Owns the calls; what runs remotely is `remote`, what an answer means is `outcome` and `observe`.
Refuses to decide when: that is the swap room's. Keeps nothing that matters over a restart: the
epoch only has to grow, and a host whose fence is ahead says so.
"""

import asyncio
import math
import shlex
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from server.base.clock import Clock
from server.base.errors import Conflict, InvalidValue, RemoteCommandFailed
from server.base.finding import Finding, Severity
from server.base.redact import one_line, redact_argv
from server.config.model import Engine as EngineSettings
from server.launch import bare, cluster, docker, observe, outcome, survey
from server.launch.cluster import Capabilities
from server.launch.model import (
    Diagnosis,
    Engine,
    LaunchFailed,
    LaunchSpec,
    Node,
    PlannedCommand,
)
from server.launch.observe import HostMemory, MemoryWait
from server.launch.remote import look, start, stop
from server.launch.remote.common import program, sections
from server.ssh.model import Shells, Stream

T = TypeVar("T")
StepHeard = Callable[[str, str], None]

LOOK_SECONDS = 20.0
START_SECONDS = 120.0
CLUSTER_START_SECONDS = 900.0
GONE_SECONDS = 60
LOG_LIMIT = 64 * 1024 * 1024
LOG_KEEP = 8 * 1024 * 1024


def _unheard(_name: str, _host: str) -> None:
    return None


class Engines:
    """One per app. Every call may be repeated, cancelled, and raises `SparkError`."""

    def __init__(self, shells: Shells, clock: Clock) -> None:
        self._shells = shells
        self._clock = clock
        self._epoch = 0
        self._capabilities: dict[tuple[str, str], Capabilities] = {}

    # ---- before

    def commands(self, spec: LaunchSpec, tag: str) -> tuple[PlannedCommand, ...]:
        """The commands that start `spec`. A checkout that was not asked yet counts as current."""
        host = spec.head.host
        if spec.launcher == "docker":
            argv = docker.run_argv(spec, tag)
            return (PlannedCommand("start", host, argv, _shown(argv)),)
        if spec.launcher == "bare":
            argv = ("setsid", *bare.engine_argv(spec))
            venv = spec.option("bare_venv")
            front = f"PATH={shlex.quote(venv)}/bin:$PATH " if venv else ""
            return (PlannedCommand("start", host, argv, front + _shown(argv)),)
        checkout = cluster.checkout(spec)
        caps = self._capabilities.get((host, checkout), cluster.MODERN)
        extra = f"VLLM_SPARK_EXTRA_DOCKER_ARGS={cluster.docker_args(spec, tag)}"
        argv = ("env", extra, *cluster.launch_argv(spec, caps))
        return (
            PlannedCommand("start", host, argv, f"cd {shlex.quote(checkout)} && {_shown(argv)}"),
        )

    async def check(self, spec: LaunchSpec) -> list[Finding]:
        """What would keep `spec` from starting: image, checkout, folder, vllm, foreign name.

        Touches nothing. A host that does not answer is a finding of its own."""
        answers = await asyncio.gather(
            *(self._look(spec, node) for node in spec.nodes), return_exceptions=True
        )
        found = dict(zip((node.host for node in spec.nodes), answers, strict=True))
        return [*survey.findings(spec, found), *self._unfit(spec)]

    def _unfit(self, spec: LaunchSpec) -> list[Finding]:
        """A word that the launcher cannot carry is told before anything is stopped for it."""
        try:
            self.commands(spec, "preflight")
        except InvalidValue as error:
            host, advice = spec.head.host, error.advice or ""
            return [Finding("cannot_be_started", Severity.ERROR, error.message, advice, host)]
        return []

    # ---- start

    async def start(self, spec: LaunchSpec, *, tag: str, on_step: StepHeard = _unheard) -> Engine:
        """Start `spec`, or adopt the engine of this tag that already runs. What of ours bears the
        name but does not run is removed first; anything else that runs there is a `Conflict`."""
        if spec.launcher == "launch-cluster":
            return await self._start_cluster(spec, tag, on_step)
        host = spec.head.host
        on_step("start", host)
        if spec.launcher == "bare":
            args = (bare.meta(spec, tag), start.LEADER, spec.option("bare_venv"))
            parts = await self._send(spec, start.BARE, (*args, *bare.engine_argv(spec)))
            return outcome.of_bare(parts, spec, tag, host)
        for _ in range(2):
            parts = await self._send(spec, start.RUN, docker.run_argv(spec, tag))
            found = outcome.of_docker(parts, spec, tag, host)
            if isinstance(found, Engine):
                return found
            on_step("clear", host)
            await self.stop(spec, grace=0)
        raise _never_free(spec)

    async def _start_cluster(self, spec: LaunchSpec, tag: str, on_step: StepHeard) -> Engine:
        head = spec.head.host
        extra = cluster.docker_args(spec, tag)
        for _ in range(2):
            on_step("check", head)
            looks = await self._each(spec.nodes, lambda node: self._look(spec, node))
            survey.insist(spec, looks)
            if not survey.in_flight(looks[head]):
                seen = survey.present(spec, looks, tag)
                if isinstance(seen, Engine):
                    return seen
                if seen:
                    on_step("clear", head)
                    await self.stop(spec, grace=0)
            on_step("start", head)
            caps = self._capabilities[self._checkout_key(spec)]
            args = (cluster.checkout(spec), extra, spec.option("hf_home"))
            parts = await self._send(
                spec, start.LAUNCH, (*args, *cluster.launch_argv(spec, caps)), CLUSTER_START_SECONDS
            )
            found = outcome.of_cluster(parts, spec, tag, head)
            if isinstance(found, Engine):
                await self._confirm(spec, tag, on_step)
                return found
        raise _never_free(spec)

    async def _confirm(self, spec: LaunchSpec, tag: str, on_step: StepHeard) -> None:
        """The launcher does not check `docker run` on the workers, so we do."""

        async def confirmed(node: Node) -> None:
            on_step("confirm", node.host)
            parts = await self._look(spec, node)
            container = outcome.named(parts, spec.container)
            if container is None or docker.label_map(container).get(docker.TAG) != tag:
                text = f"launch-cluster.sh ended well, but {node.host} runs no container of it"
                advice = f"Check the image {spec.image} and docker on {node.host}."
                diagnosis = Diagnosis("worker_missing", text, advice)
                raise LaunchFailed(text, step="confirm", host=node.host, diagnosis=diagnosis)

        await self._each(spec.nodes[1:], confirmed)

    async def _send(
        self,
        spec: LaunchSpec,
        text: str,
        args: Sequence[str],
        deadline: float = START_SECONDS,
    ) -> Mapping[str, str]:
        """One start program on the head; again above the fence when the host's is ahead of us."""
        host, patience = spec.head.host, str(math.floor(deadline * 2 / 3))
        for _ in range(3):
            argv = program(text, spec.container, str(self._next()), patience, *args)
            parts = sections(await self._ask(host, argv, deadline))
            behind = outcome.refusal(parts, spec, host)
            if behind is None:
                return parts
            self._epoch = max(self._epoch, behind.fence)
        raise Conflict(f"{spec.container} on {host} is being stopped by somebody else")

    # ---- stop

    async def stop(
        self,
        what: LaunchSpec | Engine,
        *,
        grace: float = 0.0,
        keep_tag: str | None = None,
        on_step: StepHeard = _unheard,
    ) -> None:
        """Return when it is gone on all its nodes; at once when nothing is there.

        Given a spec, everything of ours under its container name goes, and a start of it that is
        still on its way is defeated: call it for every spec that may have been started, also when
        nothing is seen. Given an engine, only that very engine goes. `keep_tag` is left alone.
        """
        if isinstance(what, Engine):
            on_step("stop", what.host)
            await self._stop_on(what.host, what, grace, keep_tag)
            return

        async def stopped(node: Node) -> bool:
            on_step("stop", node.host)
            return await self._stop_on(node.host, what, grace, keep_tag)

        killed = await self._each(what.nodes, stopped)
        if len(what.nodes) > 1 and killed[what.head.host]:
            # a launcher was at work: it may have reached a worker after that worker was cleared
            await self._each(what.nodes[1:], stopped)

    async def _stop_on(
        self, host: str, what: LaunchSpec | Engine, grace: float, keep_tag: str | None
    ) -> bool:
        """Whether a start had to be killed for it."""
        container, launcher = what.container, what.launcher
        several = launcher == "launch-cluster"
        seconds = math.ceil(grace)
        argv = program(
            stop.STOP_BARE if launcher == "bare" else stop.STOP,
            container,
            str(self._next()),
            "0" if several else str(seconds),
            str(GONE_SECONDS),
            keep_tag or "",
            what.ident if isinstance(what, Engine) else "",
            "0.3" if several else "1",
            "clients" if several else "",
        )
        deadline = seconds + GONE_SECONDS + 30.0
        parts = sections(await self._ask(host, argv, deadline))
        if "stuck" in parts or not parts.keys() & {"gone", "kept", "foreign"}:
            raise RemoteCommandFailed(
                f"{container} on {host} did not go away: {parts.get('stuck', '')[:300]}",
                advice="Look at docker on the host; a restart of it may be needed.",
            )
        return "killed" in parts

    # ---- look

    async def observe(self, host: str, engine: EngineSettings | None = None) -> tuple[Engine, ...]:
        """Every engine of ours on the host, ended ones too. Raises when it cannot be told."""
        argv = program(look.OBSERVE, str(LOG_LIMIT), str(LOG_KEEP))
        needed = engine is None or engine.launcher != "bare"
        return observe.engines(await self._ask(host, argv), host, docker_required=needed)

    def follow(
        self, engine: Engine, spec: LaunchSpec | None = None, *, lifetime: float = 86400.0
    ) -> AbstractAsyncContextManager[Stream]:
        """The log from its start; ends when the engine ends (for launch-cluster: when vLLM does,
        though its container goes on). `spec` is not needed and may be left out."""
        if engine.launcher == "bare":
            argv = program(look.FOLLOW_BARE, engine.container, engine.ident, engine.started)
        elif engine.launcher == "launch-cluster":
            argv = program(look.FOLLOW_CLUSTER, engine.ident)
        else:
            argv = ("docker", "logs", "-f", engine.ident)
        return self._shells.shell(engine.host).stream(argv, lifetime=lifetime)

    async def tail(self, engine: Engine, spec: LaunchSpec | None = None, lines: int = 200) -> str:
        """The last lines of its log, raw (redact before showing); empty when there is no log."""
        if engine.launcher == "bare":
            argv = program(look.TAIL_BARE, engine.container, str(lines))
        else:
            argv = program(look.TAIL, engine.ident, str(lines))
        return await self._ask(engine.host, argv)

    async def memory(self, host: str) -> HostMemory:
        return observe.memory(await self._ask(host, program(look.MEMORY)), host)

    async def await_memory(
        self,
        host: str,
        need_bytes: int,
        gone_pids: Sequence[int],
        deadline: float,
        *,
        steady: float = 0.0,
    ) -> MemoryWait:
        """Wait on the host itself until the processes are gone and so much is available; with
        `steady`, no longer than until nothing more has come back for so many seconds."""
        need = str(math.ceil(need_bytes / 1024))
        tenths, still = str(math.ceil(deadline * 10)), str(math.ceil(steady * 10))
        argv = program(look.AWAIT_MEMORY, need, tenths, still, *map(str, gone_pids))
        return observe.memory_wait(await self._ask(host, argv, deadline + LOOK_SECONDS), host)

    async def port_owner(self, host: str, port: int) -> str | None:
        """Who listens on the port there; None when it is free."""
        return observe.port_owner(await self._ask(host, ("ss", "-ltnpH")), port)

    # ---- inner

    async def _ask(self, host: str, argv: Sequence[str], deadline: float = LOOK_SECONDS) -> str:
        """The answer of one of our programs. They end with 0, so anything else is a cut-off; the
        program's text is never quoted at a person."""
        result = await self._shells.shell(host).run(argv, deadline=deadline, check=False)
        if result.exit_status != 0:
            raise RemoteCommandFailed(
                f"a command on {host} was cut off (status {result.exit_status}): "
                f"{one_line(result.stderr, 200)}",
                exit_status=result.exit_status,
                stderr=result.stderr[:2000],
            )
        return result.stdout

    async def _look(self, spec: LaunchSpec, node: Node) -> Mapping[str, str]:
        head = node.host == spec.head.host
        checkout = cluster.checkout(spec) if head else ""
        known = self._capabilities.get(self._checkout_key(spec))
        argv = program(
            look.LOOK,
            spec.launcher,
            spec.container,
            spec.image,
            checkout,
            known.stamp if known else "",
            spec.source if spec.local_path else "",
            spec.option("bare_venv"),
        )
        parts = observe.whole(await self._ask(node.host, argv), node.host)
        if "help" in parts:
            caps = cluster.read_help(parts["help"], parts.get("stamp", "").strip())
            self._capabilities[self._checkout_key(spec)] = caps
        return parts if not head else {**parts, "shortcoming": self._shortcoming(spec)}

    def _shortcoming(self, spec: LaunchSpec) -> str:
        caps = self._capabilities.get(self._checkout_key(spec))
        if spec.launcher != "launch-cluster" or caps is None:
            return ""
        return cluster.shortcoming(spec, caps) or ""

    def _checkout_key(self, spec: LaunchSpec) -> tuple[str, str]:
        return (spec.head.host, cluster.checkout(spec))

    def _next(self) -> int:
        """An epoch above every earlier one of ours, and usually above those of earlier lives."""
        self._epoch = max(self._epoch + 1, int(self._clock.now().timestamp() * 1000))
        return self._epoch

    async def _each(
        self, nodes: Sequence[Node], call: Callable[[Node], Coroutine[Any, Any, T]]
    ) -> dict[str, T]:
        """On all nodes at once; all are awaited before the first error is raised."""
        answers = await asyncio.gather(*(call(node) for node in nodes), return_exceptions=True)
        done: dict[str, T] = {}
        for node, answer in zip(nodes, answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            done[node.host] = answer
        return done


def _shown(argv: Sequence[str]) -> str:
    """Quoted for a shell and redacted; a leading `~/` is left bare, so that a shell expands it."""
    return " ".join(_word(word) for word in redact_argv(argv))


def _word(word: str) -> str:
    return f"~/{shlex.quote(word[2:])}" if word.startswith("~/") else shlex.quote(word)


def _never_free(spec: LaunchSpec) -> Conflict:
    return Conflict(
        f"the container name {spec.container} was taken again as soon as it was free",
        advice="Is another Spark Control working on the same hosts?",
    )
