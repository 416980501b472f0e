"""What follows when a serving engine dies, and which engines on a host are strays. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from server.launch.model import Engine

WINDOW = timedelta(minutes=10)


class Reaction(StrEnum):
    RESTART = "restart"
    ROLL_BACK = "rollback"
    REST = "rest"


def after_death(
    policy: Literal["restart", "rollback", "none"],
    *,
    restarts: Sequence[datetime],
    limit: int,
    earlier: bool,
    now: datetime,
) -> tuple[Reaction, str]:
    """The reaction and a sentence for people. `earlier`: another good model is known."""
    recent = [at for at in restarts if now - at < WINDOW]
    if policy == "none":
        return Reaction.REST, "It is left stopped, as engine.on_death says."
    if policy == "rollback":
        if earlier:
            return Reaction.ROLL_BACK, "The model that served before it is loaded again."
        return Reaction.REST, "No other model has served before it, so nothing is loaded."
    if len(recent) < limit:
        return Reaction.RESTART, f"It is restarted ({len(recent) + 1} of {limit} in ten minutes)."
    if earlier:
        return (
            Reaction.ROLL_BACK,
            f"It died {len(recent)} times in ten minutes; the model before it is loaded instead.",
        )
    return Reaction.REST, f"It died {len(recent)} times in ten minutes and is left stopped."


def strays(
    seen: Sequence[Engine], served: frozenset[str], known_tags: frozenset[str]
) -> tuple[Engine, ...]:
    """Running engines that this control plane started and that are none of what is `served` (tags).

    An engine whose tag we never wrote belongs to another control plane: it is not ours to stop
    unasked (a swap onto its host still names it in the preflight).
    """
    return tuple(
        engine
        for engine in seen
        if engine.running and engine.tag not in served and engine.tag in known_tags
    )
