"""Which services a stream's windows may go to, and how many at once. Pure.

Owns what a pool of the gateway means here: its services, whether they hear streams of their own,
how many requests they take. Refuses to know which of them is free: the admission does.
"""

from collections.abc import Sequence

from server.config.model import Service
from server.gateway.route import claimants, general

_UNBOUND = 8
"""Windows at once for a service that has no bound of its own."""


def members(pool: str, services: Sequence[Service]) -> list[Service]:
    """The services of a pool; none of an engine's."""
    kind, _, name = pool.partition(":")
    if kind == "service":
        return [one for one in services if one.name == name]
    if kind == "kind":
        return general(name, services)
    if kind == "group":
        of_kind, _, claimed = name.partition(":")
        return claimants(of_kind, claimed, services)
    return []


def places(pool: str, services: Sequence[Service]) -> int:
    """How many windows are heard at once."""
    return max(1, sum(one.cap or _UNBOUND for one in members(pool, services)))


def ours(pool: str, services: Sequence[Service]) -> bool:
    """Whether Spark Control answers a stream itself: of recognisers that only hear recordings."""
    found = members(pool, services)
    return bool(found) and all(one.kind == "asr" and not one.native_stream for one in found)
