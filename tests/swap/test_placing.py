"""Where a new engine goes, who goes for it: never over memory, never a pinned one, few of them."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.base.errors import Conflict
from server.base.units import GIB
from server.swap.model import Use
from server.swap.placing import OS_RESERVE, Plan, Room, Rules, Tenant, Wish, place, worth_a_look

TOTAL = 120 * GIB
A, B = ("spark-1",), ("spark-2",)


def tenant(
    model: str, share: float = 0.3, *, slot: int = 0, hosts: tuple[str, ...] = A, **more: object
) -> Tenant:
    name = f"engine-{slot}" if slot else "engine"
    return Tenant(model, hosts, name, 8000 + slot, share, **more)  # type: ignore[arg-type]


def wish(share: float = 0.3, *groups: tuple[str, ...], model: str = "new") -> Wish:
    return Wish(model, share, groups or (A,), "engine", 8000)


def room(*tenants: Tenant, host: str = "spark-1", other: int = 4 * GIB) -> Room:
    used = sum(int(t.share * TOTAL) for t in tenants if host in t.hosts)
    return Room(TOTAL, TOTAL - used - other)


def used(idle: float = 0.0, in_flight: int = 0, waiting: int = 0) -> Use:
    return Use(in_flight, idle, waiting)


def test_the_first_model_takes_the_first_seat_after_a_sweep() -> None:
    """Nothing is asked of the hosts for it, and today's name and port are its own."""
    assert place(wish(), (), {}, Rules()) == Plan(A, 0, "engine", 8000, (), "replace")
    assert not worth_a_look(wish(), (), Rules())


def test_with_one_model_at_a_time_the_old_one_goes_first_when_both_do_not_fit() -> None:
    old = tenant("old", 0.8)
    plan = place(wish(0.8), (old,), {"spark-1": room(old)}, Rules())
    assert plan == Plan(A, 0, "engine", 8000, ("old",), "replace")
    assert not worth_a_look(wish(0.8), (old,), Rules())


def test_when_both_fit_the_old_one_goes_last() -> None:
    old = tenant("old")
    assert worth_a_look(wish(), (old,), Rules())
    plan = place(wish(), (old,), {"spark-1": room(old)}, Rules())
    assert plan == Plan(A, 1, "engine-1", 8001, ("old",), "overlap")


def test_overlap_never_is_obeyed() -> None:
    old = tenant("old")
    plan = place(wish(), (old,), {"spark-1": room(old)}, Rules(overlap="never"))
    assert (plan.evict, plan.mode, plan.slot) == (("old",), "replace", 0)
    assert not worth_a_look(wish(), (old,), Rules(overlap="never"))


def test_another_host_that_has_room_makes_the_overlap_possible() -> None:
    old = tenant("old", 0.8)
    rooms = {"spark-1": room(old), "spark-2": room(host="spark-2")}
    plan = place(wish(0.8, A, B), (old,), rooms, Rules())
    assert (plan.hosts, plan.slot, plan.evict, plan.mode) == (B, 0, ("old",), "overlap")


def test_unknown_memory_never_means_that_it_fits() -> None:
    """Then what serves there goes first, as it would with one model at a time."""
    old, other = tenant("old"), tenant("other", slot=1)
    plan = place(wish(), (old, other), {}, Rules(max_models=3))
    assert plan.mode == "replace"
    assert set(plan.evict) == {"old", "other"}
    half = {"spark-1": Room(TOTAL, None)}
    assert place(wish(), (old,), half, Rules(max_models=3)).mode == "replace"


def test_the_same_model_is_never_loaded_beside_itself() -> None:
    """Its requests could not be told apart. Not even a pin keeps it from being loaded anew."""
    old = tenant("new", pinned=True)
    plan = place(wish(), (old,), {"spark-1": room(old)}, Rules(max_models=3))
    assert (plan.evict, plan.mode, plan.slot) == (("new",), "replace", 0)


def test_a_second_model_stands_beside_the_first_when_memory_and_count_allow() -> None:
    old = tenant("old")
    plan = place(wish(), (old,), {"spark-1": room(old)}, Rules(max_models=2))
    assert plan == Plan(A, 1, "engine-1", 8001, (), "beside")


def test_the_guard_and_a_reserve_stay_free() -> None:
    old = tenant("old", 0.3)
    need = int(0.3 * TOTAL)
    enough = {"spark-1": Room(TOTAL, need + GIB + OS_RESERVE)}
    short = {"spark-1": Room(TOTAL, need + GIB + OS_RESERVE - 2)}
    rules = Rules(max_models=2, guard_bytes=GIB)
    assert place(wish(), (old,), enough, rules).mode == "beside"
    assert place(wish(), (old,), short, rules).evict == ("old",)


def test_the_least_valuable_goes_first() -> None:
    """Idle before wanted, then the longest idle."""
    busy = tenant("busy", use=used(0, in_flight=1))
    asked = tenant("asked", slot=1, use=used(900, waiting=2))
    fresh = tenant("fresh", slot=2, use=used(5))
    stale = tenant("stale", slot=3, use=used(500))
    four = (busy, asked, fresh, stale)
    rooms = {"spark-1": Room(TOTAL, 50 * GIB)}
    plan = place(wish(0.1), four, rooms, Rules(max_models=4))
    assert plan.evict == ("stale",)
    assert place(wish(0.1), four[:3], rooms, Rules(max_models=3)).evict == ("fresh",)


def test_one_large_eviction_is_better_than_two_small_ones() -> None:
    small, large = tenant("small", 0.1, use=used(900)), tenant("large", 0.5, slot=1)
    rooms = {"spark-1": room(small, large)}
    plan = place(wish(0.6), (small, large), rooms, Rules(max_models=4))
    assert plan.evict == ("large",)


def test_a_pinned_model_stays_and_all_pinned_is_refused_by_name() -> None:
    pinned, other = tenant("pinned", 0.4, pinned=True), tenant("other", 0.4, slot=1)
    rooms = {"spark-1": room(pinned, other)}
    assert place(wish(0.4), (pinned, other), rooms, Rules(max_models=2)).evict == ("other",)
    with pytest.raises(Conflict, match="pinned"):
        place(wish(0.4), (pinned,), {"spark-1": room(pinned)}, Rules(max_models=1))
    with pytest.raises(Conflict, match="pinned"):
        place(wish(0.9), (pinned,), {"spark-1": room(pinned)}, Rules(max_models=2))
    with pytest.raises(Conflict, match="pinned"):
        place(wish(0.1), (pinned,), {}, Rules(max_models=2))


def test_a_model_that_fits_nowhere_is_left_to_preflight_with_everybody_gone() -> None:
    """Preflight says why in full, and `force` may still try."""
    old = tenant("old", 0.4)
    tight = {"spark-1": Room(TOTAL, 10 * GIB)}
    plan = place(wish(0.95), (old,), tight, Rules(max_models=2))
    assert (plan.evict, plan.mode) == (("old",), "replace")


def test_a_port_of_a_service_and_the_name_of_a_left_over_engine_are_passed_over() -> None:
    old = tenant("old", 0.2)
    seen = room(old)
    taken = Room(seen.total, seen.available, {}, frozenset({"engine-2"}), frozenset({8001}))
    plan = place(wish(0.2), (old,), {"spark-1": taken}, Rules(max_models=2))
    assert (plan.slot, plan.container, plan.port) == (3, "engine-3", 8003)


def test_two_models_over_several_hosts_do_not_share_a_host() -> None:
    wide = tenant("wide", 0.2, hosts=("spark-1", "spark-2"))
    rooms = {"spark-1": room(wide), "spark-2": room(wide, host="spark-2")}
    plan = place(wish(0.2, ("spark-1", "spark-2")), (wide,), rooms, Rules(max_models=3))
    assert (plan.evict, plan.mode) == (("wide",), "replace")
    assert place(wish(0.2), (wide,), rooms, Rules(max_models=3)).mode == "beside"


shares = st.sampled_from([0.1, 0.2, 0.3, 0.45, 0.6, 0.9])
layouts = st.lists(
    st.tuples(shares, st.booleans(), st.booleans(), st.integers(0, 2), st.integers(0, 900)),
    max_size=5,
)


@settings(max_examples=200, deadline=None)
@given(
    rows=layouts,
    share=shares,
    most=st.integers(1, 5),
    both=st.booleans(),
    other=st.none() | st.integers(0, 60),
)
def test_never_over_memory_never_a_pinned_one_and_no_more_than_needed(
    rows: list[tuple[float, bool, bool, int, int]],
    share: float,
    most: int,
    both: bool,
    other: int | None,
) -> None:
    tenants = tuple(
        tenant(
            f"m{n}",
            one,
            slot=n,
            hosts=A if first else B,
            pinned=pinned,
            use=used(idle, in_flight),
        )
        for n, (one, pinned, first, in_flight, idle) in enumerate(rows)
    )
    rooms = {
        host: Room() if other is None else room(*tenants, host=host, other=other * GIB)
        for host in ("spark-1", "spark-2")
    }
    rules, asked = Rules(most, guard_bytes=GIB), wish(share, *((A, B) if both else (A,)))
    pinned = {t.model for t in tenants if t.pinned}
    try:
        plan = place(asked, tenants, rooms, rules)
    except Conflict:
        assert pinned
        return
    assert not pinned & set(plan.evict)
    staying = [t for t in tenants if t.model not in plan.evict]
    assert len(staying) < most
    beside = tenants if plan.mode == "overlap" else staying
    taken = {(host, t.port) for t in beside for host in t.hosts}
    assert not any((host, plan.port) in taken for host in plan.hosts)
    here = [t for t in staying if set(t.hosts) & set(plan.hosts)]
    gone = tuple(t for t in tenants if t.model in plan.evict)
    if here or plan.mode != "replace":
        freed = () if plan.mode != "replace" else gone
        assert _fits(plan.hosts, share, freed, rooms)
        fewer = combinations([t for t in tenants if not t.pinned], max(0, len(gone) - 1))
        for less in fewer if gone else ():
            left = len(tenants) - len(less)
            assert left >= most or not any(
                _fits(group, share, less, rooms) for group in asked.groups
            )


def _fits(
    hosts: tuple[str, ...], share: float, freed: tuple[Tenant, ...], rooms: dict[str, Room]
) -> bool:
    for host in hosts:
        seen = rooms[host]
        if seen.total is None or seen.available is None:
            return False
        back = sum(int(t.share * seen.total) for t in freed if host in t.hosts)
        if seen.available + back - share * seen.total < GIB + OS_RESERVE:
            return False
    return True
