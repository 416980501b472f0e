"""`services`: what is listed, what one is told, how that ends."""

from typing import Any

import pytest

from server.cli import services as services_module
from tests.cli.conftest import Api, Run

PLACE = "/api/v1/services/kokoro"


def told(**act: Any) -> dict[str, Any]:
    return {"name": "kokoro", "act": {"verb": "restart", "ended_at": None, "error": None} | act}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls do not pause here."""
    monkeypatch.setattr(services_module, "POLL_SECONDS", 0.0)


def test_services_are_a_table(api: Api, run: Run) -> None:
    """What is not known is a dash; what a service says of itself is inert."""
    one = {"name": "kokoro", "health": "down", "kind": "tts", "reason": "\x1b[31mno", "waiting": 2}
    api.on("GET", "/api/v1/services", {"services": [one]})
    done = run("services", "list")
    assert done.code == 0
    assert "kokoro" in done.out
    assert "\x1b[31m" not in done.out
    assert "–" in done.out


def test_a_restart_is_waited_for(api: Api, run: Run) -> None:
    """Asked once, looked at until it has ended."""
    api.on("POST", f"{PLACE}/restart", told())
    api.on("GET", PLACE, told(), told(ended_at="2026-11-21T12:00:00.000Z"))
    done = run("services", "restart", "kokoro")
    assert (done.code, done.out.strip()) == (0, "Restarted kokoro.")
    assert len(api.bodies("POST", f"{PLACE}/restart")) == 1


def test_what_could_not_be_done_exits_with_the_reason(api: Api, run: Run) -> None:
    """With what to do about it."""
    api.on("POST", f"{PLACE}/stop", told())
    over = told(ended_at="2026-11-21T12:00:00.000Z", error="no docker", advice="Install it.")
    api.on("GET", PLACE, over)
    done = run("services", "stop", "kokoro")
    assert done.code == 1
    assert "no docker Install it." in done.err


def test_one_need_not_wait(api: Api, run: Run) -> None:
    """Nothing more is asked."""
    api.on("POST", f"{PLACE}/start", told())
    done = run("services", "start", "kokoro", "--no-wait")
    assert (done.code, done.out.strip()) == (0, "Asked kokoro to start.")
    assert [asked.method for asked in api.asked] == ["POST"]
