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

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from server.base.finding import Severity
from server.launch.model import LaunchSpec
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
from server.swap.model import Deployment, StepRecord, SwapError, SwapRecord
from server.swap.node import (
    FINAL_NODES,
    RELIEF,
    ROLLBACK,
    STAGE_OF,
    STATE_OF,
    UNTOUCHED,
    Node,
    rollback_tag,
)
from server.swap.preflight import OUTSIDE

Outcome = tuple[SwapRecord, tuple[Effect, ...]]
Handler = Callable[[SwapRecord, Any, datetime], Outcome]


# ---- how a record moves ------------------------------------------------------------------------


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
        return _refused(
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


def _refused(record: SwapRecord, error: SwapError, now: datetime) -> Outcome:
    """Nothing was touched. With something served, prove that it still answers before saying so."""
    record = record.with_(error=error, touched=False)
    if not record.comebacks:
        return enter(record, Node.FAILED, now, result="failed"), (Serve(),)
    return _prove_untouched(record, now)


def _prove_untouched(record: SwapRecord, now: datetime) -> Outcome:
    first = record.comebacks[0]
    record = record.with_(engine=first.engine, restored=0)
    record = enter(record, Node.RB_WARMING, now, result="failed")
    return record, (Admit(record.evicted_models), Prove(first.spec, first.engine))


def record_back(record: SwapRecord) -> Deployment:
    """What the rollback of a record that has something to go back to is at."""
    found = back(record)
    if found is None:
        raise ValueError(f"swap {record.id} has nothing to go back to")
    return found


def record_target(record: SwapRecord) -> LaunchSpec:
    """The target of a record that is known to have one (not an unload)."""
    if record.target is None:
        raise ValueError(f"swap {record.id} is an unload")
    return record.target


def _preflight_broke(record: SwapRecord, event: Broke, now: datetime) -> Outcome:
    return _refused(record, event.error, now)


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
    return _restore(record, now, result="cancelled")


def _restore(record: SwapRecord, now: datetime, *, result: str = "done") -> Outcome:
    record = enter(record.with_(engine=None), Node.RB_STARTING, now, result=result)
    return record, (Restore(record_back(record), rollback_tag(record.id, record.restored)),)


def _discarded(record: SwapRecord, _event: Discarded, now: datetime) -> Outcome:
    record = record.with_(engine=None)
    if not record.comebacks:
        node = Node.FAILED if record.error else Node.CANCELLED
        return enter(record, node, now), (Serve(),)
    return _restore(record, now) if record.touched else _prove_untouched(record, now)


def _discard_broke(record: SwapRecord, event: Broke, now: datetime) -> Outcome:
    """The failed engine is still there: another one in its place would break invariant 2. What was
    not touched serves on."""
    failed, effects = _fail_rollback(record, event.error, now)
    if record.touched or not record.comebacks:
        return failed, effects
    return _prove_untouched(record.with_(error=failed.error), now)


def _fail_rollback(record: SwapRecord, error: SwapError, now: datetime) -> Outcome:
    first = record.error
    old = back(record)
    what = "the previous model could not be restored" if old else "clean-up failed"
    if old is not None and len(record.comebacks) > 1:
        what = f"{old.spec.model} could not be restored"
    merged = SwapError(
        code=first.code if first else error.code,
        message=f"{first.message if first else 'Cancelled.'} Then {what}: {error.message}",
        cause=first.cause if first else error.cause,
        advice=error.advice or (first.advice if first else ""),
        log_excerpt=(first.log_excerpt if first else "") or error.log_excerpt,
    )
    return enter(record.with_(error=merged), Node.FAILED, now, result="failed"), (Serve(),)


def _restored(record: SwapRecord, event: Started, now: datetime) -> Outcome:
    record = enter(record.with_(engine=event.engine), Node.RB_LOADING, now)
    return record, (Watch(record_back(record).spec, event.engine),)


def _restored_healthy(record: SwapRecord, _event: Healthy, now: datetime) -> Outcome:
    record = enter(record, Node.RB_WARMING, now)
    if record.engine is None:
        raise ValueError(f"swap {record.id} is healthy without an engine")
    return record, (Prove(record_back(record).spec, record.engine),)


def _restored_answered(record: SwapRecord, event: Answered, now: datetime) -> Outcome:
    if record.engine is None:
        raise ValueError(f"swap {record.id} answered without an engine")
    spec = record_back(record).spec
    deployment = Deployment(spec, record.engine, now, event.max_model_len)
    return _next_comeback(record, now, Serve(deployment))


def _next_comeback(
    record: SwapRecord, now: datetime, serve: Serve, *, result: str = "done"
) -> Outcome:
    """One is dealt with. The next one, or the end: whole only when every one answered."""
    record = record.with_(restored=record.restored + 1)
    following = back(record)
    if following is None:
        node = Node.ROLLED_BACK if record.error else Node.CANCELLED
        node = Node.FAILED if record.lost else node
        return enter(record, node, now, result=result), (serve,)
    if record.touched:
        record, effects = _restore(record, now, result=result)
        return record, (serve, *effects)
    record = enter(record.with_(engine=following.engine), Node.RB_WARMING, now, result=result)
    return record, (serve, Prove(following.spec, following.engine))


def _proof_broke(record: SwapRecord, event: Broke, now: datetime) -> Outcome:
    """An untouched previous engine that is mute is started again; a restored one failed. Whom this
    swap was never to move is left alone, however mute: others may be waiting for it to answer."""
    tag = rollback_tag(record.id, record.restored)
    if not record.evicted and (record.mode == "beside" or record.fixed):
        return _bystander_mute(record, event, now)
    if record.engine is not None and record.engine.tag != tag:
        mute = record_back(record).spec.model
        record, effects = _restore(record, now, result="failed")
        return record, (Serve(drop=(mute,)), *effects)
    return _rollback_broke(record, event, now)


def _bystander_mute(record: SwapRecord, event: Broke, now: datetime) -> Outcome:
    first = record.error or event.error
    text = f"{first.message} {record_back(record).spec.model} runs, but: {event.error.message}"
    error = replace(first, message=text)
    return enter(record.with_(error=error), Node.FAILED, now, result="failed"), (Serve(),)


def _rollback_broke(record: SwapRecord, event: Broke, now: datetime) -> Outcome:
    """A model that was evicted fails too: remember why, clean up, go on with the next one."""
    failed, _ = _fail_rollback(record, event.error, now)
    spec = record_back(record).spec
    record = enter(record.with_(error=failed.error), Node.RB_CLEANING, now, result="failed")
    return record, (Discard(spec, rollback_tag(record.id, record.restored)),)


def _cleaned(record: SwapRecord, _event: Discarded, now: datetime) -> Outcome:
    return _lost(record, now)


def _cleaning_broke(record: SwapRecord, event: Broke, now: datetime) -> Outcome:
    """It is not served, but something may be left there: that is said as well."""
    error = record.error or event.error
    text = f"{error.message} What is left could not be removed: {event.error.message}"
    return _lost(record.with_(error=replace(error, message=text)), now, result="failed")


def _lost(record: SwapRecord, now: datetime, *, result: str = "done") -> Outcome:
    model = record_back(record).spec.model
    record = record.with_(engine=None, lost=(*record.lost, model))
    return _next_comeback(record, now, Serve(drop=(model,)), result=result)


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
    (Node.RB_STOPPING, Discarded): _discarded,
    (Node.RB_STOPPING, Broke): _discard_broke,
    (Node.RB_STARTING, Started): _restored,
    (Node.RB_STARTING, Broke): _rollback_broke,
    (Node.RB_LOADING, Healthy): _restored_healthy,
    (Node.RB_LOADING, Broke): _rollback_broke,
    (Node.RB_WARMING, Answered): _restored_answered,
    (Node.RB_WARMING, Broke): _proof_broke,
    (Node.RB_CLEANING, Discarded): _cleaned,
    (Node.RB_CLEANING, Broke): _cleaning_broke,
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
