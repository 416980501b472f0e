"""Which services may answer a route, and what all of them can do. Pure.

Which one it will be is known when it is let in; what it is asked must fit all of them.
"""

from collections.abc import Sequence
from typing import NamedTuple

from server.audio.front.dialect.learned import Learned
from server.audio.front.dialect.traits import Traits, shared, traits_of
from server.config.model import Service
from server.gateway.model import Route
from server.gateway.route import claimants, general

MOST_AT_ONCE = 9
FREE_AT_ONCE = 4
"""Parts that a service without a bound of its own gets at once."""


class Answering(NamedTuple):
    """`model` is the name to send where the caller gave none, None: none is needed. `at_once` is
    how many parts are asked at the same time: as many as they take, and one that stands in line."""

    traits: Traits
    model: str | None
    at_once: int


def services_of(route: Route, services: Sequence[Service]) -> list[Service]:
    """None of them for an engine."""
    sort, _, rest = route.pool.partition(":")
    if sort == "service":
        return [one for one in services if one.name == rest]
    if sort == "group":
        kind, _, name = rest.partition(":")
        return claimants(kind, name, services)
    return general(rest, services) if sort == "kind" else []


def answering(route: Route, services: Sequence[Service], learned: Learned, now: float) -> Answering:
    found = services_of(route, services)
    traits = shared(traits_of(one.dialect) for one in found)
    return Answering(
        learned.applied(traits, (one.name for one in found), now),
        _model(route, found),
        _at_once(found),
    )


def _at_once(found: Sequence[Service]) -> int:
    places = sum(one.cap or FREE_AT_ONCE for one in found) if found else FREE_AT_ONCE
    return min(MOST_AT_ONCE, places + 1)


def _model(route: Route, found: Sequence[Service]) -> str | None:
    """One that knows models by name is told one, also by a caller who did not care."""
    if route.asked is not None or len(found) != 1:
        return route.asked
    one = found[0]
    if one.models:
        return one.models[0]
    return None if one.model_sent is None else one.name
