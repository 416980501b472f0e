"""Curves of the last hour: bounded, means, gaps where nothing is known."""

from datetime import UTC, datetime, timedelta
from typing import Any

from server.fleet.model import Gpu, GpuProcess, Memory, Nic, Sample
from server.fleet.trend import CHANNELS, NOTHING, POINTS, STEP, Trend

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def sample(seconds: float, **fields: Any) -> Sample:
    blank: dict[str, Any] = {
        "host": "spark-1",
        "boot_id": None,
        "uptime": None,
        "load": None,
        "cores": None,
        "gpus": (),
        "memory": Memory(),
        "disks": (),
        "nics": (),
        "containers": None,
    }
    return Sample(at=T0 + timedelta(seconds=seconds), **(blank | fields))


def busy(percent: float | None) -> tuple[Gpu, ...]:
    return (Gpu(utilization=percent),)


def test_a_place_is_the_mean_of_the_samples_that_fell_into_it() -> None:
    """Unknown figures count for nothing, not for 0."""
    trend = Trend()
    for seconds, percent in ((0, 10.0), (1, 30.0), (2, None), (STEP, 50.0)):
        trend.add(sample(seconds, gpus=busy(percent)))
    curves = trend.curves()
    assert curves.start == int(T0.timestamp())
    assert curves.of("gpu") == (20.0, 50.0)
    assert curves.of("power") == (None, None)


def test_a_time_without_samples_is_a_gap() -> None:
    """Not a straight line over what nobody saw."""
    trend = Trend()
    trend.add(sample(0, gpus=busy(10)))
    trend.add(sample(4 * STEP, gpus=busy(20)))
    assert trend.curves().of("gpu") == (10.0, None, None, None, 20.0)


def test_it_never_holds_more_than_an_hour() -> None:
    """However long it runs, and over any gap."""
    trend = Trend()
    for number in range(3 * POINTS):
        trend.add(sample(number * STEP, gpus=busy(number)))
    curves = trend.curves()
    assert len(curves.of("gpu")) == POINTS
    assert curves.of("gpu")[-1] == 3 * POINTS - 1
    trend.add(sample(9 * 3600, gpus=busy(1)))
    assert trend.curves().of("gpu") == (1.0,)


def test_a_clock_that_was_set_back_draws_nothing_twice() -> None:
    """What is drawn already stands."""
    trend = Trend()
    trend.add(sample(100, gpus=busy(1)))
    trend.add(sample(0, gpus=busy(99)))
    assert trend.curves().of("gpu") == (1.0,)


def test_every_channel_is_read_from_the_sample() -> None:
    """In its own unit; of several GPUs and interfaces as the chart needs it."""
    trend = Trend()
    gpus = (
        Gpu("a", 10, 50, 20, 900, processes=(GpuProcess(1, "x", 7), GpuProcess(2, "y", None))),
        Gpu("b", 30, 60, 5, 800),
    )
    memory = Memory(total=100, available=40, pressure_some=1.5)
    nics = (Nic("a", 1, 1, 100.0, 10.0), Nic("b", 1, 1, None, 5.0))
    trend.add(sample(0, gpus=gpus, memory=memory, nics=nics, load=(0.5, 1.0, 2.0)))
    curves = trend.curves()
    assert [curves.of(name)[0] for name in CHANNELS] == [
        20, 60, 25, 900, 60, 7, 1.5, 0.5, 100, 15
    ]  # fmt: skip
    assert set(curves.to_dict()) == {"start", "step", *CHANNELS}


def test_nothing_seen_is_nothing_drawn() -> None:
    """Empty, with every channel there."""
    assert Trend().curves() == NOTHING
    assert NOTHING.of("gpu") == ()
