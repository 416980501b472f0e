"""The catalog as a list with one button each. Pure.

A model that cannot be started with the settings of this moment says so instead of offering a
button. Whether it fits into memory is not told here: that needs a look at the hosts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from server.base.errors import SparkError
from server.catalog.model import Catalog, Model
from server.gateway.listing import state_of
from server.swap.model import Serving, SwapRecord

Refusal = Callable[[Model], SparkError | None]


@dataclass(frozen=True, slots=True)
class ModelRow:
    """`action` is the word on the button, empty for none; `refused` is a sentence on why."""

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


@dataclass(frozen=True, slots=True)
class ModelList:
    """`homeless`: there are no hosts, which is said once instead of beside every model."""

    models: tuple[ModelRow, ...]
    problems: tuple[str, ...]
    busy: bool
    homeless: bool


def model_list(
    catalog: Catalog,
    layout: Sequence[Serving],
    swaps: Sequence[SwapRecord],
    refusal: Refusal,
    *,
    hosts: int,
) -> ModelList:
    """Catalog order: a row never moves under the pointer."""
    busy = any(not swap.state.final for swap in swaps)
    rows = [
        _row(
            model,
            state_of(model.id, layout, swaps),
            busy,
            refusal_words(model, refusal) if hosts else "",
        )
        for model in catalog.models.values()
    ]
    if not hosts:
        rows = [replace(row, action="") for row in rows]
    return ModelList(tuple(rows), tuple(map(str, catalog.problems)), busy, not hosts)


def refusal_words(model: Model, refusal: Refusal) -> str:
    """Why it cannot be started with the settings of this moment; empty when it can."""
    if not model.enabled:
        return "It is disabled in the catalog."
    error = refusal(model)
    if error is None:
        return ""
    return " ".join(filter(None, (error.message.removesuffix(".") + ".", error.advice)))


def _row(model: Model, state: str, busy: bool, refused: str) -> ModelRow:
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
    )
