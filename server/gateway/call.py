"""One request's way: read, route, let in, relay, count.

body ─ name ─ resolve ─ allow ─ [cache] ─┬─ admit (may wait) ─ open ─┬─ head ── relay ── end
                                         │                           └─ failed, nothing relayed
                                         └──── another upstream ────────┘  (replayable, < 3)
What the fast lane has begun goes on from `admit`, or from what came of `open`.
Owns the order, and that every way out releases the lease and closes the upstream at once, so that
the GPU stops. What is common to all requests is `way`'s.
"""

from collections.abc import AsyncIterator

from starlette.types import Receive, Scope, Send

from server.base.errors import SparkError
from server.gateway.blame import broken_off, so_far
from server.gateway.cache.model import Recording
from server.gateway.handover import Handover
from server.gateway.intake.body import Upload
from server.gateway.intake.head import declared_length
from server.gateway.intake.request import JSON_LIMIT, Replaced, Taken, take, target
from server.gateway.kept import Keeping
from server.gateway.keys.gate import resolved
from server.gateway.keys.token import PREFIX
from server.gateway.model import (
    Ask,
    Grant,
    Operation,
    Outcome,
    Passage,
    Route,
    UpstreamRequest,
    UpstreamResponse,
)
from server.gateway.patience import patience
from server.gateway.relay import Answer, Witnesses, refused
from server.gateway.usage.tap import Tap
from server.gateway.usage.upload import Listener, listened, listener, with_sound
from server.gateway.waiting import Told
from server.gateway.way import Crew, Way, name_of
from server.gateway.wire import (
    Header,
    foreign_credentials,
    header,
    queue_seconds,
    request_headers,
)

ATTEMPTS = 3
# A page of an upstream is shown under our address: it must not act as one of ours.
_SANDBOX = (b"content-security-policy", b"sandbox allow-scripts allow-forms allow-popups")
_ELSEWHERE = frozenset({429, 502, 503, 504})


class Failed(Exception):
    """Nothing was relayed of this attempt, so that another upstream may be asked."""

    def __init__(self, error: SparkError) -> None:
        super().__init__(error.message)
        self.error = error


