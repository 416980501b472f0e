"""Services in the settings: the list and one's form. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from server.config.model import Service
from server.fleet.model import ServiceStatus
from server.web.pages.service import cap_words
from server.web.pages.settings.section import SectionForm, SettingsPage


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    name: str
    kind: str
    place: str
    container: str
    health: str
    reason: str
    cap: str
    models: tuple[str, ...]
    question: str


@dataclass(frozen=True, slots=True)
class ServicesList:
    """Drawn anew as the services come and go. `hosts`: whether there are any."""

    template: ClassVar[str] = "settings/services-list.html"

    services: tuple[ServiceEntry, ...]
    hosts: bool


@dataclass(frozen=True, slots=True)
class ServicesPage(SettingsPage):
    template: ClassVar[str] = "settings/services.html"

    list: ServicesList
    variable: str


@dataclass(frozen=True, slots=True)
class ServicePage(SettingsPage):
    """`service` is None for a new one."""

    template: ClassVar[str] = "settings/service.html"

    service: ServiceEntry | None
    form: SectionForm
    variable: str


def service_entry(
    service: Service, status: ServiceStatus | None, all_of_them: Sequence[Service], in_flight: int
) -> ServiceEntry:
    return ServiceEntry(
        name=service.name,
        kind=service.kind,
        place=f"{service.host}:{service.port}",
        container=service.container or "",
        health=status.verdict.health.value if status else "unknown",
        reason=(status.verdict.reason if status else "") or "not probed yet",
        cap=cap_words(service),
        models=service.models,
        question=removal_question(service, all_of_them, in_flight),
    )


def removal_question(service: Service, all_of_them: Sequence[Service], in_flight: int) -> str:
    """Names what ends with it."""
    others = [one.name for one in all_of_them if one.kind == service.kind and one != service]
    left = (
        f"Requests of its kind go to {', '.join(others)}."
        if others
        else f"No service of the kind {service.kind} is left then: such requests are refused."
    )
    running = {0: "", 1: " One request is with it now."}.get(
        in_flight, f" {in_flight} requests are with it now."
    )
    kept = " What runs on the host goes on." if service.container else ""
    return f"Spark Control forgets {service.name} on {service.host}. {left}{running}{kept}"
