"""What a caller reads when its model is not loaded and asking for it changes nothing. Pure.

Owns the sentence and the seconds after which asking again makes sense.
"""

from collections.abc import Sequence

from server.base.errors import ModelLoading, SparkError, Unavailable
from server.swap.model import Serving, SwapRecord

_LOADING_AFTER = 10.0
_UNLOADED_AFTER = 30.0
_LONGEST_WAIT = 120.0


def refusal(model: str, layout: Sequence[Serving], swaps: Sequence[SwapRecord]) -> SparkError:
    """Why `model` cannot answer now. `swaps`: the running one, then the queued ones."""
    for serving in layout:
        if serving.model == model:
            return Unavailable(
                f"{model} is being drained before a change of model.",
                advice="Ask again when the change is over; GET /api/v1/swaps/current shows it.",
                retry_after=_LOADING_AFTER,
            )
    for swap in swaps:
        if swap.model == model and not swap.state.final:
            return _loading(model, swap)
    return _not_loaded(model, layout, swaps)


def _loading(model: str, swap: SwapRecord) -> ModelLoading:
    eta = swap.eta_seconds
    done = f", {swap.percent:.0f} % done" if swap.percent else ""
    return ModelLoading(
        f"{model} is being loaded (swap {swap.id}: {swap.state.value}{done}).",
        param="model",
        retry_after=_LOADING_AFTER if eta is None else min(max(eta, 1.0), _LONGEST_WAIT),
    )


def _not_loaded(model: str, layout: Sequence[Serving], swaps: Sequence[SwapRecord]) -> Unavailable:
    if layout:
        served = ", ".join(serving.model for serving in layout)
        now = f"{served} {'is' if len(layout) == 1 else 'are'} being served"
    elif swaps and swaps[0].model and not swaps[0].state.final:
        now = f"{swaps[0].model} is being loaded"
    else:
        now = "nothing is being served"
    return Unavailable(
        f"{model} is not loaded: {now}. Load it with `spark-control swap {model}` "
        f'or POST /api/v1/swaps {{"model": "{model}"}}.',
        param="model",
        retry_after=_UNLOADED_AFTER,
    )
