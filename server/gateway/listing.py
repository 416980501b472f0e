"""What `/v1/models` says: everything that is or can be served, with its state. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from server.catalog.model import Catalog, Model
from server.swap.model import Serving, SwapRecord


def state_of(model_id: str, serving: Serving | None, swaps: Sequence[SwapRecord]) -> str:
    """`serving`, `draining`, `loading`, `queued` or `available`."""
    if serving is not None and serving.model == model_id:
        return "serving" if serving.accepting else "draining"
    for swap in swaps:
        if swap.model == model_id and not swap.state.final:
            return "queued" if swap.state.value == "queued" else "loading"
    return "available"


def owner(model: Model) -> str:
    """The Hugging Face organisation, or `local` for a directory on a Spark."""
    return model.source.hf.split("/", 1)[0] if model.source.hf else "local"


def listing(
    catalog: Catalog,
    serving: Serving | None,
    swaps: Sequence[SwapRecord],
    started: datetime,
) -> list[dict[str, Any]]:
    """Entries in catalog order, what is served first. Disabled models are not offered."""
    entries = [
        _entry(model, serving, swaps, started)
        for model in catalog.models.values()
        if model.enabled or (serving is not None and serving.model == model.id)
    ]
    if serving is not None and serving.model not in catalog.models:
        # Taken out of the catalog while it was being served: it still answers, so it is listed.
        entries.append(_orphan(serving))
    return sorted(entries, key=lambda entry: entry["state"] not in {"serving", "draining"})


def find(entries: Sequence[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """By id first, then by alias."""
    by_id = next((entry for entry in entries if entry["id"] == name), None)
    return by_id or next((entry for entry in entries if name in entry["aliases"]), None)


def _entry(
    model: Model, serving: Serving | None, swaps: Sequence[SwapRecord], started: datetime
) -> dict[str, Any]:
    served = serving if serving is not None and serving.model == model.id else None
    length = served.max_model_len if served else None
    return {
        "id": model.id,
        "object": "model",
        "created": int((served.since if served else started).timestamp()),
        "owned_by": owner(model),
        "root": model.source.ref,
        "parent": None,
        "max_model_len": length if length is not None else model.knobs.get("max_model_len"),
        "name": model.name,
        "aliases": list(model.aliases),
        "state": state_of(model.id, serving, swaps),
    }


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
        "state": "serving" if serving.accepting else "draining",
    }
