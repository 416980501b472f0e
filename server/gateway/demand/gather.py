"""From what the driver sees to the facts of the policy. Pure.

Owns which models count as wanted (somebody waits and nothing of that name is served) and how a
served model is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from server.base.errors import SparkError
from server.catalog.model import Catalog
from server.config.model import Settings
from server.gateway.demand.model import Evicted, Facts, Loaded, Rules
from server.gateway.demand.usage import Usage
from server.gateway.demand.wants import Wants
from server.swap.model import Serving


@dataclass(frozen=True, slots=True)
class Seen:
    """One look. `now` is monotonic, `wall` the same moment for times that are dates."""

    catalog: Catalog
    settings: Settings
    layout: tuple[Serving, ...]
    swaps: tuple[str | None, ...]
    in_flight: Mapping[str, int]
    blocked: Mapping[str, SparkError]
    held: frozenset[str]
    asked: frozenset[str]
    now: float
    wall: datetime
    evicts: Mapping[str, Evicted] = field(default_factory=dict)

    def with_evicts(self, evicts: Mapping[str, Evicted]) -> "Seen":
        return replace(self, evicts=evicts)


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
    """`usage` takes note of what is in use on the way."""
    served = frozenset(one.model for one in seen.layout)
    usage.look(served, seen.in_flight, seen.now)
    return Facts(
        wanted=tuple(
            wants.wanted(model, seen.now) for model in wants.models(seen.now) if model not in served
        ),
        layout=tuple(_loaded(one, seen, wants, usage) for one in seen.layout),
        swaps=seen.swaps,
        evicts=seen.evicts,
        blocked=seen.blocked,
        held=seen.held,
        asked=seen.asked,
        parted=usage.parted(seen.now),
    )


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
