"""The swap machine: events in, effects out, over one transition table.

Theory. A swap is a transaction over hosts that may vanish at any moment, run by a program that may
be killed at any moment. So nothing is remembered outside the record: `advance` is a pure function
of (record, event, now), the driver saves the record it returns *before* it carries out the effects,
and every effect is idempotent (it is keyed by the swap's id as a tag on the engine), so that after
a crash the effect of the saved node can simply be carried out again, once `swap.resume` has looked.

               ┌────────── already served, not forced ──────────► CONFIRMING ─► SERVING
    QUEUED ─► PREFLIGHT ─► DRAINING ─► STOPPING ─► STARTING ─► LOADING ─► WARMING ─► SERVING
                  │ └─── beside, overlap ────────────►┘        │         │  │ overlap ▲
                  │        (unload: ─► UNLOADED)     └─────────┴────┬────┘  ▼         │
                  │                                                 │  RELIEVING ─► RETIRING
                  │ refused                                         │ broke or cancelled
                  ▼                                                 ▼
              RB_WARMING ◄─ RB_LOADING ◄─ RB_STARTING ◄─── RB_STOPPING (the failed engine goes)
                  │   └── the next ──► ▲                            │ nothing to restore
                  ▼                                                 ▼
      ROLLED_BACK or CANCELLED                             FAILED or CANCELLED
      (what served before answered)              (nothing came back, and we say so)

Several models may be served at once: the layout. Preflight answers with a placement: where the new
engine goes, who is evicted for it, and how. `replace`: they go first. `beside`: nobody goes.
`overlap`: they go when the new one has answered, so that the traffic moves without a gap.

Invariants. (1) No evicted engine is touched before STOPPING or RETIRING: a refusal, a cancel or a
failure up to then leaves it serving, and that is proven with an answer before it is said. (2) A new
engine is started only in a place (hosts, name, port) where nothing of ours is; in `replace`, after
every engine of ours on its hosts that does not stay is gone. (3) From STOPPING on, every path
ends in an engine that answered, or in FAILED/CANCELLED with nothing of this swap running. What
stays in the layout is never stopped by any path. (4) `percent` never goes back, except that rolling
back, and a load after an engine that was found mute, start their own count. (5) An event that the
table has no row for is stale and changes nothing. (6) From RELIEVING on the new engine serves: it
is too late to cancel, and an old engine that will not go is told, not a failure.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from server.base.finding import Severity
from server.swap.events import (
    Admit,
    Admitted,
    Advanced,
    Answered,
    Broke,
    CancelAsked,
    Check,
    Checked,
    Discard,
    Discarded,
    Drain,
    Drained,
    Effect,
    Event,
    Healthy,
    Hold,
    Prove,
    Restore,
    Retire,
    Serve,
    Start,
    Started,
    StepBegan,
    StopAll,
    Stopped,
    Tell,
    Watch,
)
from server.swap.goback import (
    cleaned,
    cleaning_broke,
    discard_broke,
    discarded,
    proof_broke,
    refused,
    restore,
    restored,
    restored_answered,
    restored_healthy,
    rollback_broke,
)
from server.swap.model import Deployment, StepRecord, SwapError, SwapRecord
from server.swap.moving import Handler, Outcome, back, enter, record_target
from server.swap.node import FINAL_NODES, UNTOUCHED, Node, rollback_tag
from server.swap.preflight import OUTSIDE


def _admitted(record: SwapRecord, event: Admitted, now: datetime) -> Outcome:
    record = record.with_(previous=event.previous, started_at=now)
    if record.target is None:
        return _make_way(record.with_(evicted=event.evicted), now)
    if event.already and event.previous is not None and not record.force:
        record = enter(record.with_(engine=event.previous.engine), Node.CONFIRMING, now)
        return record, (Prove(event.previous.spec, event.previous.engine),)
    return enter(record, Node.PREFLIGHT, now), (Check(),)


def _make_way(record: SwapRecord, now: datetime) -> Outcome:
    if not record.evicted:
        return enter(record, Node.STOPPING, now), (StopAll(),)
    models = record.evicted_models
    return enter(record, Node.DRAINING, now), (Hold(models), Drain(models))


def _checked(record: SwapRecord, event: Checked, now: datetime) -> Outcome:
    where = event.placement
    record = record.with_(
        findings=event.findings, target=where.target, evicted=where.evicted, mode=where.mode
    )
    errors = [f for f in event.findings if f["severity"] == Severity.ERROR.value]
    if record.force:
        errors = [f for f in errors if f["code"] == OUTSIDE]
    if errors:
        first = errors[0]
        return refused(
            record,
            SwapError(
                code=str(first["code"]),
                message=" ".join(str(f["message"]) for f in errors),
                cause=str(first["message"]),
                advice=str(first["advice"]),
            ),
            now,
        )
    if record.mode == "replace":
        return _make_way(record, now)
    return enter(record, Node.STARTING, now), (Start(record_target(record), record.id),)


def _preflight_broke(record: SwapRecord, event: Broke, now: datetime) -> Outcome:
    return refused(record, event.error, now)


def _confirming_broke(record: SwapRecord, _event: Broke, now: datetime) -> Outcome:
    """Loaded but mute: what was asked for is a model that answers, so start it anew."""
    return enter(record.with_(engine=None), Node.PREFLIGHT, now, result="failed"), (Check(),)


def _confirmed(record: SwapRecord, event: Answered, now: datetime) -> Outcome:
    if record.previous is None:
        raise ValueError(f"swap {record.id} confirms nothing")
    deployment = replace(record.previous, proven_at=now, max_model_len=event.max_model_len)
    return enter(record, Node.SERVING, now), (Serve(deployment),)


def _drained(record: SwapRecord, _event: Drained, now: datetime) -> Outcome:
    record = enter(record.with_(touched=True), Node.STOPPING, now)
    return record, (Serve(drop=record.evicted_models), StopAll())


def _stopped(record: SwapRecord, _event: Stopped, now: datetime) -> Outcome:
    if record.target is None:
        return enter(record, Node.UNLOADED, now), (Serve(drop=record.evicted_models),)
    return enter(record, Node.STARTING, now), (Start(record.target, record.id),)


def _started(record: SwapRecord, event: Started, now: datetime) -> Outcome:
    record = enter(record.with_(engine=event.engine), Node.LOADING, now)
    return record, (Watch(record_target(record), event.engine),)


def _healthy(record: SwapRecord, _event: Healthy, now: datetime) -> Outcome:
    record = enter(record, Node.WARMING, now)
    if record.engine is None:
        raise ValueError(f"swap {record.id} is healthy without an engine")
    return record, (Prove(record_target(record), record.engine),)


def _answered(record: SwapRecord, event: Answered, now: datetime) -> Outcome:
    if record.engine is None:
        raise ValueError(f"swap {record.id} answered without an engine")
    deployment = Deployment(record_target(record), record.engine, now, event.max_model_len)
    if record.mode == "overlap" and record.evicted:
        models = record.evicted_models
        record = enter(record, Node.RELIEVING, now)
        return record, (Serve(deployment), Hold(models), Drain(models))
    return enter(record, Node.SERVING, now), (Serve(deployment),)


def _relieved(record: SwapRecord, event: Drained | Broke, now: datetime) -> Outcome:
    result = "failed" if isinstance(event, Broke) else "done"
    record = enter(record.with_(touched=True), Node.RETIRING, now, result=result)
    return record, (Serve(drop=record.evicted_models), Retire(record.evicted))


def _retired(record: SwapRecord, _event: Stopped, now: datetime) -> Outcome:
    return enter(record, Node.SERVING, now), (Serve(),)


def _retire_broke(record: SwapRecord, event: Broke, now: datetime) -> Outcome:
    """What was asked for serves: that the old engine still holds memory is told beside it."""
    old = ", ".join(record.evicted_models)
    text = f"{record.model} serves, but the engine of {old} did not stop: {event.error.message}"
    record = enter(record, Node.SERVING, now, result="failed")
    return record, (Serve(), Tell(text, event.error.advice))


def _broke(record: SwapRecord, event: Broke, now: datetime) -> Outcome:
    record = record.with_(error=event.error)
    if record.target is None:
        return enter(record, Node.FAILED, now, result="failed"), (Serve(),)
    record = enter(record, Node.RB_STOPPING, now, result="failed")
    return record, (Discard(record_target(record), record.id),)


def _cancel_untouched(record: SwapRecord, event: CancelAsked, now: datetime) -> Outcome:
    record = record.with_(cancelled_by=event.by)
    record = enter(record, Node.CANCELLED, now, result="cancelled")
    return record, (Admit(record.evicted_models),)


def _cancel_touched(record: SwapRecord, event: CancelAsked, now: datetime) -> Outcome:
    record = record.with_(cancelled_by=event.by)
    if record.target is not None:
        record = enter(record, Node.RB_STOPPING, now, result="cancelled")
        return record, (Discard(record_target(record), record.id),)
    if not record.evicted:
        return enter(record, Node.CANCELLED, now, result="cancelled"), (Serve(),)
    return restore(record, now, result="cancelled")


def _advanced(record: SwapRecord, event: Advanced, _now: datetime) -> Outcome:
    percent = record.percent
    if event.percent is not None:
        percent = max(percent, min(event.percent, 99.0))
    record = record.with_(stage=event.stage, percent=percent, eta_seconds=event.eta_seconds)
    return record, ()


def _step_began(record: SwapRecord, event: StepBegan, now: datetime) -> Outcome:
    """A sub-step ends the sub-step before it on the same host, never the node's own step."""
    steps = tuple(
        replace(step, state="done", seconds=max(0.0, (now - step.began_at).total_seconds()))
        if step.state == "running" and step.host == event.host and ":" in step.name
        else step
        for step in record.steps
    )
    name = f"{record.node}: {event.name}"
    return record.with_(steps=(*steps, StepRecord(name, event.host, "running", now))), ()


