"""When a model that is asked for is loaded, and who goes for it. Pure.

Theory. Loading takes minutes, answering takes seconds. So requests for what is loaded go first, and
those for another model gather until its load is worth it: `A B C A B C` is answered as `AA BB CC`.
Two clocks keep that from being unfair or restless:

- residency: a model stays at least `residency_seconds` after it was loaded, whoever asks;
- batch: while it is in use it stays until somebody has waited `batch_seconds` for another one while
  it served. Then it is held: it gets nothing new, finishes what it has, and goes.

The table. W is wanted and not loaded, V are the models that would go for it.

    W                                                    what is done
    ──────────────────────────────────────────────────────────────────────────────────
    a swap to W runs or is queued                        wait
    it is blocked (disabled, removed, failed just now)   Refuse, with the cause
    its place is held by pinned models only              Refuse
    every waiting request says `never`                   Refuse
    some say `ask`, none says `auto`                     AskPeople, once; wait for a person
    another swap runs or is queued                       wait: one at a time
    another W is first in line and overdue               wait: nobody overtakes it
    V is empty: it fits beside what is loaded            StartSwap
    every V is past residency, and unused                StartSwap
    every V is past residency, some used for a batch     Hold those in use, StartSwap
                                                         (no hold when W overlaps with them)
    else                                                 wait

First in line is who has waited longest; each step of priority counts as `batch_seconds` of waiting,
and `MOST_STEPS` of them at most. Who has waited for a batch and a residency is overdue.

Invariants, shown by the simulation in the tests. (1) With k models wanted, the wait for a load to
begin is at most k times (batch or residency, drain, load). (2) Two loads begin at least a residency
apart when one evicts the other. (3) A pinned model is never evicted. (4) What is held is held for a
swap that is under way, or that begins in the same breath.

Owns when. Refuses to know where a model fits: `Facts.evicts` says who would go.
"""

from collections.abc import Iterable, Iterator

from server.base.errors import SparkError, Unavailable
from server.gateway.demand.keeper import keep
from server.gateway.demand.model import (
    Action,
    AskPeople,
    Facts,
    Hold,
    Loaded,
    Refuse,
    Rules,
    StartSwap,
    Unhold,
    Wanted,
)

MOST_STEPS = 5
LINGER_SECONDS = 1.0
"""A model counts as unused after this long: a program that asks one question after the other is
not interrupted between two of them."""

_AGAIN_SECONDS = 60.0


def decide(facts: Facts, rules: Rules) -> tuple[Action, ...]:
    """What to do now. The same facts give the same actions; nothing is done twice, because what was
    done is seen in the facts of the next look."""
    actions: list[Action] = []
    open_ = []
    for wanted in facts.wanted:
        if wanted.model in facts.swaps:
            continue
        refused = _refused(wanted, facts)
        if refused is not None:
            actions.append(Refuse(wanted.model, refused))
        elif wanted.policy == "auto":
            open_.append(wanted)
        elif wanted.model not in facts.asked:
            actions.append(AskPeople(wanted.model, wanted.count, wanted.caller))
    chosen = None if facts.swaps else _chosen(open_, facts, rules)
    actions += _holds(chosen, facts)
    if chosen is not None:
        actions.append(StartSwap(chosen.model, chosen.caller))
    elif not facts.swaps:
        actions += keep(facts, rules, wanted=bool(open_))
    return tuple(actions)


def _refused(wanted: Wanted, facts: Facts) -> SparkError | None:
    if wanted.model in facts.blocked:
        return facts.blocked[wanted.model]
    if facts.evicts.get(wanted.model, frozenset()) is None:
        return no_place(wanted.model, facts.layout)
    return not_asked(wanted.model) if wanted.policy == "never" else None


def _chosen(candidates: Iterable[Wanted], facts: Facts, rules: Rules) -> Wanted | None:
    """The first in line that may be loaded now."""
    for wanted in in_line(candidates, rules):
        if all(may_go(each, wanted, rules) for each in victims(wanted.model, facts)):
            return wanted
        if wanted.seconds >= rules.batch_seconds + rules.residency_seconds:
            return None
    return None


def in_line(candidates: Iterable[Wanted], rules: Rules) -> list[Wanted]:
    def age(wanted: Wanted) -> float:
        steps = max(-MOST_STEPS, min(wanted.priority, MOST_STEPS))
        return wanted.seconds + steps * rules.batch_seconds

    return sorted(candidates, key=age, reverse=True)


def victims(model: str, facts: Facts) -> list[Loaded]:
    gone = facts.evicts.get(model) or frozenset()
    return [each for each in facts.layout if each.model in gone]


def may_go(each: Loaded, wanted: Wanted, rules: Rules) -> bool:
    """Whether `each` may be evicted for `wanted` now."""
    return wait_for(each, wanted, rules) <= 0.0


def wait_for(each: Loaded, wanted: Wanted, rules: Rules) -> float:
    """Seconds until `each` may be evicted for `wanted` if it is used as it is now."""
    residency = rules.residency_seconds - each.seconds
    if each.busy:
        turn = rules.batch_seconds - min(wanted.seconds, each.seconds)
    else:
        turn = min(LINGER_SECONDS, rules.batch_seconds) - each.unused_seconds
    return max(residency, turn, 0.0)


def _holds(chosen: Wanted | None, facts: Facts) -> Iterator[Action]:
    wanted: frozenset[str] = frozenset()
    if chosen is not None and chosen.model not in facts.overlap:
        wanted = frozenset(e.model for e in victims(chosen.model, facts) if e.busy)
    elif chosen is None and facts.swaps:
        wanted = facts.held & {each.model for each in facts.layout}
    yield from (Unhold(model) for model in sorted(facts.held - wanted))
    yield from (Hold(model) for model in sorted(wanted - facts.held))


# ---- the sentences


def no_place(model: str, layout: Iterable[Loaded]) -> Unavailable:
    names = [each.model for each in layout if each.pinned]
    pinned = ", ".join(names) or "other models"
    return Unavailable(
        f"{model} cannot be loaded: there is no place for it beside {pinned}, which may not be "
        "unloaded for a request (pinned).",
        param="model",
        advice=f"Unload with `spark-control unload {names[0] if names else 'MODEL'}`, or take "
        "`pinned` off in the catalog.",
        retry_after=_AGAIN_SECONDS,
    )


def not_asked(model: str) -> Unavailable:
    return Unavailable(
        f"{model} is not loaded, and a request may not load it.",
        param="model",
        advice=f"Load it with `spark-control swap {model}`; `swap` of the model or of the key, and "
        "`gateway.auto_swap`, say whether a request may.",
        retry_after=_AGAIN_SECONDS / 2,
    )
