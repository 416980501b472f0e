"""The policy in a world of simulated seconds: fair, restful, bounded."""

from itertools import cycle, islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.base.errors import Unavailable
from server.gateway.demand.model import (
    AskPeople,
    Facts,
    Hold,
    Loaded,
    Refuse,
    ReturnToDefault,
    Rules,
    StartSwap,
    Unhold,
    Unload,
    Wanted,
)
from server.gateway.demand.policy import decide
from tests.gateway.demand.world import Request, World

RULES = Rules(batch_seconds=60, residency_seconds=30)


def one(**fields: object) -> Loaded:
    return Loaded("a", **({"seconds": 1000.0, "idle_seconds": 1000.0} | fields))  # type: ignore[arg-type]


def facts(wanted: Wanted, *layout: Loaded, **more: object) -> Facts:
    gone = frozenset(each.model for each in layout)
    return Facts((wanted,), layout, evicts={wanted.model: gone}, **more)  # type: ignore[arg-type]


class TestTable:
    """Each row of the table in the header of the policy."""

    B = Wanted("b", 1, 5.0)
    START = StartSwap("b", "")

    def test_an_unused_model_past_residency_goes_at_once(self) -> None:
        """Nobody waits longer than needed."""
        assert decide(facts(self.B, one()), RULES) == (self.START,)

    def test_residency_is_kept_even_by_an_unused_model(self) -> None:
        """It was loaded for somebody a moment ago."""
        assert decide(facts(self.B, one(seconds=29.0)), RULES) == ()

    def test_a_model_in_use_goes_first_until_the_batch_is_over(self) -> None:
        """Then it is held, in the same breath in which the swap begins."""
        busy = one(in_flight=1)
        assert decide(facts(Wanted("b", 1, 59.0), busy), RULES) == ()
        assert decide(facts(Wanted("b", 1, 60.0), busy), RULES) == (Hold("a"), self.START)

    def test_a_batch_counts_from_when_the_model_in_use_began_to_serve(self) -> None:
        """Who waited through its load does not cut its batch short."""
        fresh = one(in_flight=1, seconds=40.0)
        assert decide(facts(Wanted("b", 1, 500.0), fresh), RULES) == ()

    def test_a_pause_between_two_questions_is_no_end(self) -> None:
        """A program that asks one question after the other is not interrupted."""
        assert decide(facts(self.B, one(idle_seconds=0.5)), RULES) == ()
        assert decide(facts(self.B, one(idle_seconds=1.5)), RULES) == (self.START,)

    def test_what_fits_beside_starts_at_once(self) -> None:
        """Nobody goes, so there is nothing to wait for."""
        busy = one(in_flight=5, seconds=1.0)
        assert decide(Facts((self.B,), (busy,), evicts={"b": frozenset()}), RULES) == (self.START,)

    def test_nobody_is_held_for_a_model_that_comes_in_beside_who_goes(self) -> None:
        """The old one answers until the new one has; only its turn is kept."""
        look = facts(Wanted("b", 1, 60.0), one(in_flight=1), overlap=frozenset({"b"}))
        assert decide(look, RULES) == (self.START,)
        early = facts(self.B, one(in_flight=1), overlap=frozenset({"b"}))
        assert decide(early, RULES) == ()

    @pytest.mark.parametrize("swaps", [("b",), ("a", "b"), ("a",), (None,)])
    def test_one_swap_at_a_time(self, swaps: tuple[str | None, ...]) -> None:
        """A swap to it, or to another, is waited for; what is held stays held."""
        look = facts(self.B, one(in_flight=1), swaps=swaps, held=frozenset({"a"}))
        assert decide(look, RULES) == ()

    def test_what_is_held_for_nothing_is_let_go(self) -> None:
        """Its swap is over, or its model was evicted; the pool must not stay closed."""
        look = Facts(layout=(one(),), held=frozenset({"a", "gone"}))
        assert decide(look, RULES) == (Unhold("a"), Unhold("gone"))

    def test_who_waits_for_what_cannot_be_loaded_is_refused_with_the_cause(self) -> None:
        """A failure of a moment ago, a disabled model."""
        error = Unavailable("out of memory")
        look = facts(self.B, one(), blocked={"b": error})
        assert decide(look, RULES) == (Refuse("b", error),)

    def test_a_place_held_by_pinned_models_is_a_refusal_that_names_them(self) -> None:
        """And says what to do."""
        look = Facts((self.B,), (one(pinned=True),), evicts={"b": None})
        (refused,) = decide(look, RULES)
        assert isinstance(refused, Refuse)
        assert "beside a" in refused.error.message
        assert "spark-control unload a" in (refused.error.advice or "")

    def test_ask_tells_people_once_and_never_starts(self) -> None:
        """Until one of those who wait may start it."""
        wanted = Wanted("b", 2, 500.0, "ask", caller="key")
        look = facts(wanted, one())
        assert decide(look, RULES) == (AskPeople("b", 2, "key"),)
        assert decide(facts(wanted, one(), asked=frozenset({"b"})), RULES) == ()

    def test_never_is_refused_even_when_its_model_went_while_it_waited(self) -> None:
        """It waited for a loaded model, which was evicted for another caller."""
        (refused,) = decide(facts(Wanted("b", 1, 1.0, "never"), one()), RULES)
        assert isinstance(refused, Refuse)

    def test_nobody_overtakes_who_is_overdue(self) -> None:
        """`b` needs both places, `c` only one of them; `b` has waited long enough."""
        layout = (one(), Loaded("x", 1000.0, in_flight=1, idle_seconds=0.0))
        fresh = Loaded("x", 10.0, in_flight=1)
        evicts = {"b": frozenset({"a", "x"}), "c": frozenset({"a"})}
        late = (Wanted("b", 1, 100.0), Wanted("c", 1, 10.0))
        assert decide(Facts(late, (one(), fresh), evicts=evicts), RULES) == ()
        assert StartSwap("b", "") in decide(Facts(late, layout, evicts=evicts), RULES)
        early = (Wanted("b", 1, 50.0), Wanted("c", 1, 10.0))
        assert decide(Facts(early, layout, evicts=evicts), RULES) == (StartSwap("c", ""),)

    def test_priority_is_a_head_start_and_not_a_right(self) -> None:
        """A step is worth a batch of waiting, and there are five at most."""
        evicts = {"b": frozenset({"a"}), "c": frozenset({"a"})}

        def first(b_waited: float) -> object:
            wanted = (Wanted("b", 1, b_waited), Wanted("c", 1, 1.0, priority=99))
            return decide(Facts(wanted, (one(),), evicts=evicts), RULES)[-1]

        assert first(290.0) == StartSwap("c", "")
        assert first(310.0) == StartSwap("b", "")


