"""Whether a host or a service is Up, Down or Unknown: pure decisions.

Owns the rule that only an answer makes a Down. A host is never Down here: that it cannot be
reached is Unknown with the reason. A service is Down when the host that runs it says so: it
refuses the port, its container is not running, or the service itself answers 5xx.
"""

from dataclasses import dataclass
from enum import StrEnum

from server.base import units
from server.base.health import Health, Verdict
from server.fleet.model import Container


def host_verdict(age: float | None, stale: float, problem: str) -> Verdict:
    """`age` is the time since the newest sample (None: none yet), `problem` what stopped them."""
    if age is None:
        return Verdict.unknown(problem or "not seen yet")
    if age <= stale:
        return Verdict.unknown(problem) if problem else Verdict.up()
    silence = f"not seen for {units.duration(_coarse(age))}"
    return Verdict.unknown(f"{silence}: {problem}" if problem else silence)


def _coarse(age: float) -> float:
    """In steps, so that the sentence does not change with every second."""
    return age // 5 * 5 if age < 60 else age // 60 * 60


class Outcome(StrEnum):
    """How a probe ended. `FAILED` is everything that is neither an answer nor a clear no."""

    ANSWERED = "answered"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """One probe of one service. `status` only when it answered."""

    outcome: Outcome
    seconds: float
    status: int | None = None
    detail: str = ""


def service_verdict(
    answer: Answer, *, path: str, path_given: bool, host: Verdict, container: str | None = None
) -> tuple[Verdict, str]:
    """The verdict and a detail line. `container` is a sentence when the service's container is
    known not to run; `path_given` tells a configured health path from the default of its kind."""
    if answer.outcome is Outcome.ANSWERED and answer.status is not None:
        return _answered(answer.status, path, path_given)
    if container is not None and host.health is Health.UP:
        return Verdict.down(container), ""
    if answer.outcome is Outcome.REFUSED:
        if host.health is Health.UP:
            return Verdict.down("the host refuses the connection: nothing listens there"), ""
        return Verdict.unknown(f"connection refused, and the host is {host.health.value}"), ""
    if answer.outcome is Outcome.TIMED_OUT:
        return Verdict.unknown(f"no answer within {units.duration(answer.seconds)}"), ""
    return Verdict.unknown(answer.detail or "the probe failed"), ""


def _answered(status: int, path: str, path_given: bool) -> tuple[Verdict, str]:
    detail = f"HTTP {status}"
    if status >= 500:
        return Verdict.down(f"answers HTTP {status} on {path}"), detail
    if status in {401, 403}:
        return Verdict.up(), f"{detail}: it wants a key, so it is alive"
    if status == 404 and not path_given:
        return Verdict.up(), f"{detail}: it answers, but has no {path}; set health_path"
    if status >= 400:
        return Verdict.unknown(f"answers HTTP {status} on {path}: check health_path"), detail
    return Verdict.up(), detail


def container_problem(name: str | None, containers: tuple[Container, ...] | None) -> str | None:
    """A sentence when docker says that the container does not run; None when it does or when
    nobody knows."""
    if name is None or containers is None:
        return None
    found = next((container for container in containers if container.name == name), None)
    if found is None:
        return f"container {name} does not exist on the host"
    return None if found.state == "running" else f"container {name} is {found.state}"
