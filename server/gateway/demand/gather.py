"""From what the driver sees to the facts of the policy. Pure.

Owns which models count as wanted (somebody waits and nothing of that name is served) and how a
served model is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from server.base.errors import SparkError
from server.catalog.model import Catalog
from server.config.model import Settings
from server.gateway.demand.model import Facts, Loaded, Rules
from server.gateway.demand.usage import Usage
from server.gateway.demand.wants import Wants
from server.gateway.model import SwapPolicy
from server.swap.model import Serving


@dataclass(frozen=True, slots=True)
class Seen:
    """One look. `lost`: died a moment ago, and what follows is being decided. `now` is monotonic,
    `wall` the same moment for times that are dates."""

    catalog: Catalog
    settings: Settings
    layout: tuple[Serving, ...]
    swaps: tuple[str | None, ...]
    in_flight: Mapping[str, int]
    blocked: Mapping[str, SparkError]
    lost: frozenset[str]
    held: frozenset[str]
    asked: frozenset[str]
    now: float
    wall: datetime


def policy_of(model: str, catalog: Catalog, settings: Settings) -> SwapPolicy:
    """What a request for it may do when its caller has no policy of its own."""
    entry = catalog.models.get(model)
    own = entry.swap if entry is not None else None
    return own or ("auto" if settings.gateway.auto_swap else "never")


def rules_of(seen: Seen) -> Rules:
    gateway = seen.settings.gateway
    default = seen.catalog.find(gateway.default_model) if gateway.default_model else None
    return Rules(
        batch_seconds=gateway.batch_seconds,
        residency_seconds=gateway.residency_seconds,
        default_model=default.id if default is not None and default.enabled else None,
        default_after_seconds=gateway.default_after_seconds,
    )


def gather(seen: Seen, wants: Wants, usage: Usage) -> Facts:
    served = frozenset(one.model for one in seen.layout)
    return Facts(
        wanted=tuple(
            wants.wanted(model, seen.now, policy_of(model, seen.catalog, seen.settings))
            for model in wants.models(seen.now)
            if model not in served and model not in seen.lost
        ),
        layout=tuple(_loaded(one, seen, wants, usage) for one in seen.layout),
        swaps=seen.swaps,
        blocked=seen.blocked,
        held=seen.held,
        asked=seen.asked,
        parted=usage.parted(seen.now),
    )


def to_place(facts: Facts, rules: Rules) -> tuple[str, ...]:
    """The models whose place matters now: asking for one may cost a look at the hosts."""
    if facts.swaps:
        return ()
    wanted = [one.model for one in facts.wanted if one.policy == "auto"]
    default = rules.default_model
    free = facts.parted is not None or any(
        one.unused_seconds >= rules.default_after_seconds for one in facts.layout
    )
    if not wanted and free and default and all(one.model != default for one in facts.layout):
        wanted = [default]
    return tuple(model for model in wanted if model not in facts.blocked)


def _loaded(one: Serving, seen: Seen, wants: Wants, usage: Usage) -> Loaded:
    model = seen.catalog.models.get(one.model)
    return Loaded(
        one.model,
        max(0.0, (seen.wall - one.since).total_seconds()),
        seen.in_flight.get(one.model, 0),
        wants.count(one.model),
        usage.idle(one.model, seen.now),
        float(model.ttl) if model else 0.0,
        model is not None and model.pinned,
    )
