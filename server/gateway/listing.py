"""What `/v1/models` says: everything that can be asked for by name, with its state. Pure.

Owns the entries of models (served, loaded on demand, with their variants) and of services, and
their shape for OpenAI's and Anthropic's clients. Refuses to promise: a service that is down is
listed as `unavailable`, not left out and not as if it answered.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from server.base.clock import iso
from server.base.health import Health, Verdict
from server.catalog.model import Catalog, Model
from server.config.model import Service
from server.swap.model import Serving, SwapRecord

Entries = Callable[[], list[dict[str, Any]]]

# Kinds that are never asked for by the name of a model.
_NAMELESS = frozenset({"qdrant", "web", "other"})
_FIRST = frozenset({"serving", "draining"})


def state_of(model_id: str, layout: Sequence[Serving], swaps: Sequence[SwapRecord]) -> str:
    """`serving`, `draining`, `loading`, `queued` or `available`."""
    mine = [serving for serving in layout if serving.model == model_id]
    if mine:
        return "serving" if any(serving.accepting for serving in mine) else "draining"
    for swap in swaps:
        if swap.model == model_id and not swap.state.final:
            return "queued" if swap.state.value == "queued" else "loading"
    return "available"


def owner(model: Model) -> str:
    """The Hugging Face organisation, or `local` for a directory on a Spark."""
    return model.source.hf.split("/", 1)[0] if model.source.hf else "local"


def listing(
    catalog: Catalog,
    layout: Sequence[Serving],
    swaps: Sequence[SwapRecord],
    started: datetime,
    *,
    services: Sequence[Service] = (),
    verdicts: Mapping[str, Verdict] | None = None,
) -> list[dict[str, Any]]:
    """Models in catalog order, what is served first; after them the services. Disabled models are
    not offered. `verdicts` are the fleet's, by service."""
    served = {serving.model for serving in layout}
    entries: list[dict[str, Any]] = []
    for model in catalog.models.values():
        if model.enabled or model.id in served:
            entries += _model_entries(model, layout, swaps, started)
    # Taken out of the catalog while it was being served: it still answers, so it is listed.
    entries += [_orphan(serving) for serving in layout if serving.model not in catalog.models]
    entries.sort(key=lambda entry: entry["state"] not in _FIRST)
    taken = {entry["id"] for entry in entries}
    for entry in _service_entries(services, verdicts or {}, started):
        if entry["id"] not in taken:
            taken.add(entry["id"])
            entries.append(entry)
    return entries


def find(entries: Sequence[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """By id first, then by alias."""
    by_id = next((entry for entry in entries if entry["id"] == name), None)
    return by_id or next((entry for entry in entries if name in entry["aliases"]), None)


def _model_entries(
    model: Model,
    layout: Sequence[Serving],
    swaps: Sequence[SwapRecord],
    started: datetime,
) -> list[dict[str, Any]]:
    """The model, then its variants."""
    served = next((serving for serving in layout if serving.model == model.id), None)
    length = served.max_model_len if served else None
    entry = {
        "id": model.id,
        "object": "model",
        "created": int((served.since if served else started).timestamp()),
        "owned_by": owner(model),
        "root": model.source.ref,
        "parent": None,
        "max_model_len": length if length is not None else model.knobs.get("max_model_len"),
        "name": model.name,
        "aliases": list(model.aliases),
        "variants": [f"{model.id}:{name}" for name in model.variants],
        "state": state_of(model.id, layout, swaps),
        "kind": "llm",
        "host": served.deployment.engine.host if served else None,
    }
    return [entry] + [
        entry
        | {
            "id": f"{model.id}:{name}",
            "parent": model.id,
            "name": f"{model.name} ({name})",
            "aliases": [f"{alias}:{name}" for alias in model.aliases],
            "variants": [],
        }
        for name in model.variants
    ]


def _orphan(serving: Serving) -> dict[str, Any]:
    return {
        "id": serving.model,
        "object": "model",
        "created": int(serving.since.timestamp()),
        "owned_by": "local",
        "root": serving.deployment.spec.source,
        "parent": None,
        "max_model_len": serving.max_model_len,
        "name": serving.model,
        "aliases": [name for name in serving.names if name != serving.model],
        "variants": [],
        "state": "serving" if serving.accepting else "draining",
        "kind": "llm",
        "host": serving.deployment.engine.host,
    }


def _service_entries(
    services: Sequence[Service], verdicts: Mapping[str, Verdict], started: datetime
) -> list[dict[str, Any]]:
    """One entry for each name that services answer to; replicas share one."""
    names: dict[tuple[str, str], list[Service]] = {}
    for service in services:
        if service.kind not in _NAMELESS:
            for name in service.models or (service.name,):
                names.setdefault((service.kind, name), []).append(service)
    return [
        {
            "id": name,
            "object": "model",
            "created": int(started.timestamp()),
            "owned_by": "service",
            "root": name,
            "parent": None,
            "max_model_len": None,
            "name": name,
            "aliases": [one.name for one in members if one.name != name],
            "variants": [],
            "state": _service_state([verdicts.get(one.name) for one in members]),
            "kind": kind,
            "host": members[0].host if len(members) == 1 else None,
        }
        for (kind, name), members in names.items()
    ]


def _service_state(verdicts: Sequence[Verdict | None]) -> str:
    """`serving` when one of them answers, `unavailable` when all are down, else `unknown`."""
    known = {verdict.health if verdict else Health.UNKNOWN for verdict in verdicts}
    if Health.UP in known:
        return "serving"
    return "unavailable" if known == {Health.DOWN} else "unknown"


# ---- Anthropic's shape


def anthropic_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One model as `GET /v1/models/{id}` of Anthropic's API has it, and our fields."""
    return {
        "type": "model",
        "id": entry["id"],
        "display_name": entry["name"],
        "created_at": iso(datetime.fromtimestamp(entry["created"], UTC)),
        **{key: entry[key] for key in ("state", "aliases", "kind", "max_model_len")},
    }


def anthropic_page(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All of them on one page: there are never so many that a second one would help."""
    data = [anthropic_entry(entry) for entry in entries]
    return {
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }
