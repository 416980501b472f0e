"""The ring of samples is small, bounded, and gives back what was put in."""

import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from server.fleet.history import History
from server.fleet.model import Gpu, Memory, Nic, Sample
from server.fleet.parse import FrameParser
from tests.fleet.captures import DF, DOCKER, GPU, HELLO, frame, listing

AT = datetime(2026, 11, 21, 8, 0, 0, 123456, tzinfo=UTC)
whole = st.one_of(st.none(), st.integers(0, 2**53 - 1))
figure = st.one_of(st.none(), st.floats(-1e9, 1e9))
SAMPLES = st.builds(
    Sample,
    host=st.just("h"),
    at=st.datetimes(datetime(2025, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    boot_id=st.one_of(st.none(), st.just("b")),
    uptime=figure,
    load=st.one_of(st.none(), st.tuples(*[st.floats(0, 1e6)] * 3)),
    cores=st.one_of(st.none(), st.just(20)),
    gpus=st.lists(
        st.builds(Gpu, st.just("GB10"), figure, figure, figure, figure, st.just("580")), max_size=2
    ).map(tuple),
    memory=st.builds(Memory, *[whole] * 7, figure, figure),
    disks=st.just(()),
    nics=st.lists(
        st.builds(
            Nic, st.sampled_from(["a", "b"]), *[st.integers(0, 2**53 - 1)] * 2, figure, figure
        ),
        max_size=3,
    ).map(tuple),
    containers=st.one_of(st.none(), st.just(())),
    gpu_problem=st.sampled_from(["", "gone"]),
)


@given(SAMPLES)
@settings(deadline=None)
def test_what_goes_in_comes_out(sample: Sample) -> None:
    """Packed and unpacked it is the same sample, None for None and whole for whole."""
    history = History(3600, 10)
    history.add(sample)
    assert history.since(sample.at) == [sample]


def a_sample() -> Sample:
    parser = FrameParser("spark-1")
    for line in [HELLO, GPU, *listing("K", [DOCKER]), *listing("D", DF.splitlines(), 1)]:
        parser.feed(line, 0, AT)
    sample = parser.feed(frame(), 0, AT)
    assert sample is not None
    return sample


def test_old_samples_go() -> None:
    """Bounded by age and, should the clock jump, by number."""
    history = History(60, 100)
    for second in range(500):
        history.add(replace(a_sample(), at=AT + timedelta(seconds=second)))
    assert len(history) == 61
    for _ in range(500):
        history.add(replace(a_sample(), at=AT + timedelta(seconds=500)))
    assert len(history) == 100


def test_an_hour_of_a_host_stays_small() -> None:
    """3600 samples of a Spark take less than 2 MB: 64 hosts fit into 128 MB."""
    sample = a_sample()
    history = History(3600, 4000)
    tracemalloc.start()
    for second in range(3600):
        history.add(replace(sample, at=AT + timedelta(seconds=second), uptime=float(second)))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(history) == 3600
    assert size < 2_000_000
