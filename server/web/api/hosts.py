"""`/api/v1/hosts`: the Sparks in the settings, what is known of them, and the doctor."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from server.base.clock import iso
from server.base.errors import Conflict, NotFound, Unavailable
from server.config.model import Host
from server.config.words import CONTAINER
from server.swap.model import State
from server.web.api.views import host_view, target
from server.web.container_logs import MAX_LINES
from server.web.parts import Parts
from server.web.reply import API, PartsOf, reply

COMING = frozenset({State.STARTING, State.LOADING, State.WARMING})
Name = Annotated[str, Path(max_length=63)]
Lines = Annotated[int, Query(ge=1, le=MAX_LINES)]
ContainerName = Annotated[str | None, Query(pattern=f"^(?:{CONTAINER.pattern})$")]


class AcceptKey(BaseModel):
    """`fingerprint` is the one the person saw, so that no other key can slip in between."""

    model_config = ConfigDict(extra="forbid")

    fingerprint: str = Field(min_length=1, max_length=200)


def find(parts: Parts, name: str) -> Host:
    host = parts.settings.current.host(name)
    if host is None:
        known = ", ".join(one.name for one in parts.settings.current.hosts) or "none"
        raise NotFound(f"There is no host {name[:63]!r}. Configured: {known}.", param="name")
    return host


async def every(parts: PartsOf) -> Response:
    hosts = [host_view(parts, host) for host in parts.settings.current.hosts]
    return reply({"hosts": hosts, "problems": list(parts.settings.problems)})


async def save_new(parts: Parts, host: Host) -> None:
    await parts.settings.add_host(host)
    await parts.hosts_changed(host.name)


async def save_changed(parts: Parts, name: str, host: Host, mark: str | None = None) -> None:
    """`mark`: what the saver has seen. A host that serves keeps its name."""
    find(parts, name)
    if host.name != name:
        _not_serving(parts, name)
    await parts.settings.replace_host(name, host, mark)
    if host.name != name:
        await parts.hosts_changed(name)
    await parts.hosts_changed(host.name)


async def save_removed(parts: Parts, name: str) -> None:
    find(parts, name)
    _not_serving(parts, name)
    await parts.settings.remove_host(name)
    await parts.hosts_changed(name)


async def add(parts: PartsOf, host: Host) -> Response:
    await save_new(parts, host)
    return reply(host_view(parts, host), 201, {"location": f"/api/v1/hosts/{host.name}"})


async def one(parts: PartsOf, name: Name) -> Response:
    return reply(host_view(parts, find(parts, name)))


async def change(parts: PartsOf, name: Name, body: Annotated[dict[str, Any], Body()]) -> Response:
    """The whole host; `name` may be left out, or be a new one."""
    find(parts, name)
    host = Host.model_validate({"name": name, **body})
    await save_changed(parts, name, host)
    return reply(host_view(parts, host))


async def remove(parts: PartsOf, name: Name) -> Response:
    await save_removed(parts, name)
    return Response(status_code=204)


def _not_serving(parts: Parts, name: str) -> None:
    for serving in parts.swaps.layout():
        if name in {node.host for node in serving.deployment.spec.nodes}:
            raise Conflict(
                f"{serving.model} is being served on {name}.",
                advice="Unload it or swap to a model on another host first.",
            )


async def check(parts: PartsOf, name: Name) -> Response:
    """The same look that a page shows, waited for."""
    found = await parts.examining.examine(find(parts, name))
    return reply(
        {
            "host": name,
            "ok": found.good,
            "findings": [finding.to_dict() for finding in found.findings],
        }
    )


async def accept_key(parts: PartsOf, name: Name, body: AcceptKey) -> Response:
    host = find(parts, name)
    fingerprint = parts.hostkeys.accept(target(host), body.fingerprint)
    await parts.hosts_changed(name)
    return reply({"host": name, "fingerprint": fingerprint})


async def samples(
    parts: PartsOf, name: Name, minutes: Annotated[float, Query(gt=0, le=1440)] = 10
) -> Response:
    find(parts, name)
    kept = parts.fleet.samples(name, minutes)
    return reply({"host": name, "samples": [sample.to_dict() for sample in kept]})


async def trend(parts: PartsOf, name: Name) -> Response:
    """The last hour as curves, small enough for a chart."""
    find(parts, name)
    return reply({"host": name} | parts.fleet.trend(name).to_dict())


async def disk(parts: PartsOf, name: Name) -> Response:
    """Filesystems by the newest sample, and the models that scans found on this host."""
    find(parts, name)
    last = parts.fleet.status(name).last
    body = {} if last is None else last.to_dict()
    return reply(
        {
            "host": name,
            "at": None if last is None else iso(last.at),
            "filesystems": body.get("disks"),
            "models": [one for one in parts.discovery.found() if one.get("host") == name],
        }
    )


async def containers(parts: PartsOf, name: Name) -> Response:
    """By the newest sample; `containers` is null when docker could not be asked."""
    find(parts, name)
    last = parts.fleet.status(name).last
    body = {} if last is None else last.to_dict()
    return reply(
        {
            "host": name,
            "at": None if last is None else iso(last.at),
            "containers": body.get("containers"),
            "problem": body.get("docker_problem") or None,
        }
    )


async def logs(
    parts: PartsOf, name: Name, container: ContainerName = None, lines: Lines = 200
) -> Response:
    """Of `container`, else of the engine."""
    find(parts, name)
    settings = parts.settings.current
    if container is None and settings.engine.launcher == "bare":
        return reply({"host": name, "container": None, "lines": await _engine_lines(parts, lines)})
    wanted = container or _engine_on(parts, name) or settings.engine.container
    found = await parts.logs.tail(name, wanted, lines)
    return reply({"host": name, "container": wanted, "lines": list(found)})


def _engine_on(parts: Parts, host: str) -> str | None:
    """The container of the engine that is coming there, else of the newest that serves there."""
    current = parts.swaps.current()
    specs = [serving.deployment.spec for serving in parts.swaps.layout()]
    if current is not None and current.target is not None and current.state in COMING:
        specs.append(current.target)
    here = (s.container for s in reversed(specs) if host in {node.host for node in s.nodes})
    return next(here, None)


async def _engine_lines(parts: Parts, lines: int) -> list[str]:
    """Without docker the engine's log is what the last swap read of it."""
    current, serving = parts.swaps.current(), parts.swaps.serving()
    tag = current.id if current else serving.deployment.engine.tag if serving else None
    if tag is None:
        raise Unavailable("No engine is running, so there is no log to show.")
    return list((await parts.swaps.log(tag)).texts())[-lines:]


def routes() -> APIRouter:
    api = APIRouter(prefix=f"{API}/hosts", tags=["hosts"])
    api.add_api_route("", every, methods=["GET"])
    api.add_api_route("", add, methods=["POST"], status_code=201)
    api.add_api_route("/{name}", one, methods=["GET"])
    api.add_api_route("/{name}", change, methods=["PUT"])
    api.add_api_route("/{name}", remove, methods=["DELETE"], status_code=204)
    api.add_api_route("/{name}/check", check, methods=["POST"])
    api.add_api_route("/{name}/accept-key", accept_key, methods=["POST"])
    api.add_api_route("/{name}/samples", samples, methods=["GET"])
    api.add_api_route("/{name}/trend", trend, methods=["GET"])
    api.add_api_route("/{name}/disk", disk, methods=["GET"])
    api.add_api_route("/{name}/containers", containers, methods=["GET"])
    api.add_api_route("/{name}/logs", logs, methods=["GET"])
    return api
