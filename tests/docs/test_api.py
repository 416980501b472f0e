"""Every route, error code, event and metric has its row in `docs/api.md`."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry

import server
from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.base.errors import SparkError
from server.gateway.busy_meter import BusyMeter
from server.gateway.metrics import GatewayMetrics
from server.gateway.operations import OPERATIONS
from server.web.api import (
    activity,
    backups,
    events,
    health,
    hosts,
    keys,
    models,
    services,
    sessions,
    settings,
    swaps,
    sweeps,
    usage,
)
from server.web.api.swaps import FIELDS
from server.web.metrics import FleetCollector, RequestMetrics, SwapMetrics
from server.web.sse import KINDS, SNAPSHOT
from tests.swap.made import record
from tests.web.made import FakeFleet, FakeSwaps

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
GATEWAY = ("GET /v1/models", "GET /v1/models/{id}")


def rows() -> set[str]:
    """The first cell of each row of each table."""
    found = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    return set(found)


def routes() -> Iterator[tuple[str, str]]:
    """`METHOD /path` and what its function says it does."""
    for module in (
        *(hosts, models, swaps, services, activity, sweeps),
        *(keys, usage, backups, sessions, settings, events, health),
    ):
        for route in module.routes().routes:
            assert isinstance(route, APIRoute)
            said = (route.endpoint.__doc__ or "…").strip().splitlines()[0]
            for method in sorted(route.methods):
                yield f"{method} {route.path}", said
    for path, operation in OPERATIONS.items():
        method = "WEBSOCKET" if operation.socket else (*operation.methods, "ANY")[0]
        yield f"{method} {path}", "Relayed to the engine."
    for listed in GATEWAY:
        yield listed, "Models."


def errors() -> dict[str, int]:
    """Code and status of every error that any module defines."""
    for module in pkgutil.walk_packages(server.__path__, "server."):
        if not module.name.startswith(("server.sim", "server.store.migrations")):
            importlib.import_module(module.name)

    def below(kind: type[SparkError]) -> Iterator[type[SparkError]]:
        yield kind
        for sub in kind.__subclasses__():
            yield from below(sub)

    return {
        kind.code: kind.status
        for kind in below(SparkError)
        if kind.__module__.startswith("server.")
    }


def metrics() -> Iterator[str]:
    """Names as Prometheus shows them, without the suffixes of a family."""
    registry = CollectorRegistry()
    GatewayMetrics(registry)
    BusyMeter(registry, SystemClock(), statuses=tuple, under_way=tuple)
    RequestMetrics(registry)
    SwapMetrics(registry, EventBus())
    registry.register(FleetCollector(FakeFleet(), FakeSwaps(), SystemClock()))
    for family in registry.collect():
        yield family.name + ("_total" if family.type == "counter" else "")


def test_every_route_has_its_row() -> None:
    """Method and path, and what it does."""
    known = rows()
    missing = [f"| `{route}` | {said} |" for route, said in routes() if route not in known]
    assert not missing, "paste into docs/api.md:\n" + "\n".join(missing)


def test_no_row_names_a_route_that_is_gone() -> None:
    """What the page promises exists."""
    real = {route for route, _ in routes()}
    named = {row for row in rows() if re.match(r"(GET|POST|PUT|PATCH|DELETE|ANY|WEBSOCKET) /", row)}
    assert named <= real, f"remove from docs/api.md: {sorted(named - real)}"


def test_every_error_code_has_its_row() -> None:
    """Callers branch on the code."""
    known = rows()
    missing = [
        f"| `{code}` | {status} | … |" for code, status in errors().items() if code not in known
    ]
    assert not missing, "paste into docs/api.md:\n" + "\n".join(missing)


@pytest.mark.parametrize("kind", sorted({*KINDS, SNAPSHOT}))
def test_every_event_has_its_row(kind: str) -> None:
    """Readers of the stream branch on its type."""
    assert kind in rows(), f"paste into docs/api.md:\n| `{kind}` | … |"


def test_every_metric_has_its_row() -> None:
    """Dashboards and alerts hold on to names."""
    known = rows()
    missing = [f"| `{name}` | … |" for name in metrics() if name not in known]
    assert not missing, "paste into docs/api.md:\n" + "\n".join(missing)


def test_the_fields_of_a_swap_are_those_that_an_idle_app_shows_as_null() -> None:
    """`GET /api/v1/swaps/current` has the same shape whether a swap runs or not; each is a row."""
    assert set(FIELDS) == set(record().to_dict())
    known = rows()
    missing = [f"| `{field}` | … |" for field in FIELDS if field not in known]
    assert not missing, "paste into docs/api.md:\n" + "\n".join(missing)
