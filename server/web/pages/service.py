"""The services beside the engine, with the health of their last probe; the page of one. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from server.base.health import Verdict
from server.config.model import Service
from server.fleet.model import ServiceStatus
from server.web.pages.frame import Page
from server.web.pages.moment import Moment, moment
from server.web.pages.sweep import SweepCard


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """`latency` is in milliseconds."""

    name: str
    kind: str
    place: str
    health: str
    reason: str
    latency: float | None
    checked: Moment | None


@dataclass(frozen=True, slots=True)
class ServiceList:
    template: ClassVar[str] = "service/list.html"

    services: tuple[ServiceRow, ...]


@dataclass(frozen=True, slots=True)
class ServicePage(Page):
    template: ClassVar[str] = "service/page.html"

    service: ServiceRow
    models: str
    sweep: SweepCard


def service_list(
    services: Sequence[Service], statuses: Mapping[str, ServiceStatus], now: datetime
) -> ServiceList:
    return ServiceList(tuple(service_row(one, statuses.get(one.name), now) for one in services))


def service_row(service: Service, status: ServiceStatus | None, now: datetime) -> ServiceRow:
    status = status or ServiceStatus(service.name, Verdict.unknown("not probed yet"))
    return ServiceRow(
        name=service.name,
        kind=service.kind,
        place=f"{service.host}:{service.port}",
        health=status.verdict.health.value,
        reason=status.verdict.reason or status.detail,
        latency=None if status.latency is None else status.latency * 1000,
        checked=moment(status.checked_at, now),
    )


def cap_words(service: Service) -> str:
    if service.cap is None:
        return "no bound"
    return f"at most {service.cap} at once" + (
        "" if service.max_in_flight is not None else f", as usual for {service.kind}"
    )
