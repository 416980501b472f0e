"""`/api/v1/services`: the services beside the engine, their health, their logs; start and stop."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Path, Response

from server.base.errors import NotFound
from server.config.model import Service
from server.fleet.acts import VERBS, Verb
from server.web.api.hosts import Lines
from server.web.api.views import service_view
from server.web.parts import Parts
from server.web.reply import API, PartsOf, RequesterOf, reply

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


def _doing(verb: Verb) -> Callable[..., Awaitable[Response]]:
    async def told(parts: PartsOf, who: RequesterOf, name: Name) -> Response:
        service = find(parts, name)
        parts.acting.begin(service, verb, requested_by=who)
        return reply(service_view(parts, service), 202, {"location": f"{API}/services/{name}"})

    told.__name__ = verb
    told.__doc__ = f"Told to {verb}. 202: `act` says how it goes, a `job` event when it has ended."
    return told


def routes() -> APIRouter:
    api = APIRouter(prefix=f"{API}/services", tags=["services"])
    api.add_api_route("", every, methods=["GET"])
    api.add_api_route("/{name}", one, methods=["GET"])
    api.add_api_route("/{name}/logs", logs, methods=["GET"])
    for verb in VERBS:
        api.add_api_route(f"/{{name}}/{verb}", _doing(verb), methods=["POST"], status_code=202)
    return api
