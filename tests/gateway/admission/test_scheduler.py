"""The scheduler: who goes, who waits and hears what, who is refused. No clock, no tasks."""

from collections.abc import Iterable
from typing import Any

import pytest

from server.base.errors import ModelLoading, QueueFull, SparkError, Unavailable
from server.gateway.admission.breaker import Position, Rules
from server.gateway.admission.model import (
    Asked,
    Closed,
    Effect,
    EtaSet,
    Granted,
    Held,
    Left,
    More,
    PoolsChanged,
    Probed,
    Refused,
    Released,
    Reported,
    Tick,
    Told,
    Turned,
    Unheld,
)
from server.gateway.admission.scheduler import AT_ONCE, Scheduler
from server.gateway.admission.shown import snapshot
from server.gateway.model import Upstream, Waiting
from tests.gateway.admission.made import caller, down, entry, flying, upstream

NOW = 1000.0


def ready(pools: dict[str, tuple[Upstream, ...]] | None = None, **rules: Any) -> Scheduler:
    scheduler = Scheduler(Rules(**rules))
    scheduler.advance(PoolsChanged(pools or {"kind:asr": (upstream(),)}), NOW)
    return scheduler


def let_in(effects: Iterable[Effect]) -> list[int]:
    return [effect.ticket for effect in effects if isinstance(effect, Granted)]


def told(effects: Iterable[Effect]) -> Waiting:
    return next(effect.waiting for effect in effects if isinstance(effect, Told))


def refusal(effects: Iterable[Effect]) -> SparkError:
    return next(effect.error for effect in effects if isinstance(effect, Refused))


def ask(scheduler: Scheduler, ticket: int, now: float = NOW, **fields: Any) -> list[Effect]:
    return scheduler.advance(Asked(entry(ticket, **({"arrived": now} | fields))), now)


def fail(scheduler: Scheduler, ticket: int, now: float = NOW) -> list[Effect]:
    """Ask, be let in, see it fail."""
    asked = ask(scheduler, ticket, now)
    assert let_in(asked) == [ticket]
    reported = scheduler.advance(Reported(ticket, "failed"), now)
    return reported + scheduler.advance(Released(ticket), now)


# ---- order -------------------------------------------------------------------------------------


def test_who_comes_first_goes_first() -> None:
    """One after the other, as each gives its place back."""
    scheduler = ready()
    order = let_in(effect for ticket in range(1, 6) for effect in ask(scheduler, ticket))
    for ticket in range(1, 6):
        order += let_in(scheduler.advance(Released(ticket), NOW))
    assert order == [1, 2, 3, 4, 5]


def test_a_higher_priority_goes_first_also_when_it_comes_later() -> None:
    """Those who wait already, in the same lane, are overtaken."""
    scheduler = ready()
    for ticket in (1, 2, 3):
        ask(scheduler, ticket)
    ask(scheduler, 4, by=caller("vip", priority=1))
    assert let_in(scheduler.advance(Released(1), NOW)) == [4]
    assert let_in(scheduler.advance(Released(4), NOW)) == [2]


def test_nobody_starves() -> None:
    """With an important caller every second, an unimportant one waits its levels of aging only."""
    scheduler = ready()
    ask(scheduler, 1)
    ask(scheduler, 2)
    running, ticket, waited = 1, 2, 0
    while 2 in scheduler.waiting:
        ticket, waited = ticket + 1, waited + 1
        ask(scheduler, ticket, NOW + waited, by=caller("vip", priority=3))
        (running,) = let_in(scheduler.advance(Released(running), NOW + waited))
    assert running == 2
    assert waited == pytest.approx(3 * 30, abs=1)


def test_a_request_that_failed_elsewhere_keeps_its_arrival() -> None:
    """Failover does not begin at the end of the queue."""
    scheduler = ready()
    for ticket in (1, 2, 3):
        ask(scheduler, ticket)
    ask(scheduler, 4, NOW + 5, arrived=NOW - 5, exclude=frozenset({"b"}))
    assert let_in(scheduler.advance(Released(1), NOW + 5)) == [4]


