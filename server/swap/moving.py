"""How a swap's record moves from node to node: its steps, its state, what people read. Pure."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from server.launch.model import LaunchSpec
from server.swap.events import Effect
from server.swap.model import Deployment, StepRecord, SwapRecord
from server.swap.node import FINAL_NODES, RELIEF, ROLLBACK, STAGE_OF, STATE_OF, Node

Outcome = tuple[SwapRecord, tuple[Effect, ...]]
Handler = Callable[[SwapRecord, Any, datetime], Outcome]


def _close_steps(record: SwapRecord, result: str, now: datetime) -> tuple[StepRecord, ...]:
    return tuple(
        replace(step, state=result, seconds=max(0.0, (now - step.began_at).total_seconds()))
        if step.state == "running"
        else step
        for step in record.steps
    )


def back(record: SwapRecord) -> Deployment | None:
    """What the rollback is proving or restoring now."""
    return record.comebacks[record.restored] if record.restored < len(record.comebacks) else None


def _host(record: SwapRecord, node: Node) -> str | None:
    if node in ROLLBACK and node is not Node.RB_STOPPING:
        old = back(record)
    elif node in {Node.STOPPING, Node.DRAINING, *RELIEF} and record.evicted:
        old = record.evicted[0]
    else:
        old = None
    if old is not None:
        return old.spec.head.host
    return record.target.head.host if record.target else None


def enter(record: SwapRecord, node: Node, now: datetime, *, result: str = "done") -> SwapRecord:
    """Close the running steps with `result`, open the step of `node`, show its state and stage."""
    steps = _close_steps(record, result, now)
    final = node in FINAL_NODES
    if not final:
        steps = (*steps, StepRecord(node.value, _host(record, node), "running", now))
    old = Node(record.node)
    restarting = (node in ROLLBACK and old not in ROLLBACK) or old is Node.CONFIRMING
    done = node in {Node.SERVING, Node.UNLOADED}
    entered = record.with_(
        node=node.value,
        state=STATE_OF[node],
        steps=steps,
        percent=100.0 if done else 0.0 if restarting else record.percent,
        eta_seconds=None if final or restarting else record.eta_seconds,
        finished_at=now if final else None,
    )
    return entered.with_(stage=stage_of(entered))


def stage_of(record: SwapRecord) -> str:
    """What the node of `record` does, for people, when nothing more exact is known."""
    node = Node(record.node)
    if node is Node.STOPPING and not record.evicted:
        return "making sure that nothing else runs"
    return STAGE_OF[node]


MARKED = frozenset({Node.STARTING, Node.RB_STOPPING, Node.RB_STARTING, *FINAL_NODES})


def mark_of(record: SwapRecord) -> str:
    """What is written between the engines' lines when its node begins; empty for most nodes."""
    node = Node(record.node)
    if node not in MARKED:
        return ""
    words = STAGE_OF[node]
    host = _host(record, node)
    if node in FINAL_NODES or host is None:
        return words
    old = back(record) if node is Node.RB_STARTING else None
    model = old.spec.model if old else record.model
    return f"{words}: {model} on {host}"


def record_target(record: SwapRecord) -> LaunchSpec:
    """The target of a record that is known to have one (not an unload)."""
    if record.target is None:
        raise ValueError(f"swap {record.id} is an unload")
    return record.target


def record_back(record: SwapRecord) -> Deployment:
    """What the rollback of a record that has something to go back to is at."""
    found = back(record)
    if found is None:
        raise ValueError(f"swap {record.id} has nothing to go back to")
    return found
