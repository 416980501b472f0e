"""Probes, metrics, and the one log line of a request."""

import asyncio
import logging
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from server.base.bus import EventBus
from server.base.errors import Unavailable
from server.base.health import Verdict
from server.fleet.model import HostStatus, ServiceStatus
from server.web.metrics import SwapMetrics
from server.web.parts import Check
from tests.swap.made import T0
from tests.web.made import Web, web
from tests.web.test_hosts import sample


async def up() -> Verdict:
    return Verdict.up()


async def away() -> Verdict:
    raise Unavailable("the database cannot be opened")


async def silent() -> Verdict:
    await asyncio.Event().wait()
    return Verdict.up()


async def test_live_means_that_this_process_answers(api: Web) -> None:
    """Nothing else is looked at."""
    for path in ("/healthz", "/livez"):
        assert (await api.client.get(path)).json()["status"] == "ok"


@pytest.mark.parametrize(
    ("checks", "status"),
    [
        ([Check("database", up)], 200),
        ([Check("database", away)], 503),
        ([Check("database", up), Check("hosts", away, required=False)], 200),
    ],
)
async def test_ready_needs_what_is_required(
    tmp_path: Path, checks: list[Check], status: int
) -> None:
    """Each dependency's state is shown either way."""
    async with web(tmp_path, checks=checks) as api:
        got = await api.client.get("/readyz")
    assert got.status_code == status
    assert [one["name"] for one in got.json()["checks"]] == [check.name for check in checks]


async def test_a_check_that_does_not_answer_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown is not down, and not ready."""
    monkeypatch.setattr("server.web.api.health._PATIENCE", 0.01)
    async with web(tmp_path, checks=[Check("database", silent)]) as api:
        got = await api.client.get("/readyz")
    assert got.status_code == 503
    assert got.json()["checks"][0]["health"] == "unknown"


async def test_metrics_tell_of_requests_hosts_and_services(api: Web) -> None:
    """Unknown figures have no sample."""
    api.fleet.hosts["spark-1"] = HostStatus("spark-1", Verdict.up(), sample("spark-1"), T0)
    api.fleet.hosts["spark-2"] = HostStatus("spark-2", Verdict.unknown("no ssh"))
    api.fleet.probes = (ServiceStatus("kokoro", Verdict.down("refused")),)
    await api.client.get("/api/hosts/spark-1")
    await api.client.get("/api/v1/hosts/spark-2")
    await api.client.get("/some/../path/1234")
    got = await api.client.get("/metrics")
    assert got.headers["content-type"].startswith("text/plain")
    lines = got.text.splitlines()
    assert (
        'spark_http_requests_total{method="GET",route="/api/v1/hosts/{name}",status="200"} 2.0'
        in lines
    )
    assert 'spark_http_requests_total{method="GET",route="other",status="404"} 1.0' in lines
    assert 'spark_host_health{host="spark-1",state="up"} 1.0' in lines
    assert 'spark_host_health{host="spark-2",state="unknown"} 1.0' in lines
    assert 'spark_service_health{service="kokoro",state="down"} 1.0' in lines
    assert 'spark_host_memory_available_bytes{host="spark-1"} 64.0' in lines
    assert not [line for line in lines if "memory" in line and "spark-2" in line]
    assert "1234" not in got.text


async def test_the_end_of_a_swap_is_counted_once() -> None:
    """However often the bus tells it."""
    registry, bus = CollectorRegistry(), EventBus()
    metrics = SwapMetrics(registry, bus)
    await metrics.start()
    for state in ("loading", "serving", "serving"):
        metrics.note("swap-1", state)
    metrics.note("swap-2", "rolled_back")
    await metrics.close()
    await metrics.close()

    def count(outcome: str) -> float | None:
        return registry.get_sample_value("spark_swaps_total", {"outcome": outcome})

    assert (count("serving"), count("rolled_back"), count("failed")) == (1.0, 1.0, 0.0)
    assert bus.subscribers == 0


async def test_a_request_is_one_line_with_its_id(
    api: Web, caplog: pytest.LogCaptureFixture
) -> None:
    """And never the query, which may hold what should not be kept."""
    with caplog.at_level(logging.INFO, logger="server.web"):
        await api.client.get("/api/v1/hosts?token=secret", headers={"x-request-id": "mine"})
    lines = [one for one in caplog.records if one.name == "server.web"]
    assert len(lines) == 1
    fields = lines[0].fields  # type: ignore[attr-defined]
    assert fields["path"] == "/api/v1/hosts"
    assert fields["status"] == 200
    assert "secret" not in str(fields)