class Call(Way):
    """One request and its answer."""

    __slots__ = (
        "_answer",
        "_begun",
        "_keeping",
        "_recording",
        "_reserved",
        "_settings",
        "_sound",
        "_taken",
        "_tap",
    )
    _taken: Taken

    def __init__(
        self,
        crew: Crew,
        operation: Operation,
        passage: Passage,
        asgi: tuple[Scope, Receive, Send],
        begun: Handover | None = None,
    ) -> None:
        scope, receive, send = asgi
        super().__init__(crew, operation, passage, scope, receive)
        self._settings = crew.settings()
        self._answer = Answer(send, passage, named=operation.named_events)
        self._tap: Tap | None = None
        self._sound: Listener | None = None
        self._keeping: Keeping | None = None
        self._recording: Recording | None = None
        self._reserved = 0
        self._begun = begun
        if begun is not None:
            self._taken, self._reserved = begun.taken, begun.reserved

    def _begin(self) -> None:
        if self._begun is None:
            super()._begin()

    async def _fail(self, error: SparkError) -> None:
        passage = self._passage
        self._answer.extra += self._crew.gatekeeper.headers_for(passage.caller)
        await self._answer.fail(error, passage.request_id)

    def _account(self) -> None:
        self._crew.held.give_back(self._reserved)
        body = self._presence.upload
        if body is not None:
            self._passage.bytes_in = body.size
        super()._account()

    async def _go(self) -> None:
        begun = self._begun
        if begun is not None:
            if begun.ended:
                self._ended = begun.error
            self._presence.listen()
            await self._attempts(begun.route)
            return
        passage, operation, crew = self._passage, self._operation, self._crew
        limit = self._settings.max_upload_mb << 20
        if operation.body == "json":
            limit = min(JSON_LIMIT, limit)
            length = declared_length(self._scope["headers"], limit)
            self._reserved = crew.held.reserve(limit if length is None else length)
        taken = await take(operation, self._scope, self._receive, limit, self._arriving)
        self._taken = taken
        if isinstance(taken.body, bytes):
            passage.bytes_in = size = len(taken.body)
            self._reserved = crew.held.settle(self._reserved, size)
        passage.asked = taken.name or ""
        passage.stream = taken.stream
        route = resolved(crew.router, operation, taken.name, passage.caller)
        passage.model = route.model
        crew.gatekeeper.allow(passage.caller, operation, route)
        self._presence.listen()
        cache = crew.cache
        if cache is None or not cache.on:
            await self._attempts(route)
            return
        scope = self._scope
        query = scope["query_string"]
        self._keeping = Keeping(
            cache, operation, passage, self._answer, scope["headers"], query=query
        )
        await self._keeping.go(route, taken, self._source, lambda: self._attempts(route))
        if self._recording is not None:
            # The caller has its answer and may leave; that must not end the keeping of it.
            await self._presence.pause()
            self._task = None
            await self._recording.keep()

    def _arriving(self, upload: Upload) -> None:
        self._presence.upload = upload

    async def _source(self, upload: Replaced) -> AsyncIterator[bytes]:
        """What is still to come, read by one alone."""
        if not upload.complete:
            await self._presence.pause()
        return upload.chunks(self.end, self._presence.listen)

    async def _attempts(self, route: Route) -> None:
        excluded: frozenset[str] = frozenset()
        last: SparkError | None = None
        for attempt in range(1, ATTEMPTS + 1):
            begun, self._begun = self._begun, None
            try:
                grant = (begun and begun.grant) or await self._admitted(route, excluded)
            except SparkError as error:
                # Nobody else can answer: what went wrong first is what helps.
                raise last or error from None
            if last is not None and grant.upstream.name in excluded:
                grant.report("left")
                grant.lease.release()
                raise last
            excluded |= {grant.upstream.name}
            try:
                return await self._granted(grant, begun, last_try=attempt == ATTEMPTS)
            except Failed as failed:
                last = failed.error
                self._presence.listen()
        return None

    # -- waiting ----------------------------------------------------------------------------------

    async def _admitted(self, route: Route, excluded: frozenset[str]) -> Grant:
        passage, settings = self._passage, self._settings
        ask = Ask(
            route,
            self._operation,
            passage.caller,
            passage.request_id,
            passage.arrived,
            settings.queue_seconds,
            excluded,
            header(self._scope["headers"], b"x-spark-no-bridge") is None,
        )
        comments = self._operation.events and passage.stream
        told = Told(self._answer, settings.keepalive_seconds if comments else None)
        began = self._crew.monotonic()
        grant: Grant | None = None
        try:
            grant = await self._crew.router.admit(ask, told.heard)
        finally:
            if told.last is not None:
                waited = self._crew.monotonic() - began
                self._answer.extra.append(queue_seconds(waited))
                self._notes["waited"] = round(waited, 3)
                await self._silent(told, grant, waited)
        return grant

    async def _silent(self, told: Told, grant: Grant | None, waited: float) -> None:
        """The caller may leave just as its turn has come: what was granted goes back then."""
        try:
            await (told.stop() if grant is None else told.over(waited))
        except BaseException:
            if grant is not None:
                grant.report("left")
                grant.lease.release()
            raise

    # -- one upstream -----------------------------------------------------------------------------

    async def _granted(self, grant: Grant, begun: Handover | None, *, last_try: bool) -> None:
        if begun is None or begun.grant is None:
            begun, name = None, self._let_in(grant)
        else:
            name = name_of(grant)
        outcome: Outcome = "left"
        response = None if begun is None else begun.response
        try:
            with grant.lease.endable():
                if response is None:
                    response = await self._opened(grant, begun, name)
                self._passage.opened = self._crew.monotonic()
                outcome = so_far(response.status)
                if response.status >= 400 and not self._passes(response.status):
                    raise await self._refusal(response, name)
                await self._relay(response, grant)
                if outcome != "failed":
                    outcome = "answered"
        except SparkError as error:
            if self._ended is None and grant.lease.ended is None:
                status = error.status if response is None else response.status
                outcome = broken_off(status, answered=response is not None)
                if not last_try and self._may_go_elsewhere(status):
                    raise Failed(error) from None
            raise
        finally:
            if response is not None:
                response.close()
            grant.report(outcome)
            grant.lease.release()

    async def _opened(self, grant: Grant, begun: Handover | None, name: str) -> UpstreamResponse:
        if begun is not None and begun.error is not None:
            raise begun.error
        request = await self._request(grant, name)
        response = await self._crew.upstream.open(request)
        if response.retried or (begun is not None and begun.again):
            self._passage.attempts += 1
            self._notes["retried"] = True
        return response

    def _passes(self, status: int) -> bool:
        """Whether an error of the upstream is passed on as it is: where the API is not ours."""
        return self._operation.prefix and not self._answer.started and status != 503

    def _may_go_elsewhere(self, status: int) -> bool:
        """A 500 is not tried again: the same input would break the next one as well."""
        body = self._taken.body
        replayable = isinstance(body, bytes) or not body.begun
        return (
            replayable
            and self._operation.repeatable
            and status in _ELSEWHERE
            and not self._answer.relayed
        )

    async def _request(self, grant: Grant, name: str) -> UpstreamRequest:
        scope, taken, upstream = self._scope, self._taken, grant.upstream
        body = taken.body
        url = upstream.base_url + target(self._operation, scope)
        headers = request_headers(scope["headers"], self._passage.request_id)
        if self._operation.prefix:
            headers += foreign_credentials(scope["headers"], PREFIX.encode())
        wait = patience(self._operation, self._settings, stream=taken.stream)
        if isinstance(body, bytes):
            whole = taken.document(body, grant.route.params, grant.rewrite)
            return UpstreamRequest(scope["method"], url, headers, whole, name, patience=wait)
        chunks = await self._source(body)
        self._sound = listener(self._operation, upstream.kind, scope["headers"])
        if self._sound is not None:
            chunks = listened(chunks, self._sound)
        chunks, length = taken.form(chunks, taken.length, grant.rewrite)
        return UpstreamRequest(scope["method"], url, headers, chunks, name, length, wait)

    async def _refusal(self, response: UpstreamResponse, name: str) -> SparkError:
        error, body = await refused(response, name, self._operation.path)
        self._notes["upstream_status"] = response.status
        if response.status >= 500 and not _repeats_people(self._operation):
            # For whoever runs the engine. Never for 4xx: those may repeat what a person wrote.
            self._notes["upstream_body"] = body[:2000].decode("utf-8", "replace")
        return error

    async def _relay(self, response: UpstreamResponse, grant: Grant) -> None:
        answer, passage = self._answer, self._passage
        answer.extra += grant.notes
        if self._operation.prefix:
            answer.extra.append(_SANDBOX)
        answer.extra += self._crew.gatekeeper.headers_for(passage.caller)
        try:
            await answer.carry(response, self._witnesses, self._crew.monotonic)
        finally:
            if self._tap is not None:
                passage.used = self._tap.used()
            if self._sound is not None and response.status < 400:
                passage.used = with_sound(passage.used, self._sound.heard())

    def _witnesses(
        self, status: int, headers: list[Header], kind: bytes, events: bool
    ) -> Witnesses:
        self._tap = self._crew.tap(self._operation, kind, events)
        if self._keeping is not None:
            self._recording = self._keeping.record(status, headers)
        return Witnesses(self._tap, self._recording)


def _repeats_people(operation: Operation) -> bool:
    """Whether an upstream that fails here could quote what somebody said, or what is to be taken
    out of a text. `/upstream/…` leads to the same services."""
    return operation.named or operation.path.startswith(("/v1/audio/", "/scrub"))
