"""The lane: takes a plain request, or leaves it as it was.

Owns the order in which the decisions of the ordinary way are asked, all of them at once and from
memory. Up to `allow` nothing has happened when one of them does not agree, and the request goes the
ordinary way from its start. From there on it is handed over as it stands.
"""

from dataclasses import replace

from server.base.errors import SparkError
from server.gateway.client.connection import Connection
from server.gateway.client.pool import PooledUpstream
from server.gateway.handover import Handover
from server.gateway.intake.request import JSON_LIMIT, Taken, taken
from server.gateway.keys.gate import resolved
from server.gateway.lane.flight import Flight
from server.gateway.lane.heads import Heads
from server.gateway.lane.model import Client, Foreign, Watch
from server.gateway.lane.plain import Plain, read
from server.gateway.model import (
    Ask,
    Caller,
    Grant,
    Operation,
    Passage,
    Route,
    UpstreamClient,
)
from server.gateway.patience import patience
from server.gateway.way import Crew, let_in
from server.gateway.wire import Header


class Lane:
    """One per app. `crew` works with a `PooledUpstream`, which is `pool`; `foreign` says whether a
    request could be a web page's."""

    def __init__(self, crew: Crew, pool: PooledUpstream, watch: Watch, foreign: Foreign) -> None:
        self._crew = crew
        self._pool = pool
        self._watch = watch
        self._heads = Heads(watch)
        self._foreign = foreign

    def plain(self, url: bytes, headers: list[Header], before: Plain | None) -> Plain | None:
        """The head of a POST, when it is plain. `before` is the plain head
        that came last on the same connection."""
        if before is not None and before.is_again(url, headers):
            return before
        found = read(url, headers)
        return None if found is None or self._foreign(headers) else found

    def take(self, plain: Plain, body: bytes, client: Client) -> bool:
        """Whether the request is on its way. If not, nothing has happened."""
        crew, operation = self._crew, plain.operation
        settings = crew.settings()
        if not settings.fast_lane or (crew.cache is not None and crew.cache.on):
            return False
        caller = self._caller(plain, client.address)
        if caller is None or len(body) > min(JSON_LIMIT, settings.max_upload_mb << 20):
            return False
        allowed = self._allowed(operation, caller, body)
        if allowed is None:
            return False
        came, route = allowed
        passage = self._begun(plain, caller, came, route)
        passage.bytes_in = size = len(body)
        begun = Handover(operation, passage, came, route, size)
        grant = self._granted(begun, settings.queue_seconds)
        if grant is None:
            self._hand_over(client, begun)
            return True
        try:
            let_in(passage, grant, passage.arrived)
            flight = Flight(crew, self._heads, client, begun, grant)
            wait = patience(operation, settings, stream=came.stream)
            connection = self._sent(flight, plain, begun, body, wait)
        except BaseException:
            grant.report("left")
            grant.lease.release()
            raise
        if connection is None:
            self._hand_over(client, replace(begun, grant=grant))
        else:
            flight.departed(connection)
            client.flies(flight)
        return True

    def _allowed(
        self, operation: Operation, caller: Caller, body: bytes
    ) -> tuple[Taken, Route] | None:
        """What is asked, and what it means. From here on the body is held and the key charged."""
        crew, reserved = self._crew, 0
        try:
            came = taken(body)
            route = resolved(crew.router, operation, came.name, caller)
            reserved = crew.held.reserve(len(body))
            crew.gatekeeper.allow(caller, operation, route)
        except SparkError:
            crew.held.give_back(reserved)
            return None
        return came, route

    def _caller(self, plain: Plain, address: str) -> Caller | None:
        gate, caller = self._crew.gatekeeper, plain.caller
        if caller is None or not plain.edition or gate.edition(caller) != plain.edition:
            caller = plain.caller = gate.recognised(plain.key, address)
            plain.edition = 0 if caller is None else gate.edition(caller)
        return caller

    def _begun(self, plain: Plain, caller: Caller, came: Taken, route: Route) -> Passage:
        crew, watch = self._crew, self._watch
        passage = Passage(
            watch.request_id(plain.given),
            crew.now(),
            crew.monotonic(),
            plain.operation.path,
            caller,
            asked=came.name or "",
            model=route.model,
            stream=came.stream,
        )
        watch.entered()
        for observer in crew.began:
            observer(passage)
        return passage

    def _granted(self, begun: Handover, patience: float) -> Grant | None:
        """None: there is no free place, or the app ends."""
        passage = begun.passage
        ask = Ask(
            begun.route,
            begun.operation,
            passage.caller,
            passage.request_id,
            passage.arrived,
            patience,
        )
        try:
            return self._crew.router.admit_now(ask)
        except SparkError:
            return None

    def _sent(
        self, flight: Flight, plain: Plain, begun: Handover, body: bytes, wait: float
    ) -> Connection | None:
        """The connection that carries it. None: none idles, or it cannot be sent like this."""
        operation, grant = begun.operation, flight.grant
        url = grant.upstream.base_url, operation.upstream_path or operation.path
        lines = b"%b\r\nx-request-id: %b" % (plain.lines, begun.passage.request_id.encode("ascii"))
        try:
            whole = begun.taken.document(body, grant.route.params, grant.rewrite)
        except SparkError:
            return None
        return self._pool.post_now(flight, url, lines, whole, wait)

    def _hand_over(self, client: Client, begun: Handover) -> None:
        self._watch.left()
        client.hand_over(begun)


def make_lane(crew: Crew, client: UpstreamClient, watch: Watch, foreign: Foreign) -> Lane | None:
    """None where the lane cannot be: only our own client tells what comes as it comes."""
    return Lane(crew, client, watch, foreign) if isinstance(client, PooledUpstream) else None
