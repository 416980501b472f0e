"""Which engine a `model` field means, and what to say when none does. Pure.

Owns the sentence a caller reads when a model is unknown, loading, draining or not loaded.
"""

from collections.abc import Sequence

from server.base.errors import ModelLoading, ModelNotFound, SparkError, Unavailable
from server.catalog.model import Catalog, Model
from server.swap.model import Serving, SwapRecord

_LISTED = 12
_LOADING_AFTER = 10.0
_UNLOADED_AFTER = 30.0
_LONGEST_WAIT = 120.0


def matches(name: str, catalog: Catalog, serving: Serving | None) -> bool:
    """Whether what is served is what `name` means: by the catalog of now, else by the engine."""
    if serving is None:
        return False
    wanted = catalog.find(name)
    return wanted.id == serving.model if wanted else name in serving.names


def rewritten(name: str, serving: Serving) -> str | None:
    """The name to put into the body: only needed for an alias younger than the engine."""
    return None if name in serving.names else serving.model


def refusal(
    name: str,
    catalog: Catalog,
    serving: Serving | None,
    swaps: Sequence[SwapRecord],
) -> SparkError:
    """Why `name` cannot be answered now. `swaps`: the running one, then the queued ones."""
    if serving is not None and matches(name, catalog, serving):
        return Unavailable(
            f"{serving.model} is being drained before a change of model.",
            advice="Ask again when the change is over; GET /api/v1/swaps/current shows it.",
            retry_after=_LOADING_AFTER,
        )
    wanted = catalog.find(name)
    if wanted is None or not wanted.enabled:
        return _unknown(name, catalog, disabled=wanted is not None)
    for swap in swaps:
        if swap.model == wanted.id and not swap.state.final:
            return _loading(wanted, swap)
    return _not_loaded(wanted, serving, swaps)


def _unknown(name: str, catalog: Catalog, *, disabled: bool) -> ModelNotFound:
    ids = [model.id for model in catalog.models.values() if model.enabled]
    listed = ", ".join(ids[:_LISTED]) + (", …" if len(ids) > _LISTED else "")
    what = "is disabled in the catalog" if disabled else "does not exist"
    shown = name if len(name) <= 100 else name[:100] + "…"
    return ModelNotFound(
        f"The model {shown!r} {what}. "
        + (f"These exist: {listed}." if ids else "The catalog is empty: add a model first."),
        param="model",
        advice="GET /v1/models lists what can be asked for.",
    )


def _loading(wanted: Model, swap: SwapRecord) -> ModelLoading:
    eta = swap.eta_seconds
    done = f", {swap.percent:.0f} % done" if swap.percent else ""
    return ModelLoading(
        f"{wanted.id} is being loaded (swap {swap.id}: {swap.state.value}{done}).",
        param="model",
        retry_after=_LOADING_AFTER if eta is None else min(max(eta, 1.0), _LONGEST_WAIT),
    )


def _not_loaded(wanted: Model, serving: Serving | None, swaps: Sequence[SwapRecord]) -> Unavailable:
    if serving is not None:
        now = f"{serving.model} is being served"
    elif swaps and swaps[0].model and not swaps[0].state.final:
        now = f"{swaps[0].model} is being loaded"
    else:
        now = "nothing is being served"
    return Unavailable(
        f"{wanted.id} is not loaded: {now}. Load it with `spark-control swap {wanted.id}` "
        f'or POST /api/v1/swaps {{"model": "{wanted.id}"}}.',
        param="model",
        retry_after=_UNLOADED_AFTER,
    )
