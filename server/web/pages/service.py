"""The services beside the engine, with the health of their last probe. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from server.base.health import Verdict
from server.config.model import Service
from server.fleet.model import ServiceStatus
from server.web.pages.moment import Moment, moment


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


def service_list(
    services: Sequence[Service], statuses: Mapping[str, ServiceStatus], now: datetime
) -> ServiceList:
    unseen = Verdict.unknown("not probed yet")
    rows = []
    for service in services:
        status = statuses.get(service.name) or ServiceStatus(service.name, unseen)
        rows.append(
            ServiceRow(
                name=service.name,
                kind=service.kind,
                place=f"{service.host}:{service.port}",
                health=status.verdict.health.value,
                reason=status.verdict.reason or status.detail,
                latency=None if status.latency is None else status.latency * 1000,
                checked=moment(status.checked_at, now),
            )
        )
    return ServiceList(tuple(rows))
