"""What a restarted control plane does with a swap that it finds unfinished: resume by looking.

Pure. The driver observes every host that the record names; a host that cannot be asked is None, and
then we wait rather than guess: a second engine started on a guess is worse than a pause.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from server.launch.model import Engine
from server.swap.events import Broke, Drained, Effect, Event, Started
from server.swap.machine import effect_of
from server.swap.model import SwapError, SwapRecord
from server.swap.moving import back
from server.swap.node import Node, rollback_tag

Facts = Mapping[str, tuple[Engine, ...] | None]
"""Engines of ours per host; None when the host could not be asked."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again later: `reason` names the hosts that do not answer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Continue:
    """Carry out the effect of the saved node again; it is idempotent by its tag."""

    effect: Effect


@dataclass(frozen=True, slots=True)
class Report:
    """What happened while we were away is itself an event."""

    event: Event


Decision = Wait | Continue | Report


def hosts_of(record: SwapRecord) -> tuple[str, ...]:
    """Every host that the swap may have touched, in a stable order."""
    specs = [record.target] if record.target else []
    old = record.evicted or record.comebacks
    specs += [deployment.spec for deployment in old]
    return tuple(dict.fromkeys(node.host for spec in specs for node in spec.nodes))


def tagged(facts: Facts, tag: str, head: str) -> Engine | None:
    """The engine on the head node that bears `tag`: a running one before one that ended.

    A worker's container bears the same tag, and may be there before the head's.
    """
    mine = [engine for engine in facts.get(head) or () if engine.tag == tag]
    return next((e for e in mine if e.running), mine[0] if mine else None)


def resume(record: SwapRecord, facts: Facts) -> Decision:
    """Decide how an unfinished, admitted record goes on."""
    silent = [host for host in hosts_of(record) if facts.get(host) is None]
    if silent:
        return Wait(f"waiting for {', '.join(silent)}: asking again until it answers")
    node = Node(record.node)
    if node in {Node.DRAINING, Node.RELIEVING}:
        return Report(Drained())  # whoever was in flight went with the process that served them
    if node in {Node.STARTING, Node.RB_STARTING}:
        return _starting(record, facts, node)
    if node in {Node.LOADING, Node.WARMING, Node.RB_LOADING, Node.RB_WARMING, Node.CONFIRMING}:
        gone = _gone(record, facts)
        if gone is not None:
            return Report(Broke(gone))
    effect = effect_of(record)
    if effect is None:
        return Report(Broke(_unusable(record)))
    return Continue(effect)


def _starting(record: SwapRecord, facts: Facts, node: Node) -> Decision:
    forward = node is Node.STARTING
    tag = record.id if forward else rollback_tag(record.id, record.restored)
    old = back(record)
    spec = record.target if forward or old is None else old.spec
    engine = tagged(facts, tag, spec.head.host) if spec else None
    if engine is not None and engine.running:
        return Report(Started(engine))
    effect = effect_of(record)
    return Continue(effect) if effect else Report(Broke(_unusable(record)))


def _gone(record: SwapRecord, facts: Facts) -> SwapError | None:
    engine = record.engine
    if engine is None:
        return _unusable(record)
    seen = [e for engines in facts.values() for e in engines or () if e.same(engine)]
    if any(e.running for e in seen):
        return None
    how = "ended" if seen else "is gone from the host"
    code = f" with exit code {seen[0].exit_code}" if seen and seen[0].exit_code is not None else ""
    return SwapError(
        code="engine_died",
        message=f"While Spark Control was not running, the engine on {engine.host} {how}{code}.",
        cause="The engine ended while nobody watched it.",
        advice="Look at the host's samples and logs around that time, then swap again.",
    )


def _unusable(record: SwapRecord) -> SwapError:
    return SwapError(
        code="resume_failed",
        message=f"The saved swap {record.id} lacks what it needs to go on from {record.node!r}.",
        advice="Swap again; please report this with the swap's id.",
    )
