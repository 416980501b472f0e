"""Starting, stopping and restarting the container of a service, because a person asked for it.

Owns the acts that are under way, one per service at a time, and how the last one of each ended:
memory only. Each is told on the bus as a `job` event. Refuses to touch a container that no service
names, and to act by itself: nobody's health makes it restart anything.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, get_args

from server.base.bus import EventBus
from server.base.clock import Clock, iso
from server.base.errors import (
    Conflict,
    InvalidValue,
    NotFound,
    RemoteCommandFailed,
    SparkError,
    Unavailable,
)
from server.base.logs import get_logger
from server.base.redact import one_line, redact
from server.config.model import Service
from server.config.words import CONTAINER
from server.fleet.readings import docker_problem
from server.ssh.model import Result, Shell, Shells

Verb = Literal["start", "stop", "restart"]
VERBS: tuple[Verb, ...] = get_args(Verb)
GRACE_SECONDS = 30
DEADLINE = 120.0


@dataclass(frozen=True, slots=True)
class Act:
    """`error` and `advice` say why it failed; empty while it runs and when it went well."""

    service: str
    verb: Verb
    host: str
    container: str
    requested_by: str
    began_at: datetime
    ended_at: datetime | None = None
    error: str = ""
    advice: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "service": self.service,
            "verb": self.verb,
            "host": self.host,
            "container": self.container,
            "requested_by": self.requested_by,
            "began_at": iso(self.began_at),
            "ended_at": iso(self.ended_at),
            "error": self.error or None,
            "advice": self.advice or None,
        }


async def act(shell: Shell, container: str, verb: Verb) -> None:
    """Returns when docker has done it. Raises InvalidValue, NotFound, Unavailable (docker cannot be
    asked), RemoteCommandFailed, and what `Shell` does."""
    if not CONTAINER.fullmatch(container):
        raise InvalidValue("This is not a container name.", param="container")
    grace = () if verb == "start" else ("-t", str(GRACE_SECONDS))
    answer = await shell.run(("docker", verb, *grace, container), deadline=DEADLINE, check=False)
    if answer.exit_status != 0:
        raise _refusal(answer, shell.target.name, container, verb)


def _refusal(answer: Result, host: str, container: str, verb: Verb) -> SparkError:
    said = redact(one_line((answer.stderr or answer.stdout).strip(), 300))
    if "no such container" in said.lower():
        return NotFound(
            f"There is no container {container} on {host}.",
            param="container",
            advice="Start it once by hand, or mend services[].container.",
        )
    blind = ("permission denied", "cannot connect")
    if answer.exit_status in {126, 127} or any(word in said.lower() for word in blind):
        problem = docker_problem(answer.exit_status, said)
        return Unavailable(f"{container} on {host} could not be told to {verb}: {problem}.")
    return RemoteCommandFailed(
        f"docker on {host} did not {verb} {container}: {said or 'it did not say why'}",
        exit_status=answer.exit_status,
        stderr=said,
    )


class Acts:
    """One per app; `close()` stops waiting (docker goes on with what it was told)."""

    def __init__(self, shells: Shells, bus: EventBus, clock: Clock) -> None:
        self._shells = shells
        self._bus = bus
        self._clock = clock
        self._last: dict[str, Act] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = get_logger("fleet")
        self.ended: Callable[[Act], None] = lambda _act: None

    def begin(self, service: Service, verb: Verb, *, requested_by: str) -> Act:
        """Raises `Conflict` while another act runs there, and where no container is named."""
        if service.container is None:
            raise Conflict(
                f"The service {service.name} has no container in config.yaml, so it cannot be told "
                f"to {verb}.",
                advice="Set services[].container to the name docker has for it.",
            )
        running = self.now(service.name)
        if running is not None and running.ended_at is None:
            raise Conflict(
                f"{service.name} is being told to {running.verb} already.",
                advice="Wait until that has ended.",
            )
        begun = Act(
            service.name, verb, service.host, service.container, requested_by, self._clock.now()
        )
        self._tell(begun)
        task = asyncio.create_task(self._carry_out(begun, service.ssh_user), name="service act")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return begun

    def now(self, service: str) -> Act | None:
        """The one that runs, else the last one."""
        return self._last.get(service)

    def running(self) -> tuple[Act, ...]:
        return tuple(one for one in self._last.values() if one.ended_at is None)

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry_out(self, begun: Act, user: str | None) -> None:
        error: SparkError | None = None
        try:
            await act(self._shells.shell(begun.host, user), begun.container, begun.verb)
        except SparkError as failed:
            error = failed
        except Exception:  # a bug of ours must not leave the service "restarting" for good
            self._log.exception("service act failed", service=begun.service)
            error = Unavailable("It failed inside Spark Control; see its log.")
        ended = replace(
            begun,
            ended_at=self._clock.now(),
            error=error.message if error else "",
            advice=(error.advice or "") if error else "",
        )
        self._log.info(
            "service act",
            service=begun.service,
            verb=begun.verb,
            by=begun.requested_by,
            error=ended.error or None,
        )
        self._tell(ended)
        self.ended(ended)

    def _tell(self, told: Act) -> None:
        self._last[told.service] = told
        self._bus.publish("job", f"service {told.service}", {"job": "service"} | told.to_dict())