def test_pools_that_share_an_upstream_share_its_cap_and_its_queue() -> None:
    """Asked by kind or by name: the older request gets the place."""
    scheduler = ready({"kind:asr": (upstream(),), "service:a": (upstream(),)})
    ask(scheduler, 1)
    ask(scheduler, 2, pool="service:a")
    ask(scheduler, 3)
    assert let_in(scheduler.advance(Released(1), NOW)) == [2]
    assert let_in(scheduler.advance(Released(2), NOW)) == [3]
    assert flying(scheduler) == {"a": 1}


def test_of_two_bounds_for_one_upstream_the_smaller_one_holds() -> None:
    """Whichever pool said it, and whichever is named first."""
    for bounds in ((1, None), (None, 1), (1, 3), (3, 1)):
        one, other = (upstream(cap=cap) for cap in bounds)
        scheduler = ready({"kind:asr": (one,), "service:a": (other,)})
        pools = ("kind:asr", "service:a")
        assert [let_in(ask(scheduler, number, pool=pool)) for number, pool in enumerate(pools)] == [
            [0],
            [],
        ]


def test_the_short_way_in_overtakes_nobody() -> None:
    """A breaker's time is over, nobody noticed yet, and somebody else asks by another name."""
    pools = {"kind:asr": (upstream(),), "service:a": (upstream(),)}
    scheduler = ready(pools, row=1, first_seconds=2.0)
    fail(scheduler, 1)
    ask(scheduler, 2)
    late = entry(3, "service:a", arrived=NOW + 3)
    assert scheduler.seize(late, NOW + 3) is None
    assert let_in(scheduler.advance(Asked(late), NOW + 3)) == [2]
    assert set(scheduler.waiting) == {3}


def test_a_client_that_has_all_it_may_have_lets_others_pass() -> None:
    """Its further requests wait, wherever they go; each it gives back lets one of them in."""
    scheduler = ready({"kind:asr": (upstream(cap=9),), "service:b": (upstream("b", 9),)})
    greedy = caller("greedy", max_in_flight=2)
    went = [ticket for ticket in range(1, 5) if let_in(ask(scheduler, ticket, by=greedy))]
    assert went == [1, 2]
    assert "limit" in told(ask(scheduler, 5, pool="service:b", by=greedy)).reason
    assert let_in(ask(scheduler, 6)) == [6]
    assert let_in(scheduler.advance(Released(6), NOW)) == []
    assert let_in(scheduler.advance(Released(1), NOW)) == [3]
    assert let_in(scheduler.advance(Released(2), NOW)) == [4]
    assert let_in(scheduler.advance(Released(3), NOW)) == [5]


def test_thousands_who_may_go_go_in_portions() -> None:
    """A model is loaded: the event that says so is short, and nobody overtakes meanwhile."""
    scheduler = ready({"model:m": ()})
    for ticket in range(1, 101):
        ask(scheduler, ticket, pool="model:m")
    loaded = {"model:m": (upstream("m@spark-1", None, engine=True),)}
    went = let_in(scheduler.advance(PoolsChanged(loaded), NOW))
    assert went == list(range(1, AT_ONCE + 1))
    assert scheduler.behind
    assert scheduler.seize(entry(101, "model:m"), NOW) is None
    ask(scheduler, 101, pool="model:m")
    while scheduler.behind:
        scheduler.advance(More(), NOW)
    assert scheduler.waiting == {}
    assert flying(scheduler) == {"m@spark-1": 101}


# ---- who is refused ----------------------------------------------------------------------------


