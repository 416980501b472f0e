"""The small words everybody uses: ids, times, sizes, verdicts, errors."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.base import errors, units
from server.base.clock import SystemClock, iso, parse_iso
from server.base.errors import SparkError
from server.base.finding import Finding, Severity
from server.base.health import Health, Verdict
from server.base.ids import new_id

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def tree(kind: type[SparkError] = SparkError) -> list[type[SparkError]]:
    found = [kind]
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            found += tree(child)
    return found


def test_ids_are_safe_words_that_sort_by_time() -> None:
    """They go into labels, URLs and shells without quoting."""
    ids = [new_id("swap", NOW + timedelta(milliseconds=n)) for n in range(300)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 300
    assert all(re.fullmatch(r"swap-[0-9a-z]{14}", one) for one in ids)


def test_ids_of_one_moment_differ() -> None:
    """Two requests in the same millisecond are two."""
    assert len({new_id("swap", NOW) for _ in range(200)}) > 190


@given(st.datetimes(min_value=datetime(1971, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_times_survive_being_written(moment: datetime) -> None:
    """UTC with milliseconds and a Z, and back."""
    text = iso(moment)
    assert text is not None
    assert text.endswith("Z")
    assert abs(parse_iso(text) - moment) < timedelta(milliseconds=1)


def test_a_time_elsewhere_is_written_in_utc() -> None:
    """Readers never meet a local time."""
    assert iso(NOW.astimezone(timezone(timedelta(hours=9)))) == "2026-11-21T08:00:00.000Z"
    assert iso(None) is None
    with pytest.raises(ValueError, match="not a time"):
        parse_iso("not a time")


def test_the_real_clock_is_aware_and_steady() -> None:
    """`now` is UTC, `monotonic` never goes back."""
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() <= clock.monotonic()


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (128 * units.GIB, "128.0 GiB"),
        (2**60, "1024.0 PiB"),
    ],
)
def test_sizes_are_drawn_for_people(count: int, text: str) -> None:
    """Binary units, one decimal."""
    assert units.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (4.2, "4.2 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations_are_drawn_for_people(seconds: float, text: str) -> None:
    """No carry is lost at the borders between units."""
    assert units.duration(seconds) == text


def test_the_unknown_is_a_dash_and_never_zero() -> None:
    """A missing figure is not a small one."""
    assert units.size(None) == units.duration(None) == "\N{EN DASH}"


def test_a_verdict_that_is_not_up_has_a_reason() -> None:
    """Unknown is grey and says why; it never becomes Down."""
    assert Verdict.up().health is Health.UP
    assert Verdict.down("exit 1") == Verdict(Health.DOWN, "exit 1")
    assert Verdict.unknown("SSH timed out").health is Health.UNKNOWN


def test_a_finding_is_plain_data() -> None:
    """What the API shows of it."""
    finding = Finding("disk_full", Severity.ERROR, "The disk is full.", "Free space.", "spark-1")
    assert finding.to_dict() == {
        "code": "disk_full",
        "severity": "error",
        "message": "The disk is full.",
        "advice": "Free space.",
        "host": "spark-1",
    }


def test_every_error_has_a_status_a_code_and_a_kind() -> None:
    """Errors map to HTTP without a table; refined ones keep the status of what they refine."""
    for kind in tree():
        assert 400 <= kind.status < 600
        assert re.fullmatch(r"[a-z_]+", kind.code)
        assert re.fullmatch(r"[a-z_]+", kind.kind)


def test_every_error_stands_in_the_drawn_tree() -> None:
    """The picture at the top of the file is complete and true."""
    drawn = {
        name: (int(status), code)
        for name, status, code in re.findall(r"(\w+) +(\d{3}) (\w+)", errors.__doc__ or "")
    }
    assert drawn == {kind.__name__: (kind.status, kind.code) for kind in tree()}


def test_an_error_body_has_the_documented_fields() -> None:
    """Message, type, code, param, request id, source; advice when there is one."""
    error = errors.InvalidValue("port: must be a number", param="port", advice="Write 8000.")
    assert error.to_dict("r1") == {
        "message": "port: must be a number",
        "type": "invalid_request_error",
        "code": "invalid_request",
        "param": "port",
        "request_id": "r1",
        "source": "spark-control",
        "advice": "Write 8000.",
    }
    assert "advice" not in errors.Conflict("x").to_dict()
    assert str(error) == error.message