class TestSimulation:
    def test_requests_that_alternate_are_answered_in_batches(self) -> None:
        """`ABCABC…` does not thrash: a load per model and round, not per request."""
        arrivals = [Request(m, t * 2.0) for t, m in enumerate(islice(cycle("abc"), 150))]
        world = World(RULES)
        world.serve("a")
        world.run(1500, arrivals)
        assert all(each.done for each in arrivals)
        assert len(world.loads) <= 7
        gaps = [b - a for (a, _), (b, _) in pairwise(world.loads)]
        assert min(gaps) >= world.load + RULES.residency_seconds

    def test_endless_load_on_one_model_delays_another_by_a_batch_at_most(self) -> None:
        """B waits for the batch, the drain and its load; then A comes back."""
        world = World(RULES)
        world.serve("a")
        world.now = 100.0
        b = Request("b", 200.0)
        endless = [Request("a", float(t), answer=7.0) for t in range(100, 1500)]
        world.run(1200, [*endless, b])
        assert b.waited <= RULES.batch_seconds + world.drain + world.load + 2 * world.step
        assert world.loads[1][1] == "a"
        assert len(world.loads) == 2

    def test_all_that_gathered_are_answered_by_one_load(self) -> None:
        """Batch per model: the load was worth it."""
        world = World(RULES)
        world.serve("a")
        world.run(400, [Request("b", 40.0 + t) for t in range(50)])
        assert [model for _, model in world.loads] == ["b"]
        assert all(each.done for each in world.requests)

    def test_a_failed_load_is_not_tried_again_and_again(self) -> None:
        """Who waits gets the cause, once."""
        world = World(RULES, fails=frozenset({"b"}))
        world.run(500, [Request("b", 1.0), Request("b", 150.0)])
        assert [str(each.refused) for each in world.requests] == ["it failed"] * 2
        assert len(world.loads) == 1

    def test_several_places_take_several_models(self) -> None:
        """The third one evicts the one unused the longest."""
        world = World(RULES, places=2)
        world.run(1000, [Request("a", 0.0), Request("b", 10.0), Request("c", 500.0)])
        assert world.served() == {"b", "c"}
        assert world.evicted == ["a"]

    @settings(max_examples=120, deadline=None)
    @given(
        arrivals=st.lists(
            st.builds(
                Request,
                model=st.sampled_from("abcd"),
                arrives=st.integers(0, 900).map(float),
                answer=st.integers(1, 40).map(float),
                priority=st.integers(-3, 3),
            ),
            max_size=40,
        ),
        places=st.integers(1, 2),
        pinned=st.sampled_from([frozenset(), frozenset({"a"})]),
    )
    def test_whatever_arrives_waits_are_bounded_loads_are_few_and_pins_hold(
        self, arrivals: list[Request], places: int, pinned: frozenset[str]
    ) -> None:
        """Everybody is answered within the bound for four models, or refused for the pin; loads
        are a residency apart and no more than requests; nothing stays held."""
        world = World(RULES, places=places, pinned=pinned, load=50.0)
        world.serve("a")
        world.run(2600, arrivals)
        turn = RULES.batch_seconds + RULES.residency_seconds + world.drain + world.load
        head_start = 6 * RULES.batch_seconds
        for each in arrivals:
            if each.refused is not None:
                assert "pinned" in str(each.refused)
                assert places == 1
            else:
                assert each.waited <= 3 * turn + head_start
                assert each.done is not None
        assert len(world.loads) <= len(arrivals)
        assert not world.held
        assert "a" not in world.evicted or not pinned
        times = [moment for moment, _ in world.loads]
        assert all(b - a >= world.load for a, b in pairwise(times))