def test_a_full_queue_refuses_with_the_time_it_takes() -> None:
    """429 with what was learned; who could go at once is not counted."""
    scheduler = ready()
    ask(scheduler, 1)
    scheduler.advance(Reported(1, "answered"), NOW + 8)
    scheduler.advance(Released(1), NOW + 8)
    assert let_in(ask(scheduler, 2, NOW + 8, queue_limit=1)) == [2]
    ask(scheduler, 3, NOW + 8, queue_limit=1)
    error = refusal(ask(scheduler, 4, NOW + 8, queue_limit=1))
    assert isinstance(error, QueueFull)
    assert error.retry_after == 16
    assert set(scheduler.waiting) == {3}


def test_one_client_cannot_keep_the_others_out() -> None:
    """Its last one makes room, those who stay keep their order, and the bound is kept."""
    scheduler = ready()
    ask(scheduler, 1)
    for ticket in range(2, 12):
        ask(scheduler, ticket, queue_limit=10)
    effects = ask(scheduler, 12, NOW + 1, by=caller("ben"), queue_limit=10)
    assert told(effects).position == 10
    assert [one.ticket for one in effects if isinstance(one, Refused)] == [11]
    error = refusal(effects)
    assert isinstance(error, QueueFull)
    assert "made room" in error.message
    assert error.retry_after
    assert refusal(ask(scheduler, 13, NOW + 2, queue_limit=10)).code == "queue_full"
    assert set(scheduler.waiting) == {*range(2, 11), 12}


def test_places_are_taken_from_the_most_only() -> None:
    """Up to one fewer than the heaviest has; then newcomers are refused, and nobody swaps places
    in turn."""
    scheduler = ready()
    ask(scheduler, 1)
    for ticket in range(2, 12):
        ask(scheduler, ticket, queue_limit=10)
    got = [
        any(isinstance(one, Told) for one in ask(scheduler, 20 + number, by=caller("ben"),
                                                queue_limit=10))
        for number in range(10)
    ]  # fmt: skip
    assert got == [True] * 5 + [False] * 5
    again = ask(scheduler, 40, queue_limit=10)
    assert [one.ticket for one in again if isinstance(one, Refused)] == [40]


def test_a_bound_that_is_lowered_lets_nobody_in_until_it_holds_again() -> None:
    """Those who wait already are not sent away for it."""
    scheduler = ready()
    ask(scheduler, 1)
    for ticket in range(2, 12):
        ask(scheduler, ticket, queue_limit=10)
    effects = ask(scheduler, 12, by=caller("ben"), queue_limit=4)
    assert [one.ticket for one in effects if isinstance(one, Refused)] == [12]
    assert len(scheduler.waiting) == 10


def test_ten_thousand_who_are_refused_cost_little() -> None:
    """What one of them costs does not grow with those who wait and their clients: every step of a
    newcomer touches one bucket and two lines."""
    scheduler = ready()
    clients = [caller(f"c{number}") for number in range(2000)]
    for ticket in range(10_001):
        ask(scheduler, ticket, by=clients[ticket % 2000], queue_limit=10_000)
    assert len(scheduler.waiting) == 10_000
    for ticket in range(10_001, 20_001):
        (effect,) = ask(scheduler, ticket, by=clients[ticket % 2000], queue_limit=10_000)
        assert isinstance(effect, Refused)
    light = caller("light")
    assert any(isinstance(e, Told) for e in ask(scheduler, 30_000, by=light, queue_limit=10_000))


def test_patience_ends_exactly_then() -> None:
    """503 with Retry-After, not a moment sooner."""
    scheduler = ready()
    ask(scheduler, 1)
    ask(scheduler, 2, patience=10.0)
    assert scheduler.due() == NOW + 10
    assert not any(isinstance(one, Refused) for one in scheduler.advance(Tick(), NOW + 9.9))
    error = refusal(scheduler.advance(Tick(), NOW + 10))
    assert isinstance(error, Unavailable)
    assert "all places are taken" in error.message
    assert error.retry_after
    assert scheduler.due() is None


