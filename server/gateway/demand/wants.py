"""Who waits for which model, since when and on what terms.

Owns the entries of requests on their way in and the marks of bridged ones, which do not wait but
want their model all the same. Refuses to decide and to know the time: moments are arguments.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from server.gateway.demand.model import Wanted
from server.gateway.model import Ask, Caller, SwapPolicy

MARK_SECONDS = 300.0
"""A bridged request wants its model for this long after it was answered by another one."""

_PERMISSIVE: Sequence[SwapPolicy] = ("never", "ask", "auto")


class Want:
    """One request that wants a model. Entered for as long as it waits: most leave at once."""

    __slots__ = ("_place", "caller", "model", "since")

    def __init__(self, model: str, since: float, caller: Caller, place: "Wants") -> None:
        self.model = model
        self.since = since
        self.caller = caller
        self._place = place

    def __enter__(self) -> Self:
        self._place.add(self)
        return self

    def __exit__(self, *_reason: object) -> None:
        self._place.drop(self)


@dataclass(slots=True)
class _Mark:
    last: float
    want: Want


class Wants:
    """One per app, used from its event loop only."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[Want, None]] = {}
        self._marks: dict[str, _Mark] = {}

    def want(self, model: str, ask: Ask) -> Want:
        """A context: the stretch in which the request waits."""
        return Want(model, ask.arrived, ask.caller, self)

    def add(self, want: Want) -> None:
        waiting = self._waiting.get(want.model)
        if waiting is None:
            self._waiting[want.model] = {want: None}
        else:
            waiting[want] = None

    def drop(self, want: Want) -> None:
        waiting = self._waiting[want.model]
        del waiting[want]
        if not waiting:
            del self._waiting[want.model]

    def mark(self, model: str, ask: Ask, now: float) -> None:
        """A request for `model` was answered by a bridge."""
        known = self._marks.get(model)
        if known is None:
            self._marks[model] = _Mark(now, Want(model, now, ask.caller, self))
        else:
            known.last = now

    def unmark(self, model: str) -> None:
        """It is loaded, or cannot be."""
        self._marks.pop(model, None)

    def count(self, model: str) -> int:
        return len(self._waiting.get(model, ()))

    def any(self) -> bool:
        return bool(self._waiting or self._marks)

    def models(self, now: float) -> list[str]:
        """What is wanted now."""
        for model in [m for m, mark in self._marks.items() if now - mark.last > MARK_SECONDS]:
            del self._marks[model]
        return list(dict.fromkeys([*self._waiting, *self._marks]))

    def wanted(self, model: str, now: float, otherwise: SwapPolicy) -> Wanted:
        """`otherwise`: the policy of callers who have none of their own."""
        wants = list(self._waiting.get(model, ()))
        if model in self._marks:
            wants.append(self._marks[model].want)
        first = min(wants, key=lambda want: want.since)
        return Wanted(
            model,
            len(wants),
            max(0.0, now - first.since),
            max((want.caller.swap or otherwise for want in wants), key=_PERMISSIVE.index),
            max(want.caller.priority for want in wants),
            first.caller.name,
        )
