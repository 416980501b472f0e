"""`/api/v1/settings`: the sections of `config.yaml`, and the services in it. The forms of the pages
save by the same calls. Hosts are at `/api/v1/hosts`, keys at `/api/v1/keys`."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from server.base.errors import NotFound
from server.config.model import Service, Settings
from server.config.schema import takes_json
from server.web.api.services import find
from server.web.api.views import service_view
from server.web.parts import Parts
from server.web.reply import API, PartsOf, reply

SectionName = Annotated[str, Path(max_length=40)]
Name = Annotated[str, Path(max_length=63)]


class Changes(BaseModel):
    """`values` are the keys to change; the others stay. `version`: what the caller has seen (409
    when the section was changed since)."""

    model_config = ConfigDict(extra="forbid")

    values: dict[str, Any] = Field(max_length=100)
    version: str | None = Field(default=None, max_length=64)


def sections() -> tuple[str, ...]:
    """Those that are a group of values; the lists have routes of their own."""
    fields = Settings.model_fields
    return tuple(name for name, field in fields.items() if not takes_json(field.annotation))


def _view(parts: Parts, section: str) -> dict[str, Any]:
    settings = parts.settings
    values = getattr(settings.current, section).model_dump(mode="json")
    origins = settings.origins(section)
    return {
        "section": section,
        "version": settings.mark(section),
        "values": values,
        "sources": {
            key: {"source": origin.source, "variable": origin.variable}
            for key, origin in origins.items()
        },
    }


async def every(parts: PartsOf) -> Response:
    """Every section, with where each value comes from."""
    return reply(
        {
            "sections": [_view(parts, section) for section in sections()],
            "problems": list(parts.settings.problems),
        }
    )


async def one(parts: PartsOf, section: SectionName) -> Response:
    return reply(_view(parts, _known(section)))


async def change(parts: PartsOf, section: SectionName, body: Changes) -> Response:
    """Saved whole or not at all; comments in the file stay."""
    if section == "auth" and body.values.get("mode") == "password":
        parts.locking.need_password()
    await parts.settings.save_section(_known(section), body.values, body.version)
    return reply(_view(parts, section))


async def add_service(parts: PartsOf, service: Service) -> Response:
    await parts.settings.add_service(service)
    where = {"location": f"{API}/services/{service.name}"}
    return reply(service_view(parts, service), 201, where)


async def change_service(
    parts: PartsOf, name: Name, body: Annotated[dict[str, Any], Body()]
) -> Response:
    """The whole service; `name` may be left out, or be a new one."""
    find(parts, name)
    service = Service.model_validate({"name": name, **body})
    await parts.settings.replace_service(name, service)
    return reply(service_view(parts, service))


async def remove_service(parts: PartsOf, name: Name) -> Response:
    find(parts, name)
    await parts.settings.remove_service(name)
    return Response(status_code=204)


def _known(section: str) -> str:
    if section not in sections():
        raise NotFound(
            f"There is no section {section!r} here. These exist: {', '.join(sections())}.",
            param="section",
        )
    return section


def routes() -> APIRouter:
    api = APIRouter(prefix=API, tags=["settings"])
    api.add_api_route("/settings", every, methods=["GET"])
    api.add_api_route("/settings/{section}", one, methods=["GET"])
    api.add_api_route("/settings/{section}", change, methods=["PUT"])
    api.add_api_route("/services", add_service, methods=["POST"], status_code=201)
    api.add_api_route("/services/{name}", change_service, methods=["PUT"])
    api.add_api_route("/services/{name}", remove_service, methods=["DELETE"], status_code=204)
    return api