def test_a_model_that_does_not_come_in_time_is_still_loading() -> None:
    """With what its load still takes."""
    scheduler = ready({"model:m": ()})
    ask(scheduler, 1, pool="model:m", patience=10.0)
    scheduler.advance(EtaSet("model:m", 100.0), NOW)
    error = refusal(scheduler.advance(Tick(), NOW + 40))
    assert isinstance(error, ModelLoading)
    assert error.retry_after == 60


def test_who_has_no_patience_does_not_wait() -> None:
    """Let in or refused in the same breath."""
    scheduler = ready()
    assert let_in(ask(scheduler, 1, patience=0.0)) == [1]
    assert isinstance(refusal(ask(scheduler, 2, patience=0.0)), Unavailable)
    assert scheduler.waiting == {}


@pytest.mark.parametrize(
    ("pools", "fields", "words"),
    [
        ({"kind:tts": ()}, {"pool": "kind:tts"}, "no upstream"),
        ({}, {"pool": "kind:tts"}, "no upstream"),
        ({"kind:asr": (down(reason="the container exited"),)}, {}, "the container exited"),
        ({"kind:asr": (upstream(),)}, {"exclude": frozenset({"a"})}, "has failed this request"),
    ],
)
def test_nobody_waits_for_what_cannot_come(
    pools: dict[str, tuple[Upstream, ...]], fields: dict[str, Any], words: str
) -> None:
    """Refused at once, with the reason."""
    scheduler = Scheduler()
    scheduler.advance(PoolsChanged(pools), NOW)
    error = refusal(ask(scheduler, 1, **fields))
    assert isinstance(error, Unavailable)
    assert words in error.message
    assert scheduler.waiting == {}


@pytest.mark.parametrize(
    "upstreams",
    [(), (down("m@spark-1"),), (upstream("m@spark-1", accepting=False),)],
)
def test_a_model_can_be_waited_for(upstreams: tuple[Upstream, ...]) -> None:
    """Not loaded, dead and about to be restarted, draining: all of that passes."""
    scheduler = ready({"model:m": upstreams})
    assert told(ask(scheduler, 1, pool="model:m")).position == 1
    loaded = {"model:m": (upstream("m@spark-1"),)}
    assert let_in(scheduler.advance(PoolsChanged(loaded), NOW)) == [1]


def test_a_service_that_is_taken_out_lets_nobody_wait() -> None:
    """Who waits is told; a model's queue is held."""
    scheduler = ready({"kind:asr": (upstream(),), "model:m": ()})
    for ticket, pool in ((1, "kind:asr"), (2, "kind:asr"), (3, "model:m")):
        ask(scheduler, ticket, pool=pool)
    effects = scheduler.advance(PoolsChanged({}), NOW)
    assert [one.ticket for one in effects if isinstance(one, Refused)] == [2]
    assert set(scheduler.waiting) == {3}
    assert flying(scheduler) == {"a": 1}


def test_turned_away_and_closed() -> None:
    """Everybody who waits there hears the same; after the end, everybody who asks."""
    scheduler = ready({"kind:asr": (upstream(),), "model:m": ()})
    for ticket, pool in ((1, "kind:asr"), (2, "model:m"), (3, "model:m"), (4, "kind:asr")):
        ask(scheduler, ticket, pool=pool)
    no = Unavailable("it does not fit")
    assert scheduler.advance(Turned("model:m", no), NOW) == [Refused(2, no), Refused(3, no)]
    end = Unavailable("the end")
    assert scheduler.advance(Closed(end), NOW) == [Refused(4, end)]
    scheduler.advance(Released(1), NOW)
    assert scheduler.seize(entry(5), NOW) is None
    assert ask(scheduler, 6) == [Refused(6, end)]


# ---- leaving, holding, news --------------------------------------------------------------------