# ---- the table ---------------------------------------------------------------------------------

_WORKING = tuple(node for node in Node if node not in FINAL_NODES and node is not Node.QUEUED)

TABLE: Mapping[tuple[Node, type[Any]], Handler] = {
    (Node.QUEUED, Admitted): _admitted,
    (Node.PREFLIGHT, Checked): _checked,
    (Node.PREFLIGHT, Broke): _preflight_broke,
    (Node.CONFIRMING, Answered): _confirmed,
    (Node.CONFIRMING, Broke): _confirming_broke,
    (Node.DRAINING, Drained): _drained,
    (Node.DRAINING, Broke): _preflight_broke,
    (Node.STOPPING, Stopped): _stopped,
    (Node.STOPPING, Broke): _broke,
    (Node.STARTING, Started): _started,
    (Node.STARTING, Broke): _broke,
    (Node.LOADING, Healthy): _healthy,
    (Node.LOADING, Broke): _broke,
    (Node.WARMING, Answered): _answered,
    (Node.WARMING, Broke): _broke,
    (Node.RELIEVING, Drained): _relieved,
    (Node.RELIEVING, Broke): _relieved,
    (Node.RETIRING, Stopped): _retired,
    (Node.RETIRING, Broke): _retire_broke,
    (Node.RB_STOPPING, Discarded): discarded,
    (Node.RB_STOPPING, Broke): discard_broke,
    (Node.RB_STARTING, Started): restored,
    (Node.RB_STARTING, Broke): rollback_broke,
    (Node.RB_LOADING, Healthy): restored_healthy,
    (Node.RB_LOADING, Broke): rollback_broke,
    (Node.RB_WARMING, Answered): restored_answered,
    (Node.RB_WARMING, Broke): proof_broke,
    (Node.RB_CLEANING, Discarded): cleaned,
    (Node.RB_CLEANING, Broke): cleaning_broke,
    **{(node, CancelAsked): _cancel_untouched for node in sorted(UNTOUCHED)},
    (Node.STOPPING, CancelAsked): _cancel_touched,
    (Node.STARTING, CancelAsked): _cancel_touched,
    (Node.LOADING, CancelAsked): _cancel_touched,
    (Node.WARMING, CancelAsked): _cancel_touched,
    **{(node, Advanced): _advanced for node in _WORKING},
    **{(node, StepBegan): _step_began for node in _WORKING},
}


