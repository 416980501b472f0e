"""The requests of the last minutes, and those under way: what `/activity` shows.

Owns a bounded ring of ended passages and the set of those that have not ended. Keeps no body, no
prompt and no key: who, what, where, how long. Refuses to outlive the process; what must last is
counted elsewhere (metrics, usage).
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from server.base.clock import iso
from server.base.errors import Conflict, Forbidden, NotFound
from server.gateway.metrics import tokens_per_second
from server.gateway.model import Passage

KEPT = 1000

Phase = Literal["waiting", "running", "ended"]


@dataclass(frozen=True, slots=True)
class Filter:
    """What of the activity is wanted. Empty: everything. `status` is `200`, `4xx` or a code."""

    model: str = ""
    client: str = ""
    status: str = ""

    def takes(self, row: "Row") -> bool:
        return (
            (not self.model or self.model in {row.model, row.asked, row.upstream})
            and (not self.client or self.client in {row.client, row.address})
            and (not self.status or self._status(row))
        )

    def may_take(self, passage: Passage) -> bool:
        """A quick look before its row is made: most of a thousand are not of the model wanted."""
        return not self.model or self.model in {passage.model, passage.asked, passage.upstream}

    def _status(self, row: "Row") -> bool:
        wanted = self.status.lower()
        if wanted in {row.phase, row.error}:
            return True
        return row.phase == "ended" and wanted in {str(row.status), f"{row.status // 100}xx"}


@dataclass(frozen=True, slots=True)
class Row:
    """One request as it is shown. Durations are seconds, None when that was not reached."""

    id: str
    at: datetime
    phase: Phase
    client: str
    address: str
    model: str
    asked: str
    route: str
    upstream: str
    host: str
    status: int
    error: str
    stream: bool
    cached: bool
    waited: float | None
    first_byte: float | None
    first_token: float | None
    total: float
    prompt_tokens: int | None
    tokens: int | None
    tokens_per_second: float | None
    audio_seconds: float | None
    audio_source: str | None
    bytes_in: int
    bytes_out: int
    attempts: int

    def to_dict(self) -> dict[str, Any]:
        body = {name: getattr(self, name) for name in self.__slots__}
        return body | {"at": iso(self.at), "status": self.status or None}


@dataclass(frozen=True, slots=True)
class Recent:
    """What went on from `since` to `now` (monotonic)."""

    passages: tuple[Passage, ...]
    since: float
    now: float


def row(passage: Passage, now: float) -> Row:
    """A passage as it stands at `now` (monotonic). First byte and token count from admission."""
    admitted, ended = passage.admitted, passage.ended
    phase: Phase = "ended" if ended is not None else "waiting" if admitted is None else "running"
    until = now if ended is None else ended
    caller, used = passage.caller, passage.used
    return Row(
        id=passage.request_id,
        at=passage.at,
        phase=phase,
        client=caller.name,
        address=caller.address,
        model=passage.model,
        asked=passage.asked,
        route=passage.route,
        upstream=passage.upstream,
        host=passage.host,
        status=passage.status,
        error=passage.error,
        stream=passage.stream,
        cached=passage.cached,
        waited=(until if admitted is None else admitted) - passage.arrived,
        first_byte=_since(passage.first_byte, admitted),
        first_token=_since(passage.first_token, admitted),
        total=until - passage.arrived,
        prompt_tokens=used.prompt_tokens,
        tokens=used.completion_tokens,
        tokens_per_second=tokens_per_second(passage),
        audio_seconds=used.audio_seconds,
        audio_source=None if used.audio_seconds is None else used.audio_source,
        bytes_in=passage.bytes_in,
        bytes_out=passage.bytes_out,
        attempts=passage.attempts,
    )


def _since(moment: float | None, admitted: float | None) -> float | None:
    return None if moment is None or admitted is None else max(0.0, moment - admitted)


class Activity:
    """`began` is called with a passage at its beginning, `ended` (an `Observer`) at its end.

    `monotonic` is the clock that passages carry. `changed` is called after either, so that a page
    can be told; it must be quick.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        kept: int = KEPT,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._monotonic = monotonic
        self._ring: deque[Passage] = deque(maxlen=kept)
        # By identity: a caller may send the id of another request of its own.
        self._under_way: dict[int, Passage] = {}
        self._changed = changed

    def began(self, passage: Passage) -> None:
        self._under_way[id(passage)] = passage
        self._changed()

    def ended(self, passage: Passage) -> None:
        self._under_way.pop(id(passage), None)
        passage.stop = None  # what it holds on to must not outlive the request
        self._ring.append(passage)
        self._changed()

    def passed(self, passage: Passage) -> None:
        """As `ended`, for one of many pieces of what is shown itself: it is not kept."""
        self._under_way.pop(id(passage), None)
        passage.stop = None

    def under_way(self) -> tuple[Passage, ...]:
        """Oldest first."""
        return tuple(self._under_way.values())

    def rows(self, limit: int = KEPT, wanted: Filter | None = None) -> list[Row]:
        """Ended ones, newest first."""
        return self._chosen(reversed(self._ring), limit, wanted)

    def in_flight(self, wanted: Filter | None = None, limit: int = KEPT) -> list[Row]:
        """Those under way, oldest first."""
        return self._chosen(iter(self.under_way()), limit, wanted)

    def _chosen(self, passages: Iterator[Passage], limit: int, wanted: Filter | None) -> list[Row]:
        now = self._monotonic()
        chosen: list[Row] = []
        for passage in passages:
            if len(chosen) >= limit:
                break
            if wanted is not None and not wanted.may_take(passage):
                continue
            one = row(passage, now)
            if wanted is None or wanted.takes(one):
                chosen.append(one)
        return chosen

    def recent(self, seconds: float) -> "Recent":
        """Those under way, and those that ended within `seconds` as far as they are kept."""
        now = self._monotonic()
        since = now - seconds
        if self._ring and len(self._ring) == self._ring.maxlen:
            since = max(since, self._ring[0].ended or since)
        passages = list(self._under_way.values())
        for passage in reversed(self._ring):
            if passage.ended is None or passage.ended <= since:
                break
            passages.append(passage)
        return Recent(tuple(passages), since, now)

    def last(self, concerns: Callable[[Passage], bool]) -> float | None:
        """When the newest ended request that `concerns` somebody ended (monotonic)."""
        return next((one.ended for one in reversed(self._ring) if concerns(one)), None)

    def cancel(self, request_id: str, *, requested_by: str) -> Row:
        """End a request that waits or runs: its caller gets an error, the GPU is free at once.

        Raises `NotFound` when none of that id is known, `Conflict` when it has ended already.
        """
        found = next((p for p in self.under_way() if p.request_id == request_id), None)
        if found is None:
            if any(passage.request_id == request_id for passage in self._ring):
                raise Conflict(f"The request {request_id[:100]} has ended already.")
            raise NotFound(
                f"No request {request_id[:100]!r} is under way or among the last {KEPT}.",
                advice="GET /api/v1/activity lists them.",
                param="request_id",
            )
        if found.stop is None:
            raise Conflict(f"The request {request_id[:100]} cannot be ended at this moment.")
        # 403: official clients try a 409 or 503 again at once, and it was to end.
        found.stop(Forbidden(f"The request was ended by {requested_by}, on purpose."))
        return row(found, self._monotonic())
