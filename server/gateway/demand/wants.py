"""Who waits for which model, since when and on what terms.

Owns the entries of requests on their way in and the marks of bridged ones, which do not wait but
want their model all the same. Refuses to decide and to know the time: moments are arguments.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from server.gateway.demand.model import Wanted
from server.gateway.model import Ask, SwapPolicy

MARK_SECONDS = 300.0
"""A bridged request wants its model for this long after it was answered by another one."""

_PERMISSIVE: Sequence[SwapPolicy] = ("never", "ask", "auto")


@dataclass(frozen=True, slots=True, eq=False)
class Want:
    model: str
    since: float
    policy: SwapPolicy
    priority: int
    caller: str


@dataclass(slots=True)
class _Mark:
    since: float
    last: float
    want: Want


class Wants:
    """One per app, used from its event loop only."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[Want, None]] = {}
        self._marks: dict[str, _Mark] = {}

    @contextmanager
    def waiting(self, model: str, ask: Ask, policy: SwapPolicy) -> Iterator[None]:
        """The stretch in which the request waits. Most end at once: their model is loaded."""
        want = Want(model, ask.arrived, policy, ask.caller.priority, ask.caller.name)
        entries = self._waiting.setdefault(model, {})
        entries[want] = None
        try:
            yield
        finally:
            del entries[want]
            if not entries and self._waiting.get(model) is entries:
                del self._waiting[model]

    def mark(self, model: str, ask: Ask, policy: SwapPolicy, now: float) -> None:
        """A request for `model` was answered by a bridge."""
        known = self._marks.get(model)
        if known is None:
            want = Want(model, now, policy, ask.caller.priority, ask.caller.name)
            self._marks[model] = _Mark(now, now, want)
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

    def wanted(self, model: str, now: float) -> Wanted:
        entries = list(self._waiting.get(model, ()))
        if model in self._marks:
            entries.append(self._marks[model].want)
        first = min(entries, key=lambda want: want.since)
        return Wanted(
            model,
            len(entries),
            max(0.0, now - first.since),
            max((want.policy for want in entries), key=_PERMISSIVE.index),
            max(want.priority for want in entries),
            first.caller,
        )
