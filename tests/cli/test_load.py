"""`activity` and `sweep`: what is sent, what is drawn, how they end."""

import base64
from pathlib import Path
from typing import Any

import pytest

from server.cli import sweep as sweep_module
from tests.cli.conftest import Api, Run

REQUEST: dict[str, Any] = {
    "id": "req-1",
    "at": "2026-11-21T12:00:00.000Z",
    "phase": "ended",
    "status": 200,
    "client": "laptop",
    "model": "tiny",
    "upstream": "tiny@spark-1",
    "waited": 1.5,
    "first_token": 0.25,
    "total": 3.5,
    "tokens": 101,
    "tokens_per_second": 50.2,
}
LEVELS: list[dict[str, Any]] = [
    {
        "level": level,
        "requests": 30,
        "repeats": 3,
        "rate": {"mean": rate, "low": rate - 0.2, "high": rate + 0.2},
        "latency": {"mean": 0.1, "low": 0.09, "high": 0.11},
        "slowest": 1.25,
        "failed": "",
    }
    for level, rate in ((1, 10.0), (2, 20.0))
]
DONE: dict[str, Any] = {
    "id": "sweep-1",
    "target": "kokoro",
    "state": "done",
    "message": "2 at once: 20 requests/s.",
    "runs": 8,
    "done": 8,
    "levels": [*LEVELS, {"level": 3, "requests": 0, "failed": "HTTP 500"}],
    "knee": {"cap": 2},
    "notes": ["The recording was made up."],
}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls do not pause here."""
    monkeypatch.setattr(sweep_module, "POLL_SECONDS", 0.0)


def test_the_activity_is_a_table(api: Api, run: Run) -> None:
    """Those under way first; what is not known yet is a dash; filters go along."""
    waiting = {"id": "req-2", "phase": "waiting", "status": None, "client": "\x1b[31mevil"}
    api.on("GET", "/api/v1/activity", {"in_flight": [waiting], "requests": [REQUEST]})
    ran = run("activity", "--model", "tiny", "--limit", "5")
    lines = ran.out.splitlines()
    assert "waiting" in lines[1]
    assert lines[2].split()[1:] == [
        "200", "laptop", "tiny", "tiny@spark-1", "1.5", "s", "250", "ms", "3.5", "s", "101", "50",
    ]  # fmt: skip
    assert "req-2: waiting; --cancel ends it" in ran.out
    assert "\x1b[31m" not in ran.out
    assert api.asked[0].query == "limit=5&model=tiny"


def test_a_request_is_ended(api: Api, run: Run) -> None:
    """By its id, quoted whole."""
    api.on("POST", "/api/v1/activity/job%2F7/cancel", REQUEST)
    assert run("activity", "--cancel", "job/7").code == 0
    assert run("activity", "--cancel", "gone").code == 1


def test_no_requests_is_a_sentence(api: Api, run: Run) -> None:
    """And JSON stays JSON."""
    api.on("GET", "/api/v1/activity", {"in_flight": [], "requests": []})
    assert run("activity").out == "No requests yet.\n"
    assert run("--json", "activity").json == {"in_flight": [], "requests": []}


def test_a_sweep_is_followed_and_drawn(api: Api, run: Run) -> None:
    """A table with bars, the sentence, the notes, the line for config.yaml."""
    begun = DONE | {"state": "waiting", "levels": [], "knee": None, "done": 0}
    api.on("POST", "/api/v1/sweeps", begun)
    api.on("GET", "/api/v1/sweeps/sweep-1", begun | {"state": "running", "done": 3}, DONE)
    ran = run("sweep", "kokoro", "--max", "3", "--seconds", "2")
    assert ran.code == 0
    assert api.bodies("POST", "/api/v1/sweeps") == [
        {"target": "kokoro", "max": 3, "seconds": 2.0, "repeats": 3, "quiet": 5.0}
    ]
    lines = ran.out.splitlines()
    assert lines[1].split()[:6] == ["1", "10", "9.8", "to", "10.2", "100"]
    assert lines[2].endswith("████████████████████ ◀")
    assert "HTTP 500" in lines[3]
    assert "2 at once: 20 requests/s." in ran.out
    assert "The recording was made up." in ran.out
    assert lines[-1] == "  max_in_flight: 2"


def test_a_sweep_that_made_room_is_no_success(api: Api, run: Run) -> None:
    """Exit 1, with what was measured and why it ended."""
    ended = DONE | {"state": "aborted", "message": "Stopped: somebody else.", "knee": None}
    api.on("POST", "/api/v1/sweeps", ended)
    ran = run("sweep", "kokoro")
    assert ran.code == 1
    assert "Stopped: somebody else." in ran.out
    assert "max_in_flight" not in ran.out


def test_a_recording_is_sent_along(api: Api, run: Run, tmp_path: Path) -> None:
    """With its name; one that is too long is wrong usage."""
    api.on("POST", "/api/v1/sweeps", DONE)
    talk = tmp_path / "talk.wav"
    talk.write_bytes(b"RIFF")
    assert run("sweep", "parakeet", "--payload", str(talk), "--no-wait").out == "sweep-1\n"
    (body,) = api.bodies("POST", "/api/v1/sweeps")
    assert base64.b64decode(body["payload"]) == b"RIFF"
    assert body["filename"] == "talk.wav"
    talk.write_bytes(bytes(sweep_module.LARGEST + 1))
    assert run("sweep", "parakeet", "--payload", str(talk)).code == 2


def test_ctrl_c_cancels_the_sweep(api: Api, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would go on keeping the service busy otherwise."""
    api.on("POST", "/api/v1/sweeps", DONE | {"state": "running"})
    api.on("POST", "/api/v1/sweeps/sweep-1/cancel", DONE | {"state": "cancelled"})

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep_module, "watch", interrupted)
    assert run("sweep", "kokoro").code == 130
    assert api.bodies("POST", "/api/v1/sweeps/sweep-1/cancel") == [{}]
