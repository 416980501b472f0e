"""`/api/v1/services`: the services beside the engine, their health and their logs. Read only."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from server.base.errors import NotFound
from server.config.model import Service
from server.web.api.hosts import Lines
from server.web.api.views import service_view
from server.web.parts import Parts
from server.web.reply import API, PartsOf, reply

Name = Annotated[str, Path(max_length=63)]


def find(parts: Parts, name: str) -> Service:
    services = parts.settings.current.services
    service = next((one for one in services if one.name == name), None)
    if service is None:
        known = ", ".join(one.name for one in services) or "none"
        raise NotFound(f"There is no service {name[:63]!r}. Configured: {known}.", param="name")
    return service


async def every(parts: PartsOf) -> Response:
    services = parts.settings.current.services
    return reply({"services": [service_view(parts, service) for service in services]})


async def one(parts: PartsOf, name: Name) -> Response:
    return reply(service_view(parts, find(parts, name)))


async def logs(parts: PartsOf, name: Name, lines: Lines = 200) -> Response:
    service = find(parts, name)
    if service.container is None:
        raise NotFound(
            f"The service {name} has no container in config.yaml, so its log is not known.",
            advice="Set services[].container to the name docker has for it.",
        )
    found = await parts.logs.tail(service.host, service.container, lines, service.ssh_user)
    return reply({"service": name, "container": service.container, "lines": list(found)})


def routes() -> APIRouter:
    api = APIRouter(prefix=f"{API}/services", tags=["services"])
    api.add_api_route("", every, methods=["GET"])
    api.add_api_route("/{name}", one, methods=["GET"])
    api.add_api_route("/{name}/logs", logs, methods=["GET"])
    return api
