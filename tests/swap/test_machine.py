"""The transition table, walked in full, and its invariants under any sequence of events."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    Event,
    Healthy,
    Hold,
    Placement,
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
from server.swap.machine import TABLE, advance, effect_of
from server.swap.model import FINAL, State, SwapError, SwapRecord
from server.swap.node import (
    FINAL_NODES,
    ROLLBACK,
    STAGE_OF,
    STATE_OF,
    UNTOUCHED,
    Node,
    rollback_tag,
    swap_of,
)
from tests.swap.made import at, deployment, engine, record, spec

ERROR = SwapError("oom", "it broke", "cause", "advice", "log")
OK_FINDING = {"code": "fit", "severity": "ok", "message": "fits", "advice": "", "host": None}
BAD_FINDING = {
    "code": "fit_cannot",
    "severity": "error",
    "message": "no",
    "advice": "a",
    "host": None,
}

ALONE = Placement(spec())
REPLACE = Placement(spec(), (deployment(),))
OVERLAP = Placement(spec(), (deployment(),), "overlap")
BESIDE = Placement(spec(), (), "beside")

EVENTS: tuple[Event, ...] = (
    Admitted(deployment()),
    Checked((OK_FINDING,), REPLACE),
    Drained(),
    Stopped(),
    StepBegan("stop", "spark-1"),
    Started(engine("swap-1")),
    Advanced("loading", 50.0, 10.0),
    Healthy(),
    Answered(),
    Discarded(),
    Broke(ERROR),
    CancelAsked("someone"),
)

NEXT: dict[tuple[Node, type], Node] = {
    (Node.QUEUED, Admitted): Node.PREFLIGHT,
    (Node.QUEUED, CancelAsked): Node.CANCELLED,
    (Node.PREFLIGHT, Checked): Node.DRAINING,
    (Node.PREFLIGHT, Broke): Node.RB_WARMING,
    (Node.PREFLIGHT, CancelAsked): Node.CANCELLED,
    (Node.CONFIRMING, Answered): Node.SERVING,
    (Node.CONFIRMING, Broke): Node.PREFLIGHT,
    (Node.CONFIRMING, CancelAsked): Node.CANCELLED,
    (Node.DRAINING, Drained): Node.STOPPING,
    (Node.DRAINING, Broke): Node.RB_WARMING,
    (Node.DRAINING, CancelAsked): Node.CANCELLED,
    (Node.STOPPING, Stopped): Node.STARTING,
    (Node.STOPPING, Broke): Node.RB_STOPPING,
    (Node.STOPPING, CancelAsked): Node.RB_STOPPING,
    (Node.STARTING, Started): Node.LOADING,
    (Node.STARTING, Broke): Node.RB_STOPPING,
    (Node.STARTING, CancelAsked): Node.RB_STOPPING,
    (Node.LOADING, Healthy): Node.WARMING,
    (Node.LOADING, Broke): Node.RB_STOPPING,
    (Node.LOADING, CancelAsked): Node.RB_STOPPING,
    (Node.WARMING, Answered): Node.SERVING,
    (Node.WARMING, Broke): Node.RB_STOPPING,
    (Node.WARMING, CancelAsked): Node.RB_STOPPING,
    (Node.RELIEVING, Drained): Node.RETIRING,
    (Node.RELIEVING, Broke): Node.RETIRING,
    (Node.RETIRING, Stopped): Node.SERVING,
    (Node.RETIRING, Broke): Node.SERVING,
    (Node.RB_STOPPING, Discarded): Node.RB_STARTING,
    (Node.RB_STOPPING, Broke): Node.FAILED,
    (Node.RB_STARTING, Started): Node.RB_LOADING,
    (Node.RB_STARTING, Broke): Node.RB_CLEANING,
    (Node.RB_LOADING, Healthy): Node.RB_WARMING,
    (Node.RB_LOADING, Broke): Node.RB_CLEANING,
    (Node.RB_WARMING, Answered): Node.ROLLED_BACK,
    (Node.RB_WARMING, Broke): Node.RB_CLEANING,
    (Node.RB_CLEANING, Discarded): Node.FAILED,
    (Node.RB_CLEANING, Broke): Node.FAILED,
}


def standing(node: Node) -> SwapRecord:
    """A record as it would stand in `node`, with a previous model and an engine."""
    tag = "swap-1-rb" if node in ROLLBACK else "swap-1"
    error = ERROR if node in ROLLBACK else None
    made = record(node.value, previous=deployment(), engine=engine(tag), error=error)
    return made.with_(state=STATE_OF[node])


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("node", list(Node))
def test_every_pair_of_node_and_event_goes_where_the_table_says(node: Node, event: Event) -> None:
    """A pair with a row moves as listed; a pair without one changes nothing at all."""
    before = standing(node)
    after, effects = advance(before, event, at(5))
    expected = NEXT.get((node, type(event)))
    if expected is not None:
        assert Node(after.node) is expected
        assert after.state is STATE_OF[expected]
    elif isinstance(event, (Advanced, StepBegan)) and (node, type(event)) in TABLE:
        assert (after.node, effects) == (before.node, ())
        assert after != before
    else:
        assert (after, effects) == (before, ())


def test_the_expected_moves_cover_the_table_exactly() -> None:
    """A row added to the table must be added here, with where it leads."""
    moving = {pair for pair in TABLE if pair[1] not in (Advanced, StepBegan)}
    assert moving == set(NEXT)


def test_every_node_has_a_state_and_a_stage() -> None:
    assert set(STATE_OF) == set(STAGE_OF) == set(Node)
    assert {STATE_OF[node] for node in FINAL_NODES} == FINAL


def test_a_swap_without_a_previous_model_runs_straight_through() -> None:
    """First load: nothing to drain, still everything of ours is stopped before the start."""
    made, effects = advance(record(), Admitted(None), at(0))
    assert effects == (Check(),)
    made, effects = advance(made, Checked((OK_FINDING,), ALONE), at(1))
    assert (made.state, effects) == (State.STOPPING, (StopAll(),))
    made, effects = advance(made, Stopped(), at(2))
    assert effects == (Start(made.target, "swap-1"),)
    made, effects = advance(made, Started(engine("swap-1")), at(3))
    assert effects == (Watch(made.target, made.engine),)
    made, effects = advance(made, Healthy(), at(4))
    assert effects == (Prove(made.target, made.engine),)
    made, effects = advance(made, Answered(), at(5))
    assert made.state is State.SERVING
    (serve,) = effects
    assert isinstance(serve, Serve)
    assert serve.deployment is not None
    assert serve.deployment.engine == made.engine
    assert [(s.name, s.state, s.seconds) for s in made.steps] == [
        ("preflight", "done", 1.0),
        ("stopping", "done", 1.0),
        ("starting", "done", 1.0),
        ("loading", "done", 1.0),
        ("warming", "done", 1.0),
    ]


def test_the_old_engine_is_held_drained_and_taken_off_before_it_is_stopped() -> None:
    made, _ = advance(record(), Admitted(deployment()), at(0))
    made, effects = advance(made, Checked((OK_FINDING,), REPLACE), at(1))
    assert effects == (Hold(("old",)), Drain(("old",)))
    made, effects = advance(made, Drained(), at(2))
    assert effects == (Serve(drop=("old",)), StopAll())


def test_a_refused_preflight_proves_that_the_previous_model_still_answers() -> None:
    """`rolled_back` is only said after an answer, even when nothing was touched."""
    made, _ = advance(record(), Admitted(deployment()), at(0))
    made, effects = advance(made, Checked((BAD_FINDING,), REPLACE), at(1))
    previous = deployment()
    assert effects == (Admit(("old",)), Prove(previous.spec, previous.engine))
    assert made.error is not None
    assert made.error.code == "fit_cannot"
    made, _ = advance(made, Answered(), at(2))
    assert made.state is State.ROLLED_BACK


def test_a_refused_preflight_with_nothing_served_has_failed() -> None:
    made, _ = advance(record(), Admitted(None), at(0))
    made, effects = advance(made, Checked((BAD_FINDING,), ALONE), at(1))
    assert (made.state, effects) == (State.FAILED, (Serve(),))


def test_force_overrides_the_findings_and_keeps_them() -> None:
    made, _ = advance(record(force=True), Admitted(None), at(0))
    made, _ = advance(made, Checked((BAD_FINDING,), ALONE), at(1))
    assert made.state is State.STOPPING
    assert made.findings == (BAD_FINDING,)


def test_force_never_opens_a_directory_that_nobody_allowed() -> None:
    outside = BAD_FINDING | {"code": "files_outside"}
    made, _ = advance(record(force=True), Admitted(None), at(0))
    made, _ = advance(made, Checked((BAD_FINDING, outside), ALONE), at(1))
    assert made.state is State.FAILED
    assert made.error is not None
    assert made.error.code == "files_outside"


def test_an_untouched_previous_engine_that_is_mute_is_started_again() -> None:
    """Else `failed` would leave a hung engine on the host."""
    previous = deployment()
    made = record("rb_warming", previous=previous, engine=previous.engine, error=ERROR)
    made, effects = advance(made, Broke(ERROR), at(1))
    assert Node(made.node) is Node.RB_STARTING
    assert effects == (Serve(drop=("old",)), Restore(previous, "swap-1-rb"))


def test_a_model_already_served_is_only_asked_for_an_answer() -> None:
    made, effects = advance(record(), Admitted(deployment("new"), already=True), at(0))
    assert made.state is State.WARMING
    assert isinstance(effects[0], Prove)
    made, effects = advance(made, Answered(), at(1))
    assert made.state is State.SERVING


def test_force_restarts_a_model_already_served() -> None:
    made, _ = advance(record(force=True), Admitted(deployment("new"), already=True), at(0))
    assert made.state is State.PREFLIGHT


def test_an_unload_ends_with_nothing_served() -> None:
    asked = Admitted(deployment(), evicted=(deployment(),))
    made, effects = advance(record(unload=True), asked, at(0))
    assert effects == (Hold(("old",)), Drain(("old",)))
    made, _ = advance(made, Drained(), at(1))
    made, effects = advance(made, Stopped(), at(2))
    assert (made.state, effects) == (State.UNLOADED, (Serve(drop=("old",)),))


def test_a_cancelled_unload_restores_the_model() -> None:
    made = record("stopping", unload=True, previous=deployment())
    made, effects = advance(made, CancelAsked("me"), at(1))
    assert effects == (Restore(deployment(), "swap-1-rb"),)


def test_a_cancelled_load_ends_cancelled_with_the_previous_model_proven() -> None:
    made, _ = advance(standing(Node.LOADING), CancelAsked("me"), at(1))
    made, _ = advance(made, Discarded(), at(2))
    made, _ = advance(made, Started(engine("swap-1-rb", "old")), at(3))
    made, _ = advance(made, Healthy(), at(4))
    made, effects = advance(made, Answered(), at(5))
    assert (made.state, made.cancelled_by, made.error) == (State.CANCELLED, "me", None)
    (serve,) = effects
    assert isinstance(serve, Serve)
    assert serve.deployment is not None
    assert serve.deployment.engine.tag == "swap-1-rb"


def test_a_rollback_that_fails_says_both_reasons() -> None:
    made = standing(Node.RB_LOADING)
    made, effects = advance(made, Broke(SwapError("died", "the old one died")), at(1))
    assert effects == (Discard(deployment().spec, "swap-1-rb"),)
    made, effects = advance(made, Discarded(), at(2))
    assert made.state is State.FAILED
    assert made.error is not None
    assert "it broke" in made.error.message
    assert "the old one died" in made.error.message
    assert made.error.code == "oom"


def test_percent_never_goes_back_within_a_direction() -> None:
    made = standing(Node.LOADING)
    made, _ = advance(made, Advanced("x", 60.0, 5.0), at(1))
    made, _ = advance(made, Advanced("y", 40.0, 9.0), at(2))
    assert made.percent == 60.0
    made, _ = advance(made, Advanced("z", 250.0, 0.0), at(3))
    assert made.percent == 99.0


@pytest.mark.parametrize("node", [n for n in Node if n not in FINAL_NODES and n is not Node.QUEUED])
def test_every_working_node_knows_the_effect_to_repeat_after_a_crash(node: Node) -> None:
    """What a restart carries out again is exactly what entering the node had asked for."""
    assert effect_of(standing(node)) is not None


@pytest.mark.parametrize("node", list(Node))
def test_a_record_survives_the_database(node: Node) -> None:
    made = standing(node)
    assert SwapRecord.from_saved(made.to_saved()) == made


event_lists = st.lists(
    st.sampled_from(
        [
            *EVENTS,
            Checked((BAD_FINDING,), REPLACE),
            Checked((OK_FINDING,), ALONE),
            Checked((OK_FINDING,), OVERLAP),
            Checked((OK_FINDING,), BESIDE),
            Admitted(None),
            Admitted(deployment(), evicted=(deployment(), deployment("older", "swap-00"))),
            Admitted(deployment("new"), already=True),
            Started(engine("swap-1-rb", "old")),
        ]
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(events=event_lists, unload=st.booleans(), force=st.booleans())
def test_invariants_hold_for_any_sequence_of_events(
    events: list[Event], unload: bool, force: bool
) -> None:
    """Final is final; an engine starts only after a stop; what is shown served was proven."""
    made = record(unload=unload, force=force)
    cleared = False
    for number, event in enumerate(events):
        node = Node(made.node)
        after, effects = advance(made, event, at(number))
        if made.state.final:
            assert (after, effects) == (made, ())
        if node in UNTOUCHED and isinstance(event, CancelAsked):
            assert not any(isinstance(e, (StopAll, Discard, Serve)) for e in effects)
        cleared = cleared or isinstance(event, (Stopped, Discarded))
        for effect in effects:
            if isinstance(effect, Start):
                assert cleared or after.mode != "replace"
            if isinstance(effect, Serve) and effect.deployment is not None:
                assert isinstance(event, Answered)
        if after.state.final:
            assert after.finished_at is not None
            assert all(step.state != "running" for step in after.steps)
            assert any(isinstance(e, (Serve, Admit)) for e in effects) or made.state.final
        made = replace(after)


def test_a_first_load_does_not_say_that_it_stops_an_engine() -> None:
    made, _ = advance(record(), Admitted(None), at(0))
    made, _ = advance(made, Checked((OK_FINDING,), ALONE), at(1))
    assert made.stage == "making sure that nothing else runs"
    made, _ = advance(record(unload=True), Admitted(None), at(0))
    assert made.stage == "making sure that nothing else runs"


def test_a_load_that_follows_a_mute_confirmation_counts_from_nothing() -> None:
    """The confirmation stood near the end of the bar; the load has it all before it."""
    made = standing(Node.CONFIRMING)
    made, _ = advance(made, Advanced("asking", 97.0, 2.0), at(1))
    made, _ = advance(made, Broke(ERROR), at(2))
    assert (Node(made.node), made.percent, made.eta_seconds) == (Node.PREFLIGHT, 0.0, None)


def test_a_clean_up_that_fails_is_not_told_as_done() -> None:
    left = SwapError("command_failed", "the container did not go away")
    made, _ = advance(standing(Node.RB_LOADING), Broke(ERROR), at(1))
    made, _ = advance(made, Broke(left), at(2))
    assert made.state is State.FAILED
    assert made.steps[-1].state == "failed"
    assert made.error is not None
    assert "did not go away" in made.error.message


def test_a_cancelled_unload_of_nothing_starts_nothing() -> None:
    made, _ = advance(record(unload=True), Admitted(None), at(0))
    made, effects = advance(made, CancelAsked("me"), at(1))
    assert (made.state, effects) == (State.CANCELLED, (Serve(),))
    assert [step.name for step in made.steps] == ["stopping"]


# ---- several models at once


def overlapping(node: Node) -> SwapRecord:
    """An overlap as it would stand in `node`: nothing of the old model was touched."""
    made = record(node.value, previous=deployment(), engine=engine("swap-1"))
    return made.with_(state=STATE_OF[node], mode="overlap", touched=False)


def test_an_overlap_moves_the_traffic_before_it_drains_and_stops_the_old_one() -> None:
    made, _ = advance(record(evicted=()).with_(touched=False), Admitted(deployment()), at(0))
    made, effects = advance(made, Checked((OK_FINDING,), OVERLAP), at(1))
    assert effects == (Start(made.target, "swap-1"),)
    made, _ = advance(made, Started(engine("swap-1")), at(2))
    made, _ = advance(made, Healthy(), at(3))
    made, effects = advance(made, Answered(), at(4))
    serve, hold, drain = effects
    assert isinstance(serve, Serve)
    assert (serve.deployment is not None, serve.drop) == (True, ())
    assert (hold, drain) == (Hold(("old",)), Drain(("old",)))
    assert made.state is State.DRAINING
    made, effects = advance(made, Drained(), at(5))
    assert effects == (Serve(drop=("old",)), Retire((deployment(),)))
    assert made.state is State.STOPPING
    made, effects = advance(made, Stopped(), at(6))
    assert (made.state, made.previous_model) == (State.SERVING, "old")


def test_an_old_engine_that_will_not_go_is_told_and_fails_nothing() -> None:
    made, effects = advance(overlapping(Node.RETIRING), Broke(ERROR), at(1))
    assert (made.state, made.error) == (State.SERVING, None)
    (tell,) = [effect for effect in effects if isinstance(effect, Tell)]
    assert "old" in tell.message


@pytest.mark.parametrize("node", [Node.STARTING, Node.LOADING, Node.WARMING])
@pytest.mark.parametrize("event", [Broke(ERROR), CancelAsked("me")])
def test_an_overlap_that_does_not_come_off_leaves_the_old_one_alone(
    node: Node, event: Event
) -> None:
    """It is only asked for an answer, so that what is said of it is true."""
    made, effects = advance(overlapping(node), event, at(1))
    assert effects == (Discard(made.target, "swap-1"),)  # type: ignore[arg-type]
    made, effects = advance(made, Discarded(), at(2))
    old = deployment()
    assert effects == (Admit(("old",)), Prove(old.spec, old.engine))
    made, _ = advance(made, Answered(), at(3))
    ended = State.ROLLED_BACK if isinstance(event, Broke) else State.CANCELLED
    assert made.state is ended


def test_beside_touches_nobody_and_a_failure_proves_what_was_shown() -> None:
    made, _ = advance(record(evicted=()).with_(touched=False), Admitted(deployment()), at(0))
    made, effects = advance(made, Checked((OK_FINDING,), BESIDE), at(1))
    assert effects == (Start(made.target, "swap-1"),)
    made, _ = advance(made, Broke(ERROR), at(2))
    made, effects = advance(made, Discarded(), at(3))
    assert effects == (Admit(()), Prove(deployment().spec, deployment().engine))
    made, _ = advance(made, Answered(), at(4))
    assert (made.state, made.previous_model) == (State.ROLLED_BACK, "old")


def test_a_neighbour_that_is_mute_is_not_restarted_for_a_swap_that_was_to_move_nobody() -> None:
    """It may have its hands full. What was proven is said, and no more than that."""
    made = overlapping(Node.RB_WARMING).with_(
        mode="beside", evicted=(), engine=deployment().engine, error=ERROR
    )
    made, effects = advance(made, Broke(SwapError("no_answer", "it gave no token")), at(1))
    assert (made.state, effects) == (State.FAILED, (Serve(),))
    assert made.error is not None
    assert "old runs, but: it gave no token" in made.error.message


TWO_OLD = (deployment("old", "swap-0"), deployment("older", "swap-00"))


def two_gone(node: Node, **changes: object) -> SwapRecord:
    made = record(node.value, previous=TWO_OLD[0], evicted=TWO_OLD, error=ERROR)
    return made.with_(state=STATE_OF[node], **changes)


def test_a_rollback_restores_every_evicted_model_one_after_another() -> None:
    made, effects = advance(two_gone(Node.RB_STOPPING), Discarded(), at(1))
    for number, old in enumerate(TWO_OLD):
        tag = f"swap-1-rb{number or ''}"
        assert effects[-1] == Restore(old, tag)
        assert made.state is State.ROLLING_BACK
        made, _ = advance(made, Started(engine(tag, old.spec.model)), at(2))
        made, effects = advance(made, Healthy(), at(3))
        made, effects = advance(made, Answered(), at(4))
        assert isinstance(effects[0], Serve)
        assert effects[0].deployment is not None
        assert effects[0].deployment.spec.model == old.spec.model
    assert made.state is State.ROLLED_BACK


def test_one_that_cannot_be_restored_keeps_the_next_from_nothing() -> None:
    """The others come back all the same; the end says which one did not."""
    made = two_gone(Node.RB_LOADING, engine=engine("swap-1-rb", "old"))
    made, _ = advance(made, Broke(SwapError("died", "it died")), at(1))
    made, effects = advance(made, Discarded(), at(2))
    assert effects == (Serve(drop=("old",)), Restore(TWO_OLD[1], "swap-1-rb1"))
    made, _ = advance(made, Started(engine("swap-1-rb1", "older")), at(3))
    made, _ = advance(made, Healthy(), at(4))
    made, _ = advance(made, Answered(), at(5))
    assert made.state is State.FAILED
    assert made.error is not None
    assert "old could not be restored: it died" in made.error.message


def test_an_unload_of_one_names_it_alone() -> None:
    asked = record(unload=True).with_(unloads="old")
    made, effects = advance(asked, Admitted(deployment(), evicted=(deployment(),)), at(0))
    assert effects == (Hold(("old",)), Drain(("old",)))
    assert made.previous_model == "old"


def test_a_record_from_before_there_was_a_layout_still_loads() -> None:
    """What was served then is what went for it."""
    saved = record("rb_loading", previous=deployment(), engine=engine("swap-1-rb")).to_saved()
    for key in ("evicted", "mode", "restored", "lost", "touched", "unloads", "fixed"):
        del saved[key]
    loaded = SwapRecord.from_saved(saved)
    assert loaded.evicted == (deployment(),)
    assert effect_of(loaded) == Watch(deployment().spec, loaded.engine)  # type: ignore[arg-type]


def test_the_tag_of_an_engine_names_its_swap_and_its_number_in_the_rollback() -> None:
    assert swap_of("swap-1") == ("swap-1", None)
    assert swap_of(rollback_tag("swap-1")) == ("swap-1", 0)
    assert swap_of(rollback_tag("swap-1", 2)) == ("swap-1", 2)
