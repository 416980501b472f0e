"""The ways back of a swap: what was not touched is proven, what was stopped is restored. Pure.

The rows of `swap.machine`'s table from a refusal or a failure on; its theory is told there.
"""

from dataclasses import replace
from datetime import datetime

from server.swap.events import (
    Admit,
    Answered,
    Broke,
    Discard,
    Discarded,
    Healthy,
    Prove,
    Restore,
    Serve,
    Started,
    Watch,
)
from server.swap.model import Deployment, SwapError, SwapRecord
from server.swap.moving import Outcome, back, enter, record_back
from server.swap.node import Node, rollback_tag


def refused(record: SwapRecord, error: SwapError, now: datetime) -> Outcome:
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


def restore(record: SwapRecord, now: datetime, *, result: str = "done") -> Outcome:
    record = enter(record.with_(engine=None), Node.RB_STARTING, now, result=result)
    return record, (Restore(record_back(record), rollback_tag(record.id, record.restored)),)


def discarded(record: SwapRecord, _event: Discarded, now: datetime) -> Outcome:
    record = record.with_(engine=None)
    if not record.comebacks:
        node = Node.FAILED if record.error else Node.CANCELLED
        return enter(record, node, now), (Serve(),)
    return restore(record, now) if record.touched else _prove_untouched(record, now)


def discard_broke(record: SwapRecord, event: Broke, now: datetime) -> Outcome:
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


def restored(record: SwapRecord, event: Started, now: datetime) -> Outcome:
    record = enter(record.with_(engine=event.engine), Node.RB_LOADING, now)
    return record, (Watch(record_back(record).spec, event.engine),)


def restored_healthy(record: SwapRecord, _event: Healthy, now: datetime) -> Outcome:
    record = enter(record, Node.RB_WARMING, now)
    if record.engine is None:
        raise ValueError(f"swap {record.id} is healthy without an engine")
    return record, (Prove(record_back(record).spec, record.engine),)


def restored_answered(record: SwapRecord, event: Answered, now: datetime) -> Outcome:
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
        record, effects = restore(record, now, result=result)
        return record, (serve, *effects)
    record = enter(record.with_(engine=following.engine), Node.RB_WARMING, now, result=result)
    return record, (serve, Prove(following.spec, following.engine))


def proof_broke(record: SwapRecord, event: Broke, now: datetime) -> Outcome:
    """An untouched previous engine that is mute is started again; a restored one failed. Whom this
    swap was never to move is left alone, however mute: others may be waiting for it to answer."""
    tag = rollback_tag(record.id, record.restored)
    placed = record.mode == "beside" or record.fixed or bool(record.findings)
    if placed and not record.evicted:
        return _bystander_mute(record, event, now)
    if record.engine is not None and record.engine.tag != tag:
        mute = record_back(record).spec.model
        record, effects = restore(record, now, result="failed")
        return record, (Serve(drop=(mute,)), *effects)
    return rollback_broke(record, event, now)


def _bystander_mute(record: SwapRecord, event: Broke, now: datetime) -> Outcome:
    first = record.error or event.error
    text = f"{first.message} {record_back(record).spec.model} runs, but: {event.error.message}"
    error = replace(first, message=text)
    return enter(record.with_(error=error), Node.FAILED, now, result="failed"), (Serve(),)


def rollback_broke(record: SwapRecord, event: Broke, now: datetime) -> Outcome:
    """A model that was evicted fails too: remember why, clean up, go on with the next one."""
    failed, _ = _fail_rollback(record, event.error, now)
    spec = record_back(record).spec
    record = enter(record.with_(error=failed.error), Node.RB_CLEANING, now, result="failed")
    return record, (Discard(spec, rollback_tag(record.id, record.restored)),)


def cleaned(record: SwapRecord, _event: Discarded, now: datetime) -> Outcome:
    return _lost(record, now)


def cleaning_broke(record: SwapRecord, event: Broke, now: datetime) -> Outcome:
    """It is not served, but something may be left there: that is said as well."""
    error = record.error or event.error
    text = f"{error.message} What is left could not be removed: {event.error.message}"
    return _lost(record.with_(error=replace(error, message=text)), now, result="failed")


def _lost(record: SwapRecord, now: datetime, *, result: str = "done") -> Outcome:
    model = record_back(record).spec.model
    record = record.with_(engine=None, lost=(*record.lost, model))
    return _next_comeback(record, now, Serve(drop=(model,)), result=result)
