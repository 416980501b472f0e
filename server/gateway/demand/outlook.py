"""How long a request for a model that is not loaded will still wait. Pure.

Owns the sum: what is before it in the swap queue, the time until its own swap may begin, and its
load. One unknown part makes the whole unknown: no figure is better than a wrong one.
"""

from collections.abc import Callable, Sequence

from server.gateway.demand.model import Facts, Rules, Wanted
from server.gateway.demand.policy import victims, wait_for
from server.swap.model import SwapRecord

Learned = Callable[[str], float | None]
"""Seconds until a model could serve if it were asked for now, behind the swap that runs."""


def eta(
    wanted: Wanted, swaps: Sequence[SwapRecord], facts: Facts, rules: Rules, learned: Learned
) -> float | None:
    """`swaps`: the running one, then the queued ones."""
    if swaps and swaps[0].model == wanted.model:
        return swaps[0].eta_seconds
    running = swaps[0].eta_seconds if swaps else 0.0
    queued = [swap.model for swap in swaps[1:]]
    if wanted.model in queued:
        loads = queued[: queued.index(wanted.model) + 1]
        turn: float | None = 0.0
    else:
        loads = [*queued, wanted.model]
        turn = _turn(wanted, facts, rules)
    parts = [running, turn, *(_load(model, learned, running) for model in loads)]
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _turn(wanted: Wanted, facts: Facts, rules: Rules) -> float | None:
    """Until its swap may begin; unknown when that is for a person to decide."""
    if wanted.policy != "auto":
        return None
    turns = [wait_for(each, wanted, rules) for each in victims(wanted.model, facts)]
    return max(turns, default=0.0)


def _load(model: str | None, learned: Learned, running: float | None) -> float | None:
    """The load alone. An unload takes no time worth telling."""
    if model is None:
        return 0.0
    behind = learned(model)
    return None if behind is None else max(0.0, behind - (running or 0.0))
