"""One service, whole: health, container, load, times of its requests, what it can be told. Pure.

What nobody has told is "unknown" in words, never a zero and never an old figure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from server.base.health import Health
from server.config.model import Service
from server.fleet.acts import Act, Verb
from server.fleet.model import Container, HostStatus
from server.gateway.activity import Row
from server.web.pages.activity import ActivityRow, activity_row, seconds
from server.web.pages.frame import Page
from server.web.pages.log import LogView, plain_rows
from server.web.pages.moment import Moment, moment
from server.web.pages.service import LinkOut, ServiceList, ServiceRow, cap_words
from server.web.pages.swaps.story import listed
from server.web.pages.sweep import SweepCard

RECENT = 8
UNKNOWN = "unknown"
VERSION_LABELS = ("org.opencontainers.image.version", "com.nvidia.nim.version", "version")
STOPPED = frozenset({"exited", "created", "dead"})
PAST = {"start": "Started", "stop": "Stopped", "restart": "Restarted"}


@dataclass(frozen=True, slots=True)
class Told:
    """What it was told last. `running` while it goes on, from `began`."""

    words: str
    running: bool
    began: str
    at: Moment | None
    by: str
    error: str
    advice: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A verb with what it would do, empty where nothing is stopped by it."""

    verb: Verb
    label: str
    question: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of its container, in words; `why` when that is little."""

    container: str
    state: str
    image: str
    version: str
    uptime: str
    why: str


@dataclass(frozen=True, slots=True)
class ServiceDetail:
    template: ClassVar[str] = "service/detail.html"

    service: ServiceRow
    facts: Facts
    cap: str
    models: str
    doing: str
    times: str
    told: Told | None
    offers: tuple[Offer, ...]
    silent: str
    recent: tuple[ActivityRow, ...]


@dataclass(frozen=True, slots=True)
class ServicePage(Page):
    template: ClassVar[str] = "service/page.html"

    detail: ServiceDetail
    log: LogView
    sweep: SweepCard
    links: tuple[LinkOut, ...]


@dataclass(frozen=True, slots=True)
class ServicesPage(Page):
    template: ClassVar[str] = "service/every.html"

    services: ServiceList


def service_detail(
    service: Service,
    row: ServiceRow,
    host: HostStatus | None,
    *,
    under_way: Sequence[Row],
    ended: Sequence[Row],
    act: Act | None,
    now: datetime,
) -> ServiceDetail:
    """`under_way` and `ended` are its requests, those that ended newest first."""
    clients = [one.client or one.address for one in under_way]
    told, known = _told(act, now), facts(service, host)
    return ServiceDetail(
        service=row,
        facts=known,
        cap=cap_words(service),
        models=", ".join(service.models),
        doing=_doing(row),
        times=times(ended),
        told=told,
        offers=() if told and told.running else offers(service, clients, known.state),
        silent=""
        if service.container
        else "No container is named for it in config.yaml (services[].container), so it cannot be "
        "started or stopped here, and its log is not known.",
        recent=tuple(activity_row(one, now) for one in ended[:RECENT]),
    )


def facts(service: Service, host: HostStatus | None) -> Facts:
    """Only a host that is up says what its containers do now."""
    blank = Facts(service.container or "none", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, "")
    if service.container is None:
        return Facts("none", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, "")
    if host is None or host.last is None or host.verdict.health is not Health.UP:
        why = host.verdict.reason if host is not None else "it has not been looked at"
        return _with(blank, why=f"{service.host}: {why or 'no sample yet'}")
    containers = host.last.containers
    if containers is None:
        return _with(blank, why=host.last.docker_problem or "docker has not been asked yet")
    found = next((one for one in containers if one.name == service.container), None)
    if found is None:
        return _with(blank, state="there is none", why=f"{service.host} has no such container")
    return _with(
        blank,
        state=found.state,
        image=found.image or UNKNOWN,
        version=version(found),
        uptime=uptime(found),
    )


def _with(blank: Facts, **changes: str) -> Facts:
    known = {name: getattr(blank, name) for name in blank.__slots__}
    return Facts(**(known | changes))


def version(container: Container) -> str:
    """As its image says; else the tag that it was started by, where that is one."""
    labels = dict(container.labels)
    for name in VERSION_LABELS:
        if labels.get(name):
            return labels[name]
    named = container.image.partition("@")[0].rpartition("/")[2]
    tag = named.partition(":")[2]
    return tag if tag and tag != "latest" else UNKNOWN


def uptime(container: Container) -> str:
    """`Up 3 hours (healthy)` of docker: how long, while it runs."""
    if container.state != "running" or not container.status.lower().startswith("up "):
        return "not running" if container.state in STOPPED else UNKNOWN
    return container.status[3:].partition(" (")[0]


def times(ended: Sequence[Row]) -> str:
    """The median and the 95th percentile of the answers that the memory still has."""
    took = sorted(one.total - (one.waited or 0) for one in ended if _answered(one))
    if not took:
        return ""
    middle, late = (took[max(0, math.ceil(len(took) * share) - 1)] for share in (0.5, 0.95))
    noun = "answer" if len(took) == 1 else "answers"
    return f"{seconds(middle)} in the middle, 95 % within {seconds(late)}; last {len(took)} {noun}"


def _answered(row: Row) -> bool:
    return 200 <= row.status < 400 and not row.error and not row.cached


def _doing(row: ServiceRow) -> str:
    if row.in_flight is None:
        return UNKNOWN
    waiting = f", {row.waiting} waiting" if row.waiting else ", nobody waits"
    return f"{row.in_flight} under way{waiting}"


def offers(service: Service, clients: Sequence[str], state: str) -> tuple[Offer, ...]:
    """What makes sense in that state of its container; each names what it would stop."""
    if service.container is None:
        return ()
    start = Offer("start", "Start", "")
    if state in STOPPED:
        return (start,)
    if not clients:
        lost = "No request is under way there now."
    else:
        who = listed(list(dict.fromkeys(clients))[:5])
        are = "request is" if len(clients) == 1 else "requests are"
        lost = f"{len(clients)} {are} under way, of {who}: they fail."
    where = f"{service.name} (the container {service.container} on {service.host})"
    stopping = (
        Offer("restart", "Restart", f"Restart {where}? {lost} It does not answer meanwhile."),
        Offer(
            "stop",
            "Stop",
            f"Stop {where}? {lost} Whoever asks for it gets an error until it is started.",
        ),
    )
    return stopping if state == "running" else (*stopping, start)


def _told(act: Act | None, now: datetime) -> Told | None:
    if act is None:
        return None
    running = act.ended_at is None
    words = f"Being told to {act.verb}" if running else PAST[act.verb]
    if act.error:
        words = f"It could not be told to {act.verb}"
    return Told(
        words,
        running,
        act.began_at.isoformat(),
        moment(act.ended_at or act.began_at, now),
        act.requested_by,
        act.error,
        act.advice,
    )


def service_log(service: Service, lines: Sequence[str] | None = None, trouble: str = "") -> LogView:
    """`lines` None: nobody has asked for them yet."""
    path = f"services/{service.name}/logs"
    named = service.container is not None
    quiet = "Nobody has asked for it yet." if named else "No container is named for it."
    return LogView(
        id="log",
        title="Log of the container",
        name=service.container or service.name,
        rows=plain_rows(lines or ()),
        quiet=quiet if lines is None else "The container has not written anything.",
        follow="poll" if named else "still",
        source=f"/api/v1/{path}" if named else "",
        ask=f"/ui/services/{service.name}/log" if named else "",
        asked=lines is not None,
        trouble=trouble,
    )


def requests_of(service: str, rows: Sequence[Row]) -> tuple[Row, ...]:
    return tuple(row for row in rows if row.upstream == service)
