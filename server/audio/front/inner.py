"""Requests of a composed recording to the services, each within the gateway on the caller's behalf.

Owns how such a request is admitted and counted. The recording as a whole is what the caller sent:
it is one request, in its limits and in the usage. Its parts stand in line, hold places, are shown
and take GPU time, each for itself, and are in no sum. Refuses to ask a model that the caller's key
may not use.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from server.base.errors import SparkError
from server.gateway.keys.gate import unknown
from server.gateway.model import (
    Caller,
    Gatekeeper,
    Observer,
    Operation,
    Passage,
    Route,
)
from server.gateway.relay import no_tap
from server.gateway.way import Crew
from server.gateway.wire import Header


@dataclass(frozen=True, slots=True)
class Seen:
    """Who is told of the parts: of their beginning, and of their end."""

    began: Sequence[Observer] = ()
    ended: Sequence[Observer] = ()


def inside(crew: Crew, seen: Seen) -> Crew:
    """The crew for the parts of a request that was let in already."""
    return replace(
        crew,
        gatekeeper=Within(crew.gatekeeper),
        began=seen.began,
        ended=seen.ended,
        tap=no_tap,
        cache=None,
    )


class Within:
    """A `Gatekeeper` that charges nothing: the whole was let in and is charged."""

    def __init__(self, gate: Gatekeeper) -> None:
        self._gate = gate

    def identify(self, headers: list[Header], address: str) -> Caller:
        return self._gate.identify(headers, address)

    def recognised(self, key: str | None, address: str) -> Caller | None:
        return self._gate.recognised(key, address)

    def edition(self, caller: Caller) -> int:
        return 0

    def enter(self, caller: Caller) -> None:
        self._gate.enter(caller)

    def allow(self, caller: Caller, operation: Operation, route: Route) -> None:
        asked = () if route.asked is None else (route.asked,)
        names = (route.model, route.pool.partition(":")[2], *asked)
        if caller.models and not self._gate.sees(caller, names):
            raise unknown(route.asked or route.model)

    def look(self, caller: Caller, operation: Operation) -> None:
        self._gate.enter(caller)

    def sees(self, caller: Caller, names: Iterable[str]) -> bool:
        return self._gate.sees(caller, names)

    def headers_for(self, caller: Caller) -> list[Header]:
        return []

    def spend(self, passage: Passage, operation: Operation) -> SparkError | None:
        return None
