"""GPU-busy seconds shared among who was in flight."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from server.base.health import Verdict
from server.fleet.model import Gpu, HostStatus, Memory, Sample
from server.gateway.busy import OTHER, Presence, Share, attribute, busy_seconds
from server.gateway.busy_meter import BusyMeter
from server.gateway.model import Caller, Passage

MOMENTS = st.floats(-5, 15)
PRESENCES = st.lists(
    st.builds(
        Presence,
        st.sampled_from(["parakeet", "kokoro"]),
        st.sampled_from(["laptop", "phone"]),
        MOMENTS,
        st.none() | MOMENTS,
    ),
    max_size=8,
)
T0 = datetime(2026, 11, 21, 12, tzinfo=UTC)
LAPTOP = Caller("laptop", key_id="key-1")


@given(st.floats(0, 4), PRESENCES)
@settings(max_examples=200)
def test_shares_add_up_to_what_was_busy(busy: float, presences: list[Presence]) -> None:
    """Nothing is lost and nothing is made up; nobody of ours gets more than somebody was there."""
    shares = attribute(busy, 0.0, 10.0, presences)
    assert sum(share.seconds for share in shares) == pytest.approx(busy)
    assert all(share.seconds >= 0 for share in shares)
    present = {(one.service, one.client) for one in presences}
    assert {(share.service, share.client) for share in shares} <= present | {(OTHER, OTHER)}


def test_those_who_run_together_share_by_their_time() -> None:
    """Three quarters of the seconds in flight, three quarters of the work."""
    shares = attribute(0.8, 0.0, 1.0, [Presence("a", "x", -3.0), Presence("b", "y", 0.0, 1 / 3)])
    assert shares[0].seconds == pytest.approx(0.6)
    assert shares[1].seconds == pytest.approx(0.2)


def test_a_short_request_does_not_explain_a_busy_second() -> None:
    """A tenth of it at most; the rest came past us."""
    shares = attribute(1.0, 0.0, 1.0, [Presence("a", "x", 0.5, 0.6)])
    assert [share.service for share in shares] == ["a", OTHER]
    assert shares[0].seconds == pytest.approx(0.1)


def test_two_at_once_are_not_counted_twice() -> None:
    """Covered is the union, not the sum."""
    both = [Presence("a", "x", 0.0, 0.5), Presence("a", "y", 0.0, 0.5)]
    shares = attribute(1.0, 0.0, 1.0, both)
    assert shares == (Share("a", "x", 0.25), Share("a", "y", 0.25), Share(OTHER, OTHER, 0.5))


def test_what_is_not_told_is_not_busy() -> None:
    """A GPU that reports [N/A] adds nothing; a figure above 100 is 100."""
    assert busy_seconds([50.0, None, 130.0], 2.0) == 3.0
    assert busy_seconds([], 2.0) == 0.0


class Hands:
    """A clock set by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now(self) -> datetime:
        return T0 + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps here")


def status(clock: Hands, percent: float | None, *, late: float = 0.0) -> HostStatus:
    sample = Sample(
        "spark-1", T0, None, None, None, None, (Gpu(utilization=percent),), Memory(), (), (), None
    )
    return HostStatus("spark-1", Verdict.up(), sample, clock.now() - timedelta(seconds=late))


def passage(admitted: float | None, ended: float | None = None) -> Passage:
    return Passage(
        "r", T0, 90.0, "/v1/audio/speech", caller=LAPTOP, model="kokoro", upstream="kokoro",
        host="spark-1", admitted=admitted, ended=ended,
    )  # fmt: skip


def meter(clock: Hands, seen: list[HostStatus], under_way: list[Passage]) -> BusyMeter:
    return BusyMeter(CollectorRegistry(), clock, statuses=lambda: seen, under_way=lambda: under_way)


def test_the_meter_books_each_sample_once_on_who_was_there() -> None:
    """Those under way and those that ended since; the first sample has no interval yet."""
    clock, under_way = Hands(), [passage(95.0)]
    seen = [status(clock, 80.0)]
    busy = meter(clock, seen, under_way)
    busy.look()
    assert not busy.seconds
    clock.seconds += 1
    seen[0] = status(clock, 50.0, late=0.25)
    busy.look()
    busy.look()
    assert busy.seconds == {("spark-1", "kokoro", "laptop"): pytest.approx(0.375)}
    under_way.clear()
    busy.ended(passage(95.0, 101.0))
    clock.seconds += 1
    seen[0] = status(clock, 100.0)
    busy.look()
    assert busy.seconds["spark-1", "kokoro", "laptop"] == pytest.approx(0.375 + 0.25)
    assert busy.seconds["spark-1", OTHER, OTHER] == pytest.approx(1.0)


def test_a_guest_is_booked_while_it_was_there() -> None:
    """A sweep's request is no passage, and its work is not `other`; it is no key's either."""
    clock, spent = Hands(), list[str]()
    seen = [status(clock, 100.0)]
    busy = BusyMeter(
        CollectorRegistry(), clock, statuses=lambda: seen, under_way=lambda: (),
        spent=lambda _key, service, _seconds: spent.append(service),
    )  # fmt: skip
    busy.look()
    with busy.guest(("spark-1",), "kokoro", "sweep"):
        clock.seconds += 1
        seen[0] = status(clock, 100.0)
        busy.look()
        clock.seconds += 0.5
    clock.seconds += 0.5
    seen[0] = status(clock, 100.0)
    busy.look()
    assert busy.seconds == {
        ("spark-1", "kokoro", "sweep"): pytest.approx(1.5),
        ("spark-1", OTHER, OTHER): pytest.approx(0.5),
    }
    assert not spent


def test_a_gap_in_the_samples_is_nobodys_work() -> None:
    """A host that was away for a minute does not come back with a minute of work."""
    clock = Hands()
    seen = [status(clock, 100.0)]
    busy = meter(clock, seen, [passage(95.0)])
    busy.look()
    clock.seconds += 60
    seen[0] = status(clock, 100.0)
    busy.look()
    assert not busy.seconds


def test_who_waits_or_was_answered_from_the_cache_works_on_no_gpu() -> None:
    """Only what was let in counts."""
    clock = Hands()
    seen = [status(clock, 0.0)]
    busy = meter(clock, seen, [passage(None)])
    busy.look()
    busy.ended(replace(passage(99.0, 100.5), cached=True))
    busy.ended(passage(None, 100.5))
    clock.seconds += 1
    seen[0] = status(clock, 100.0)
    busy.look()
    assert set(busy.seconds) == {("spark-1", OTHER, OTHER)}


def test_the_usage_of_a_key_is_told() -> None:
    """The key's id, the service, the seconds."""
    clock, told = Hands(), []
    seen = [status(clock, 0.0)]
    busy = BusyMeter(
        CollectorRegistry(),
        clock,
        statuses=lambda: seen,
        under_way=lambda: [passage(95.0)],
        spent=lambda *spent: told.append(spent),
    )
    busy.look()
    clock.seconds += 1
    seen[0] = status(clock, 40.0)
    busy.look()
    assert told == [("key-1", "kokoro", pytest.approx(0.4))]