def advance(record: SwapRecord, event: Event, now: datetime) -> Outcome:
    """One step. Returns the record unchanged and no effects for an event that is stale here."""
    handler = TABLE.get((Node(record.node), type(event)))
    if handler is None:
        return record, ()
    return handler(record, event, now)


def effect_of(record: SwapRecord) -> Effect | None:
    """The effect whose answer `record.node` waits for: what a restart carries out again."""
    node, target = Node(record.node), record.target
    simple: Mapping[Node, Effect] = {
        Node.PREFLIGHT: Check(),
        Node.DRAINING: Drain(record.evicted_models),
        Node.STOPPING: StopAll(),
        Node.RELIEVING: Drain(record.evicted_models),
        Node.RETIRING: Retire(record.evicted),
    }
    if node in simple:
        return simple[node]
    if target is not None:
        if node is Node.STARTING:
            return Start(target, record.id)
        if node is Node.RB_STOPPING:
            return Discard(target, record.id)
        if record.engine is not None and node in {Node.LOADING, Node.WARMING}:
            kind = Watch if node is Node.LOADING else Prove
            return kind(target, record.engine)
    if node is Node.CONFIRMING and record.previous is not None and record.engine is not None:
        return Prove(record.previous.spec, record.engine)
    return _rollback_effect(record, node, back(record))


def _rollback_effect(record: SwapRecord, node: Node, old: Deployment | None) -> Effect | None:
    if old is None:
        return None
    tag = rollback_tag(record.id, record.restored)
    if node is Node.RB_STARTING:
        return Restore(old, tag)
    if node is Node.RB_CLEANING:
        return Discard(old.spec, tag)
    if record.engine is not None and node is Node.RB_LOADING:
        return Watch(old.spec, record.engine)
    if record.engine is not None and node is Node.RB_WARMING:
        return Prove(old.spec, record.engine)
    return None