_seconds = st.integers(0, 200).map(float)
_loaded = st.builds(
    Loaded,
    st.sampled_from("ab"),
    _seconds,
    st.integers(0, 2),
    st.integers(0, 2),
    _seconds,
    st.sampled_from([0.0, 50.0]),
    st.booleans(),
)
_wanted = st.builds(
    Wanted,
    st.sampled_from("xyz"),
    st.integers(1, 3),
    _seconds,
    st.sampled_from(["auto", "ask", "never"]),
    st.integers(-9, 9),
)
_gone = st.none() | st.frozensets(st.sampled_from("ab"))
_facts = st.builds(
    Facts,
    st.lists(_wanted, max_size=3, unique_by=lambda one: one.model).map(tuple),
    st.lists(_loaded, max_size=2, unique_by=lambda one: one.model).map(tuple),
    st.lists(st.sampled_from(["a", "x", None]), max_size=2).map(tuple),
    st.fixed_dictionaries({"x": _gone, "y": _gone, "z": _gone, "home": _gone}),
    st.frozensets(st.sampled_from("xyz")),
    st.dictionaries(st.sampled_from("xyz"), st.just(Unavailable("no")), max_size=1),
    st.frozensets(st.sampled_from("abx")),
    st.frozensets(st.sampled_from("xyz")),
    st.none() | st.tuples(st.sampled_from(["a", "home"]), _seconds),
)


@settings(max_examples=200, deadline=None)
@given(look=_facts, batch=st.sampled_from([0.0, 60.0]), residency=st.sampled_from([0.0, 30.0]))
def test_whatever_is_seen_what_is_done_is_one_thing_and_allowed(
    look: Facts, batch: float, residency: float
) -> None:
    """At most one change of what is served, none while a swap is under way; only what an `auto`
    request wants is loaded; a model is refused, asked for or loaded, never two of these; only those
    in use that go are held, and what was held for nothing is let go."""
    rules = Rules(batch, residency, "home", 60)
    actions = decide(look, rules)
    changes = [a for a in actions if isinstance(a, StartSwap | Unload | ReturnToDefault)]
    assert len(changes) <= (0 if look.swaps else 1)
    starts = [a.model for a in actions if isinstance(a, StartSwap)]
    by_model = {one.model: one for one in look.wanted}
    for model in starts:
        assert by_model[model].policy == "auto"
        assert model not in look.blocked
        assert look.evicts[model] is not None
    answered = [a.model for a in actions if isinstance(a, StartSwap | Refuse | AskPeople)]
    assert len(answered) == len(set(answered))
    held = (look.held | {a.model for a in actions if isinstance(a, Hold)}) - {
        a.model for a in actions if isinstance(a, Unhold)
    }
    served = {one.model for one in look.layout}
    assert held <= served
    if starts:
        assert held <= (look.evicts[starts[0]] or frozenset())
    elif not look.swaps:
        assert not held
    for change in changes:
        if isinstance(change, Unload):
            assert not next(one for one in look.layout if one.model == change.model).pinned
