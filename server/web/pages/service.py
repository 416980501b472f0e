"""The services beside the engine, with the health of their last probe, as rows. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from urllib.parse import urlsplit

from server.base.health import Verdict
from server.config.model import Link, Service
from server.fleet.acts import Act
from server.fleet.model import ServiceStatus
from server.gateway.admission.model import Snapshot
from server.web.api.views import load_of
from server.web.pages.moment import Moment, moment

DOING = {"start": "starting", "stop": "stopping", "restart": "restarting"}


@dataclass(frozen=True, slots=True)
class LinkOut:
    """`place` is the host that it leads to: a name can say anything."""

    name: str
    url: str
    place: str


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """`latency` is in milliseconds. `since` when it came into this health. `doing` is what it is
    being told at this moment. `in_flight` and `waiting` are None where nobody knows."""

    name: str
    kind: str
    place: str
    health: str
    reason: str
    latency: float | None
    checked: Moment | None
    since: Moment | None = None
    doing: str = ""
    in_flight: int | None = None
    waiting: int | None = None
    links: tuple[LinkOut, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceList:
    """`links` are those of the whole cluster, such as Open WebUI."""

    template: ClassVar[str] = "service/list.html"

    services: tuple[ServiceRow, ...]
    links: tuple[LinkOut, ...] = ()


@dataclass(frozen=True, slots=True)
class Load:
    """What the gateway and the hosts tell of services beside their health."""

    snapshot: Snapshot | None = None
    acts: Mapping[str, Act] | None = None


def service_list(
    services: Sequence[Service],
    statuses: Mapping[str, ServiceStatus],
    now: datetime,
    load: Load | None = None,
    links: Sequence[Link] = (),
) -> ServiceList:
    rows = (service_row(one, statuses.get(one.name), now, load) for one in services)
    return ServiceList(tuple(rows), links_out(links))


def service_row(
    service: Service, status: ServiceStatus | None, now: datetime, load: Load | None = None
) -> ServiceRow:
    status = status or ServiceStatus(service.name, Verdict.unknown("not probed yet"))
    load = load or Load()
    told = (load.acts or {}).get(service.name)
    return ServiceRow(
        name=service.name,
        kind=service.kind,
        place=f"{service.host}:{service.port}",
        health=status.verdict.health.value,
        reason=status.verdict.reason or status.detail,
        latency=None if status.latency is None else status.latency * 1000,
        checked=moment(status.checked_at, now),
        since=moment(status.since, now),
        doing=DOING[told.verb] if told is not None and told.ended_at is None else "",
        links=links_out(service.links),
        **load_of(load.snapshot or Snapshot((), (), {}), service.name),
    )


def links_out(links: Sequence[Link]) -> tuple[LinkOut, ...]:
    return tuple(LinkOut(one.name, one.url, urlsplit(one.url).netloc) for one in links)


def cap_words(service: Service) -> str:
    if service.cap is None:
        return "no bound"
    return f"at most {service.cap} at once" + (
        "" if service.max_in_flight is not None else f", as usual for {service.kind}"
    )
