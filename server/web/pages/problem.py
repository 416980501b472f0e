"""What is wrong now, with what to do about it: the top of the overview. Pure.

A state, not an event: each line is there for as long as it holds, made anew from what is known.
What is not known is told as such and never counted as broken; a service on a host that is not seen
is not reported beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from server.base.units import size
from server.web.pages.host import NOT_YET, HostCard
from server.web.pages.moment import Moment
from server.web.pages.service import ServiceRow
from server.web.pages.serving import Served

Tone = Literal["bad", "warn", "idle"]
HOT = 88.0
"""Degrees Celsius from which a GB10 is near the point where it slows itself down."""
PRESSED = 10.0
"""Percent of the last ten seconds that something waited for memory."""
BEFORE = frozenset({"", NOT_YET, "not seen yet"})
"""Why a host is not known soon after a start: that is no problem."""
_ORDER = {"bad": 0, "warn": 1, "idle": 2}


@dataclass(frozen=True, slots=True)
class Problem:
    """`command` can be run on the host as it stands. `keys` are the known and the offered
    fingerprint of a changed host key, which a person may accept here."""

    tone: Tone
    where: str
    words: str
    advice: str = ""
    href: str = ""
    link: str = ""
    command: str = ""
    since: Moment | None = None
    keys: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ProblemList:
    template: ClassVar[str] = "overview/problems.html"

    problems: tuple[Problem, ...]


def problem_list(
    hosts: Sequence[HostCard], services: Sequence[ServiceRow], served: Sequence[Served]
) -> ProblemList:
    found = [one for host in hosts for one in _of_host(host)]
    found += [one for model in served for one in _of_model(model)]
    unseen = {host.name for host in hosts if host.health != "up"}
    found += [
        one
        for service in services
        if service.place.rpartition(":")[0] not in unseen
        for one in _of_service(service)
    ]
    return ProblemList(tuple(sorted(found, key=lambda one: _ORDER[one.tone])))


def _of_host(host: HostCard) -> list[Problem]:
    if host.key_change:
        return [_changed_key(host)]
    if host.health != "up":
        return [] if host.reason in BEFORE else [_unseen(host)]
    found = []
    if host.containers is None and host.docker_problem:
        found.append(_docker(host))
    if host.gpu_problem:
        advice = "Run nvidia-smi there; after an update of the driver the Spark wants a restart."
        found.append(_at(host, "warn", f"No GPU figures: {host.gpu_problem}", advice))
    found += [
        _at(
            host,
            "bad" if (disk.percent or 0) >= 97 else "warn",
            f"{disk.mount} is {disk.percent:.0f} % full: {size(disk.available)} free.",
            "Remove models that nobody uses, or images and build caches of docker:",
            command="docker system df && docker system prune",
        )
        for disk in host.disks
        if disk.tight
    ]
    if (host.memory.pressure or 0) >= PRESSED:
        words = f"Memory is short: something waited for it {host.memory.pressure:.0f} % of the time"
        advice = "Unload a model, or give it less with gpu_memory_utilization."
        found.append(_at(host, "warn", f"{words}.", advice))
    heat = max((gpu.temperature for gpu in host.gpus if gpu.temperature is not None), default=0.0)
    if heat >= HOT:
        advice = "Give it air: GB10 slows down, and may switch itself off."
        found.append(_at(host, "warn", f"The GPU is {heat:.0f} °C hot.", advice))
    return found


def _at(host: HostCard, tone: Tone, words: str, advice: str, command: str = "") -> Problem:
    href = f"/hosts/{host.name}"
    return Problem(tone, host.name, words, advice, href, f"Look at {host.name}", command)


def _changed_key(host: HostCard) -> Problem:
    return Problem(
        "bad",
        host.name,
        "Its host key has changed, so it is not connected to.",
        "If the Spark was installed anew, compare the fingerprint on its own console and accept "
        "it. If nobody did that, somebody else may be answering in its place.",
        href=f"/settings/hosts/{host.name}",
        link="Its settings",
        command="ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
        keys=host.key_change,
    )


def _unseen(host: HostCard) -> Problem:
    down = host.health == "down"
    return Problem(
        "bad" if down else "idle",
        host.name,
        host.reason or "It is not seen.",
        "Is it on, and in the network? The doctor says where it fails.",
        href=f"/hosts/{host.name}#doctor",
        link="Ask the doctor",
        since=host.seen,
    )


def _docker(host: HostCard) -> Problem:
    problem = host.docker_problem
    command = ""
    if "permission denied" in problem or "may not use docker" in problem:
        command = "sudo usermod -aG docker $USER"
    elif "does not run" in problem:
        command = "sudo systemctl start docker"
    advice = "Models and services cannot be started there until that is mended:"
    return _at(host, "bad", f"Docker: {problem}.", advice, command)


def _of_model(model: Served) -> list[Problem]:
    if model.health == "up":
        return []
    tone: Tone = "bad" if model.health == "down" else "idle"
    words = "The engine does not answer." if model.health == "down" else "Its health is not known."
    return [
        Problem(
            tone,
            model.model,
            f"{words} {model.reason}".strip(),
            "An engine that died is started again by itself. If that does not help, unload it and "
            "swap to it anew; the end of its log says why.",
            href="/swaps",
            link="Swaps and logs",
        )
    ]


def _of_service(service: ServiceRow) -> list[Problem]:
    if service.health != "down":
        return []
    return [
        Problem(
            "bad",
            service.name,
            service.reason or "It does not answer.",
            "Look at its log, or restart it.",
            href=f"/services/{service.name}",
            link=f"Look at {service.name}",
        )
    ]
