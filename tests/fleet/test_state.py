"""Up, Down, Unknown: only an answer makes a Down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.base.health import Health, Verdict
from server.fleet.model import Container
from server.fleet.state import (
    Answer,
    Outcome,
    container_problem,
    host_verdict,
    service_verdict,
)

UP, GREY = Verdict.up(), Verdict.unknown("not seen for 40 s")


@given(st.one_of(st.none(), st.floats(0, 1e9)), st.floats(1, 3600), st.text(max_size=20))
def test_a_host_is_never_down(age: float | None, stale: float, problem: str) -> None:
    """Whatever the silence and the trouble: grey at worst, and grey always has a reason."""
    verdict = host_verdict(age, stale, problem)
    assert verdict.health is not Health.DOWN
    assert verdict.health is Health.UP or verdict.reason


@pytest.mark.parametrize(
    ("age", "reason"),
    [(40.9, "not seen for 40 s"), (44, "not seen for 40 s"), (65, "not seen for 1 min 00 s")],
)
def test_the_silence_is_told_in_steps(age: float, reason: str) -> None:
    """The sentence changes now and then, not with every beat."""
    assert host_verdict(age, 10, "").reason == reason


@pytest.mark.parametrize(
    ("status", "given", "health"),
    [
        (200, True, Health.UP),
        (204, False, Health.UP),
        (307, True, Health.UP),
        (401, True, Health.UP),
        (404, False, Health.UP),
        (404, True, Health.UNKNOWN),
        (500, True, Health.DOWN),
        (503, False, Health.DOWN),
    ],
)
def test_what_a_status_means(status: int, given: bool, health: Health) -> None:
    """5xx is Down; a missing default path is still an answer of a living service."""
    answer = Answer(Outcome.ANSWERED, 0.1, status)
    verdict, detail = service_verdict(answer, path="/health", path_given=given, host=UP)
    assert verdict.health is health
    assert f"HTTP {status}" in detail


@pytest.mark.parametrize("outcome", [Outcome.TIMED_OUT, Outcome.FAILED])
@pytest.mark.parametrize("host", [UP, GREY])
def test_a_timeout_is_never_down(outcome: Outcome, host: Verdict) -> None:
    """Grey, not red."""
    verdict, _ = service_verdict(Answer(outcome, 4), path="/", path_given=False, host=host)
    assert verdict.health is Health.UNKNOWN
    assert verdict.reason


def test_a_refusal_counts_only_when_the_host_is_up() -> None:
    """Of a grey host a refusal may come from anything in between."""
    answer = Answer(Outcome.REFUSED, 0.1)
    assert service_verdict(answer, path="/", path_given=False, host=UP)[0].health is Health.DOWN
    assert service_verdict(answer, path="/", path_given=False, host=GREY)[0].health is (
        Health.UNKNOWN
    )


def test_what_docker_says_about_the_container() -> None:
    """Running or not known: no problem. Exited or missing: a sentence."""
    containers = (Container("1", "a", "i", "running", ""), Container("2", "b", "i", "exited", ""))
    assert container_problem(None, containers) is None
    assert container_problem("a", None) is None
    assert container_problem("a", containers) is None
    assert container_problem("b", containers) == "container b is exited"
    assert "does not exist" in (container_problem("c", containers) or "")