def test_who_leaves_frees_its_place_in_the_queue() -> None:
    """Those behind move up; leaving twice is as good as once."""
    scheduler = ready()
    for ticket in (1, 2, 3):
        ask(scheduler, ticket)
    scheduler.advance(Left(2), NOW)
    scheduler.advance(Left(2), NOW)
    assert told(scheduler.advance(Tick(), NOW)).position == 1
    assert let_in(scheduler.advance(Released(1), NOW)) == [3]


def test_a_held_pool_gets_nothing_new() -> None:
    """Until it is let go for every cause; then those who waited go, without another event."""
    scheduler = ready({"model:m": (upstream("m@spark-1", 2),)})
    scheduler.advance(Held("model:m", "another model goes first"), NOW)
    assert scheduler.seize(entry(1, "model:m"), NOW) is None
    assert "another model" in told(ask(scheduler, 1, pool="model:m")).reason
    scheduler.advance(Held("model:m", "a sweep ends first"), NOW)
    assert scheduler.advance(Unheld("model:m", "another model goes first"), NOW) == []
    assert told(scheduler.advance(Tick(), NOW)).reason == "a sweep ends first"
    assert let_in(scheduler.advance(Unheld("model:m", "a sweep ends first"), NOW)) == [1]
    assert scheduler.advance(Unheld("model:m", "a sweep ends first"), NOW) == []


def test_who_waits_hears_what_changed_and_nothing_else() -> None:
    """Position and estimate; the same news are not told twice."""
    scheduler = ready()
    ask(scheduler, 1)
    scheduler.advance(Reported(1, "answered"), NOW + 10)
    first = told(ask(scheduler, 2, NOW + 10))
    assert (first.position, first.eta_seconds) == (1, 10.0)
    assert told(ask(scheduler, 3, NOW + 10)).eta_seconds == 20.0
    assert scheduler.advance(Tick(), NOW + 11) == []
    scheduler.advance(Left(2), NOW + 11)
    assert told(scheduler.advance(Tick(), NOW + 12)).position == 1


def test_a_load_tells_its_own_time() -> None:
    """It counts down, and is forgotten when nothing is known any more."""
    scheduler = ready({"model:m": ()})
    assert told(ask(scheduler, 1, pool="model:m")).eta_seconds is None
    scheduler.advance(EtaSet("model:m", 90.0), NOW)
    assert told(scheduler.advance(Tick(), NOW + 30)).eta_seconds == 60.0
    scheduler.advance(EtaSet("model:m", None), NOW + 31)
    assert told(scheduler.advance(Tick(), NOW + 31)).eta_seconds is None


def test_news_for_thousands_come_in_turns() -> None:
    """No tick tells more than a bounded number; after a few everybody has heard."""
    scheduler = ready({"model:m": ()})
    for ticket in range(1, 1001):
        ask(scheduler, ticket, pool="model:m")
    scheduler.advance(EtaSet("model:m", 90.0), NOW)
    heard: set[int] = set()
    for _ in range(4):
        effects = scheduler.advance(Tick(), NOW)
        assert len(effects) <= 256
        heard |= {effect.ticket for effect in effects}
    assert len(heard) == 1000


# ---- breakers ----------------------------------------------------------------------------------


def test_an_upstream_that_fails_again_and_again_is_let_alone() -> None:
    """The others of its pool answer; then one request, and one only, finds out."""
    both = (upstream("a", 9), upstream("b", 9))
    scheduler = ready({"kind:asr": both, "service:a": both[:1]}, row=2, first_seconds=4.0)
    for ticket in (1, 2):
        assert let_in(ask(scheduler, ticket, pool="service:a")) == [ticket]
        scheduler.advance(Reported(ticket, "failed"), NOW)
        scheduler.advance(Released(ticket), NOW)
    for ticket in (3, 4, 5):
        assert ask(scheduler, ticket) == [Granted(ticket, both[1])]
    assert let_in(ask(scheduler, 6, NOW + 4, pool="service:a")) == [6]
    assert let_in(ask(scheduler, 7, NOW + 4, pool="service:a")) == []
    assert let_in(scheduler.advance(Reported(6, "answered"), NOW + 5)) == [7]


