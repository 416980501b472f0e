"""What the gateway remembers of its requests, and what it counts of them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from server.base.errors import Conflict, Forbidden, NotFound, SparkError
from server.gateway.activity import Activity, Filter
from server.gateway.metrics import OTHER, ROWS, GatewayMetrics, tokens_per_second
from server.gateway.model import Caller, Passage, Used

T0 = datetime(2026, 11, 21, 12, tzinfo=UTC)
CHAT = "/v1/chat/completions"


def passage(request_id: str = "r1", **fields: Any) -> Passage:
    told: dict[str, Any] = {
        "caller": Caller("laptop", "192.0.2.7", key_id="key-1"),
        "model": "tiny",
        "upstream": "tiny@spark-1",
        "status": 200,
        "admitted": 11.0,
        "opened": 11.2,
        "first_byte": 11.2,
        "first_token": 11.5,
        "ended": 13.5,
        "bytes_in": 100,
        "bytes_out": 5000,
        "attempts": 1,
        "used": Used(10, 101, 4),
    }
    return Passage(request_id, T0, 10.0, CHAT, **(told | fields))


@pytest.fixture
def activity() -> Activity:
    return Activity(lambda: 20.0, kept=5)


# ---- the activity


def test_only_the_newest_are_kept(activity: Activity) -> None:
    """However many come: memory is bounded, newest first."""
    for number in range(12):
        one = passage(f"r{number}")
        activity.began(one)
        activity.ended(one)
    assert [row.id for row in activity.rows()] == ["r11", "r10", "r9", "r8", "r7"]
    assert [row.id for row in activity.rows(2)] == ["r11", "r10"]
    assert not activity.under_way()


def test_a_row_tells_its_times_from_where_they_count(activity: Activity) -> None:
    """The wait from arrival, first byte and token from admission, the whole from arrival."""
    activity.ended(passage())
    (row,) = activity.rows()
    assert (row.waited, row.first_token, row.total) == (1.0, 0.5, 3.5)
    assert row.first_byte == pytest.approx(0.2)
    assert row.tokens_per_second == 50.0
    assert row.to_dict()["at"] == "2026-11-21T12:00:00.000Z"


def test_what_is_under_way_is_shown_as_it_stands(activity: Activity) -> None:
    """Oldest first; a passage is filled in while it is shown."""
    one = passage("a", admitted=None, opened=None, first_byte=None, first_token=None, ended=None)
    activity.began(one)
    (row,) = activity.in_flight()
    assert (row.phase, row.waited, row.total, row.first_byte) == ("waiting", 10.0, 10.0, None)
    one.admitted = 12.0
    (row,) = activity.in_flight()
    assert (row.phase, row.waited) == ("running", 2.0)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(), {"ok", "full", "busy"}),
        (Filter(model="tiny"), {"ok", "busy"}),
        (Filter(model="tiny@spark-1"), {"ok"}),
        (Filter(client="laptop"), {"ok", "full", "busy"}),
        (Filter(client="192.0.2.7"), {"ok", "full", "busy"}),
        (Filter(client="phone"), set()),
        (Filter(status="200"), {"ok"}),
        (Filter(status="4xx"), {"full"}),
        (Filter(status="QUEUE_FULL"), {"full"}),
        (Filter(status="running"), {"busy"}),
        (Filter(model="tiny", status="5xx"), set()),
    ],
)
def test_filters_choose(activity: Activity, wanted: Filter, found: set[str]) -> None:
    """By model, upstream, key, address, status, class, error code and phase, all together."""
    activity.ended(passage("ok"))
    activity.ended(passage("full", model="large", upstream="", status=429, error="queue_full"))
    activity.began(passage("busy", upstream="", ended=None, status=0))
    rows = activity.rows(wanted=wanted) + activity.in_flight(wanted)
    assert {row.id for row in rows} == found


def test_two_requests_of_one_id_are_two(activity: Activity) -> None:
    """A caller may send any id, also the one of a request that runs."""
    first, second = passage("same", ended=None), passage("same", ended=None)
    activity.began(first)
    activity.began(second)
    activity.ended(first)
    assert activity.under_way() == (second,)


def test_a_cancel_ends_the_request_with_a_reason(activity: Activity) -> None:
    """403, which official clients do not try again by themselves."""
    reasons: list[SparkError] = []
    one = passage("r9", ended=None, stop=reasons.append)
    activity.began(one)
    activity.cancel("r9", requested_by="cli 192.0.2.9")
    (reason,) = reasons
    assert isinstance(reason, Forbidden)
    assert "cli 192.0.2.9" in reason.message
    activity.ended(one)
    assert one.stop is None
    with pytest.raises(Conflict, match="ended already"):
        activity.cancel("r9", requested_by="cli")
    with pytest.raises(NotFound):
        activity.cancel("unheard of", requested_by="cli")


def test_a_request_that_cannot_be_ended_yet_says_so(activity: Activity) -> None:
    """It was seen before it could be stopped."""
    activity.began(passage("r1", ended=None))
    with pytest.raises(Conflict, match="at this moment"):
        activity.cancel("r1", requested_by="cli")


def test_the_last_use_of_somebody_is_known(activity: Activity) -> None:
    """What a sweep waits for."""
    activity.ended(passage("a", ended=14.0))
    activity.ended(passage("b", ended=15.0, upstream="kokoro"))
    assert activity.last(lambda one: one.upstream == "tiny@spark-1") == 14.0
    assert activity.last(lambda one: one.upstream == "nobody") is None


# ---- what is counted


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> GatewayMetrics:
    under_way = [passage("w", admitted=None, ended=None), passage("r", ended=None)]
    return GatewayMetrics(
        registry,
        known={"tiny", "kokoro"}.__contains__,
        under_way=lambda: under_way,
        breakers=lambda: {"kokoro": "open"},
    )


LABELS = {"model": "tiny", "route": CHAT}


def test_a_passage_is_counted_where_it_went(
    registry: CollectorRegistry, metrics: GatewayMetrics
) -> None:
    """Once in each figure that it reached."""
    metrics(passage(attempts=3, cached=True))
    value = registry.get_sample_value
    for name in (
        *("queue_seconds", "connect_seconds", "first_byte_seconds", "first_token_seconds"),
        *("request_seconds", "tokens_per_second", "request_bytes", "response_bytes"),
    ):
        assert value(f"spark_gateway_{name}_count", LABELS) == 1, name
    assert value("spark_gateway_queue_seconds_sum", LABELS) == 1.0
    assert value("spark_gateway_queue_seconds_bucket", LABELS | {"le": "0.5"}) == 0
    assert value("spark_gateway_queue_seconds_bucket", LABELS | {"le": "1.0"}) == 1
    assert value("spark_gateway_queue_seconds_bucket", LABELS | {"le": "+Inf"}) == 1
    ended = LABELS | {"upstream": "tiny@spark-1", "status": "2xx"}
    assert value("spark_gateway_requests_total", ended) == 1
    assert value("spark_gateway_retries_total", {"model": "tiny"}) == 2
    assert value("spark_gateway_tokens_total", LABELS | {"kind": "completion"}) == 101
    assert value("spark_gateway_cache_hits_total", LABELS) == 1
    assert value("spark_gateway_client_requests_total", {"client": "laptop"}) == 1


def test_what_a_service_answered_is_counted_under_its_own_name(
    registry: CollectorRegistry, metrics: GatewayMetrics
) -> None:
    """It answers to whatever its callers write as the model."""
    metrics(passage(model="tts-1-hd", upstream="kokoro"))
    labels = {"model": "kokoro", "route": CHAT}
    assert registry.get_sample_value("spark_gateway_request_seconds_count", labels) == 1


def test_a_passage_that_was_not_let_in_has_no_figures_of_an_upstream(
    registry: CollectorRegistry, metrics: GatewayMetrics
) -> None:
    """A refusal is no fast answer."""
    metrics(passage(admitted=None, opened=None, first_byte=None, first_token=None, status=429))
    value = registry.get_sample_value
    assert value("spark_gateway_queue_seconds_count", LABELS) == 0
    assert value("spark_gateway_first_byte_seconds_count", LABELS) == 0
    assert value("spark_gateway_request_seconds_count", LABELS) == 1


def test_names_that_callers_invent_are_one_row(
    registry: CollectorRegistry, metrics: GatewayMetrics
) -> None:
    """Ten thousand models and addresses make no ten thousand rows."""
    for number in range(ROWS + 500):
        caller = Caller(f"192.0.2.{number}", f"192.0.2.{number}")
        metrics(passage(model=f"made-up-{number}", upstream="", status=404, caller=caller))
    rows = [sample for family in registry.collect() for sample in family.samples]
    assert {row.labels["model"] for row in rows if "model" in row.labels} <= {OTHER, "tiny"}
    assert {row.labels["client"] for row in rows if "client" in row.labels} == {"anyone"}


def test_what_is_under_way_and_resting_is_shown(
    registry: CollectorRegistry, metrics: GatewayMetrics
) -> None:
    """Read at the moment of asking."""
    value = registry.get_sample_value
    running = {"model": "tiny", "upstream": "tiny@spark-1"}
    assert value("spark_gateway_in_flight", running) == 1
    assert value("spark_gateway_waiting", {"model": "tiny"}) == 1
    assert value("spark_gateway_breaker", {"upstream": "kokoro", "state": "open"}) == 1
    metrics.lag(0.02)
    assert value("spark_loop_lag_seconds_bucket", {"le": "0.01"}) == 0
    assert value("spark_loop_lag_seconds_bucket", {"le": "0.03"}) == 1


def test_a_rate_needs_two_tokens_and_their_times() -> None:
    """One token has no pace."""
    assert tokens_per_second(passage()) == 50.0
    assert tokens_per_second(passage(used=Used(10, 1))) is None
    assert tokens_per_second(passage(first_token=None)) is None
    assert tokens_per_second(passage(ended=None)) is None
