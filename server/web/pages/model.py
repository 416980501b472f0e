"""The catalog as a list with one button each. Pure.

A model that cannot be started with the settings of this moment says so instead of offering a
button. Whether it fits into memory is not told here: that needs a look at the hosts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from server.base.errors import SparkError
from server.catalog.model import Catalog, Model
from server.gateway.listing import state_of
from server.swap.model import Serving, SwapRecord

Refusal = Callable[[Model], SparkError | None]


@dataclass(frozen=True, slots=True)
class ModelRow:
    """`action` is the word on the button, empty for none; `refused` is why there is none."""

    id: str
    name: str
    description: str
    source: str
    kind: str
    nodes: int
    aliases: tuple[str, ...]
    own: bool
    state: str
    action: str
    refused: str
    advice: str


@dataclass(frozen=True, slots=True)
class ModelList:
    template: ClassVar[str] = "model/list.html"

    models: tuple[ModelRow, ...]
    problems: tuple[str, ...]
    busy: bool


def model_list(
    catalog: Catalog, serving: Serving | None, swaps: Sequence[SwapRecord], refusal: Refusal
) -> ModelList:
    """Catalog order: a row never moves under the pointer."""
    busy = any(not swap.state.final for swap in swaps)
    rows = [
        _row(model, state_of(model.id, serving, swaps), busy, refusal)
        for model in catalog.models.values()
    ]
    return ModelList(tuple(rows), tuple(map(str, catalog.problems)), busy)


def _row(model: Model, state: str, busy: bool, refusal: Refusal) -> ModelRow:
    refused, advice = "", ""
    if not model.enabled:
        refused = "It is disabled in the catalog."
    elif (error := refusal(model)) is not None:
        refused, advice = error.message, error.advice or ""
    offered = not refused and (state == "available" or (state == "serving" and busy))
    return ModelRow(
        id=model.id,
        name=model.name,
        description=model.description,
        source=model.source.ref,
        kind="Hugging Face" if model.source.hf else "local path",
        nodes=model.nodes,
        aliases=model.aliases,
        own=model.origin == "override",
        state=state,
        action=("Queue" if busy else "Swap") if offered else "",
        refused=refused,
        advice=advice,
    )