def test_all_breakers_open_is_waited_for_only_as_long_as_it_makes_sense() -> None:
    """Within the caller's patience it waits for the next try; else it hears when that is."""
    scheduler = ready(row=1, first_seconds=20.0)
    fail(scheduler, 1)
    error = refusal(ask(scheduler, 2, NOW + 5, patience=10.0))
    assert isinstance(error, Unavailable)
    assert error.retry_after == 15
    assert "rests" in told(ask(scheduler, 3, NOW + 5, patience=60.0)).reason
    assert let_in(scheduler.advance(Tick(), NOW + 20)) == [3]


def test_a_probe_that_left_lets_the_next_one_try() -> None:
    """Its end without a word frees the only place there is."""
    scheduler = ready({"kind:asr": (upstream(cap=9),)}, row=1, first_seconds=2.0)
    fail(scheduler, 1)
    assert let_in(ask(scheduler, 2, NOW + 2)) == [2]
    ask(scheduler, 3, NOW + 2)
    assert let_in(scheduler.advance(Released(2), NOW + 3)) == [3]


def test_an_answered_health_probe_ends_the_rest() -> None:
    """Who waits is the first to be let in; a failed one makes it longer."""
    scheduler = ready(row=1, first_seconds=5.0)
    fail(scheduler, 1)
    ask(scheduler, 2)
    assert scheduler.advance(Probed("a", answered=False, again=9.0), NOW) == []
    assert let_in(scheduler.advance(Tick(), NOW + 8)) == []
    assert let_in(scheduler.advance(Probed("a", answered=True, again=9.0), NOW + 8)) == [2]
    assert scheduler.advance(Probed("nobody", answered=True, again=9.0), NOW) == []


@pytest.mark.parametrize("before", [down(), upstream(accepting=False)])
def test_an_upstream_that_comes_back_starts_anew(before: Upstream) -> None:
    """A restarted container is not what failed."""
    scheduler = ready(row=1)
    fail(scheduler, 1)
    assert scheduler.seats["a"].breaker.position is Position.OPEN
    scheduler.advance(PoolsChanged({"kind:asr": (before,)}), NOW)
    scheduler.advance(PoolsChanged({"kind:asr": (upstream(),)}), NOW)
    assert let_in(ask(scheduler, 2)) == [2]


def test_an_upstream_that_goes_and_returns_remembers_what_is_in_flight() -> None:
    """Else it would be given more than its cap."""
    scheduler = ready()
    ask(scheduler, 1)
    scheduler.advance(PoolsChanged({}), NOW)
    scheduler.advance(PoolsChanged({"kind:asr": (upstream(),)}), NOW)
    assert let_in(ask(scheduler, 2)) == []
    assert let_in(scheduler.advance(Released(1), NOW)) == [2]


# ---- what is shown -----------------------------------------------------------------------------


def test_the_snapshot_has_what_pages_and_metrics_need() -> None:
    """Who waits and how long; what is in flight, its bound, the breaker and why not."""
    scheduler = ready({"kind:asr": (upstream(),), "model:m": (down("m@spark-1"),)})
    ask(scheduler, 1)
    ask(scheduler, 2, by=caller("ben", priority=2, swap="never"))
    ask(scheduler, 3, NOW + 4, by=caller("eva", priority=5))
    ask(scheduler, 4, NOW + 6, pool="model:m")
    now = snapshot(scheduler, NOW + 10)
    assert [(pool.pool, pool.waiting, pool.longest_seconds) for pool in now.pools] == [
        ("kind:asr", 2, 10.0),
        ("model:m", 1, 4.0),
    ]
    a, m = now.upstreams
    assert (a.name, a.in_flight, a.cap, a.state, a.reason) == (
        "a", 1, 1, "closed", "full",
    )  # fmt: skip
    assert (m.available, m.reason) == (False, "it does not answer")
