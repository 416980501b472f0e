"""`/api/v1/models`, the knobs they take, and `/api/v1/discovery`."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response

from server.base.errors import InvalidValue, ModelNotFound
from server.base.finding import Severity
from server.catalog.model import Model
from server.catalog.recipe import read_recipe
from server.web.api.views import model_view, models_view, undiscovered, whole_model
from server.web.checking import checked
from server.web.parts import Parts
from server.web.reply import API, PartsOf, reply

Id = Annotated[str, Path(max_length=512)]
Json = Annotated[dict[str, Any], Body()]
Replaces = Annotated[str | None, Query(max_length=512)]


def find(parts: Parts, model_id: str) -> Model:
    """By id or alias."""
    catalog = parts.catalog.snapshot()
    model = catalog.find(model_id)
    if model is None:
        known = ", ".join(list(catalog.models)[:12]) or "none"
        raise ModelNotFound(
            f"The catalog has no model {model_id[:100]!r}. It has: {known}.", param="id"
        )
    return model


async def every(parts: PartsOf) -> Response:
    return reply(models_view(parts, parts.catalog.snapshot()))


async def add(parts: PartsOf, body: Json) -> Response:
    model = await parts.catalog.add(body)
    tell(parts, model)
    return reply(model_view(parts, model), 201, {"location": f"/api/v1/models/{model.id}"})


async def one(parts: PartsOf, model_id: Id) -> Response:
    return reply(whole_model(parts, find(parts, model_id)))


async def check(parts: PartsOf, body: Json, replaces: Replaces = None) -> Response:
    """What adding (or, with `replaces`, changing) a model would say; nothing is saved."""
    return reply(checked(parts, body, replaces).to_dict())


async def take_recipe(body: Json) -> Response:
    """A recipe file as the body of a model, with what was understood of it and what not."""
    text = body.get("text")
    if not isinstance(text, str):
        raise InvalidValue("text: the recipe as one text", param="text")
    recipe = await asyncio.to_thread(read_recipe, text)
    return reply(
        {
            "model": dict(recipe.body),
            "understood": [note.to_dict() for note in recipe.understood],
            "left_out": [note.to_dict() for note in recipe.left_out],
        }
    )


async def change(parts: PartsOf, model_id: Id, body: Json) -> Response:
    model = await parts.catalog.replace(find(parts, model_id).id, body)
    tell(parts, model)
    return reply(model_view(parts, model))


async def remove(parts: PartsOf, model_id: Id) -> Response:
    """What is being served goes on being served; it just cannot be asked for again."""
    found = find(parts, model_id).id
    await parts.catalog.remove(found)
    parts.bus.publish("model", found, {"id": found, "removed": True})
    return Response(status_code=204)


async def reset(parts: PartsOf, model_id: Id) -> Response:
    """A shipped model as it was shipped, also when it was removed here."""
    model = await parts.catalog.reset(model_id)
    tell(parts, model)
    return reply(model_view(parts, model))


async def set_knobs(parts: PartsOf, model_id: Id, body: Json) -> Response:
    """All knobs at once: what is left out is not set any more."""
    model = await parts.catalog.set_knobs(find(parts, model_id).id, body)
    tell(parts, model)
    return reply(model_view(parts, model))


def tell(parts: Parts, model: Model) -> None:
    parts.bus.publish("model", model.id, model_view(parts, model))


async def command(parts: PartsOf, model_id: Id) -> Response:
    """The exact command lines, secrets redacted; what is not shown is not run."""
    model = find(parts, model_id)
    planned = await parts.swaps.command(model.id)
    return reply(
        {
            "model": model.id,
            "commands": [
                {"name": step.name, "host": step.host, "command": step.shown} for step in planned
            ],
        }
    )


async def preflight(parts: PartsOf, model_id: Id) -> Response:
    model = find(parts, model_id)
    findings = await parts.swaps.preflight(model.id)
    return reply(
        {
            "model": model.id,
            "ok": not any(finding.severity is Severity.ERROR for finding in findings),
            "findings": [finding.to_dict() for finding in findings],
        }
    )


async def knobs(parts: PartsOf) -> Response:
    return reply({"knobs": parts.catalog.knob_schema()})


async def discovery(parts: PartsOf) -> Response:
    """From memory: found by the last scan of each host, and not in the catalog."""
    return reply(
        {"models": list(undiscovered(parts)), "scans": [dict(s) for s in parts.discovery.scans()]}
    )


async def rescan(parts: PartsOf) -> Response:
    """Ask for a new scan. It is not waited for: a `model` event tells when a host is done."""
    parts.discovery.rescan()
    return reply({"scans": [dict(scan) for scan in parts.discovery.scans()]}, 202)


def routes() -> APIRouter:
    api = APIRouter(prefix=API, tags=["models"])
    api.add_api_route("/models", every, methods=["GET"])
    api.add_api_route("/models", add, methods=["POST"], status_code=201)
    api.add_api_route("/models/check", check, methods=["POST"])
    api.add_api_route("/models/import", take_recipe, methods=["POST"])
    api.add_api_route("/models/{model_id}", one, methods=["GET"])
    api.add_api_route("/models/{model_id}", change, methods=["PUT"])
    api.add_api_route("/models/{model_id}", remove, methods=["DELETE"], status_code=204)
    api.add_api_route("/models/{model_id}/reset", reset, methods=["POST"])
    api.add_api_route("/models/{model_id}/knobs", set_knobs, methods=["PUT"])
    api.add_api_route("/models/{model_id}/command", command, methods=["GET"])
    api.add_api_route("/models/{model_id}/preflight", preflight, methods=["POST"])
    api.add_api_route("/knobs", knobs, methods=["GET"])
    api.add_api_route("/discovery", discovery, methods=["GET"])
    api.add_api_route("/discovery", rescan, methods=["POST"], status_code=202)
    return api
