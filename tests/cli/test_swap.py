"""`swap`, `unload`, `swaps`, `cancel`: the exit code is the outcome, and the reason is told."""

from typing import Any

import pytest

from server.cli import progress
from server.cli.client import Client, UnreachableError
from server.cli.main import main
from tests.cli.conftest import Answer, Api, Run


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "POLL_SECONDS", 0.0)


def record(state: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "swap-1",
        "model": "tiny",
        "previous_model": "old",
        "state": state,
        "stage": state,
        "percent": 50.0,
        "eta_seconds": 3.0,
        "requested_by": "cli",
        "created_at": "2026-01-01T00:00:00.000Z",
        "finished_at": None,
        "steps": [{"name": "start", "host": "spark-1", "state": "done", "seconds": 1.5}],
        "error": None,
    } | more


FAILED = record(
    "rolled_back",
    error={
        "code": "out_of_memory",
        "message": "the engine ended with exit code 1",
        "cause": "not enough memory for the KV cache",
        "advice": "lower max_model_len",
        "log_excerpt": "line one\nValueError: no memory\n",
    },
)


def test_a_swap_is_followed_until_the_model_serves(api: Api, run: Run) -> None:
    """Each stage is drawn on stderr; the outcome is on stdout; exit 0."""
    api.on("POST", "/api/v1/swaps", Answer(record("queued"), 202))
    stages = [record(s) for s in ("preflight", "loading", "loading", "warming", "serving")]
    api.on("GET", "/api/v1/swaps/swap-1", *stages)
    ran = run("swap", "tiny", "--on-conflict", "replace", "--force")
    assert ran.code == 0
    assert ran.out == "tiny is serving (1.5 s).\n"
    assert ran.err.splitlines() == ["preflight", "loading", "warming", "serving"]
    wanted = {"model": "tiny", "on_conflict": "replace", "force": True}
    assert api.bodies("POST", "/api/v1/swaps") == [wanted]


def test_a_failed_swap_tells_cause_advice_and_log(api: Api, run: Run) -> None:
    """Exit 1, and everything a person needs next is on stderr."""
    api.on("POST", "/api/v1/swaps", Answer(record("queued"), 202))
    api.on("GET", "/api/v1/swaps/swap-1", FAILED)
    ran = run("swap", "tiny")
    assert ran.code == 1
    assert "tiny did not start; old is serving again." in ran.err
    assert "cause: not enough memory for the KV cache" in ran.err
    assert "what to do: lower max_model_len" in ran.err
    assert "    ValueError: no memory" in ran.err


@pytest.mark.parametrize(
    ("state", "code"),
    [("serving", 0), ("unloaded", 0), ("rolled_back", 1), ("failed", 1), ("cancelled", 1)],
)
def test_the_exit_code_is_the_outcome(api: Api, run: Run, state: str, code: int) -> None:
    """Zero only when the wanted thing is so."""
    api.on("POST", "/api/v1/swaps", Answer(record("queued"), 202))
    api.on("GET", "/api/v1/swaps/swap-1", record(state))
    assert run("swap", "tiny").code == code
    ran = run("--json", "swap", "tiny")
    assert (ran.code, ran.json["state"]) == (code, state)


def test_no_wait_prints_the_id_and_asks_nothing_more(api: Api, run: Run) -> None:
    """A script keeps the id and looks later."""
    api.on("POST", "/api/v1/swaps", Answer(record("queued"), 202))
    ran = run("swap", "tiny", "--no-wait")
    assert (ran.code, ran.out) == (0, "swap-1\n")
    assert len(api.asked) == 1


def test_a_refused_swap_is_one_message(api: Api, run: Run) -> None:
    """The API's own sentence, its advice and the request id; exit 1."""
    api.refuse("POST", "/api/v1/swaps", 409, "another swap is under way",
               advice="wait for it", request_id="r-1")  # fmt: skip
    ran = run("swap", "tiny", "--on-conflict", "reject")
    assert ran.code == 1
    assert ran.err == (
        "spark-control: another swap is under way\n  what to do: wait for it\n  request id: r-1\n"
    )


def test_ctrl_c_leaves_the_swap_running_and_says_how_to_go_on(
    api: Api, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is asked of the server; exit 130."""
    api.on("POST", "/api/v1/swaps", Answer(record("queued"), 202))
    _interrupt_first_watch(monkeypatch)
    ran = run("swap", "tiny")
    assert ran.code == 130
    assert "spark-control cancel swap-1" in ran.err
    assert [a.method for a in api.asked] == ["POST"]


def test_ctrl_c_cancels_when_asked_to(api: Api, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --cancel-on-interrupt the swap is cancelled and watched to its end."""
    api.on("POST", "/api/v1/swaps", Answer(record("queued"), 202))
    api.on("POST", "/api/v1/swaps/swap-1/cancel", Answer(record("loading"), 202))
    api.on("GET", "/api/v1/swaps/swap-1", record("cancelled"))
    _interrupt_first_watch(monkeypatch)
    ran = run("swap", "tiny", "--cancel-on-interrupt")
    assert ran.code == 130
    assert "The swap to tiny was cancelled." in ran.err


def _interrupt_first_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = progress.watch, []

    def watch(client: Client, swap_id: str) -> dict[str, Any]:
        calls.append(swap_id)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return real(client, swap_id)

    monkeypatch.setattr("server.cli.swap.watch", watch)


class _Scripted:
    """A client whose answers are given: records, or errors to raise."""

    def __init__(self, *answers: dict[str, Any] | Exception) -> None:
        self.answers = list(answers)

    def get_object(self, url: str) -> dict[str, Any]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_lost_connection_is_waited_out(capsys: pytest.CaptureFixture[str]) -> None:
    """The control plane may restart during a swap; the swap goes on, and so does the drawing."""
    gone = UnreachableError("gone")
    client = _Scripted(record("loading"), gone, gone, record("loading"), record("serving"))
    slept: list[float] = []
    last = progress.watch(client, "swap-1", sleep=slept.append, monotonic=lambda: 0.0)  # type: ignore[arg-type]
    assert last["state"] == "serving"
    assert "connection lost" in capsys.readouterr().err


def test_patience_has_an_end() -> None:
    """A control plane that stays away ends the watch with exit code 3."""
    times = iter(range(0, 1000, 30))
    client = _Scripted(UnreachableError("gone"))
    with pytest.raises(UnreachableError):
        progress.watch(client, "s", sleep=lambda _: None, monotonic=lambda: next(times))  # type: ignore[arg-type]


def test_on_a_terminal_one_line_is_redrawn() -> None:
    """Bar, percent, stage and the time left; cleared at the end."""
    drawn: list[str] = []
    drawing = progress.Drawing(live=True, echo=lambda text="", **_: drawn.append(text))
    drawing.show(record("loading", stage="weights", percent=37.5, eta_seconds=75))
    drawing.clear()
    assert drawn[0].startswith("\r██████████▌···")
    assert "37.5 %  loading: weights  about 1 min 15 s left" in drawn[0]
    assert drawn[1] == "\r\x1b[K"


def test_unload_is_followed_too(api: Api, run: Run) -> None:
    """An unload is a swap to nothing."""
    api.on("POST", "/api/v1/unload", Answer(record("queued", model=None), 202))
    api.on("GET", "/api/v1/swaps/swap-1", record("unloaded", model=None))
    ran = run("unload")
    assert (ran.code, ran.out) == (0, "Nothing is being served any more.\n")


def test_the_history_is_a_table_and_one_swap_is_told_in_full(api: Api, run: Run) -> None:
    """Newest first as the API orders it; a record with its steps and its error."""
    api.on("GET", "/api/v1/swaps", {"swaps": [record("serving"), FAILED]})
    ran = run("swaps", "--limit", "5")
    assert [line.split()[-2] for line in ran.out.splitlines()[1:]] == ["serving", "rolled_back"]
    assert api.asked[-1].query == "limit=5"
    api.on("GET", "/api/v1/swaps/swap-1", FAILED)
    ran = run("swaps", "swap-1")
    assert "start  spark-1  done   1.5 s" in ran.out
    assert "cause: not enough memory" in ran.err


def test_cancel_without_an_id_takes_the_one_under_way(api: Api, run: Run) -> None:
    """And says so when there is none."""
    api.on("GET", "/api/v1/swaps/current", record("loading") | {"queue": [], "serving": None})
    api.on("POST", "/api/v1/swaps/swap-1/cancel", Answer(record("loading"), 202))
    assert run("cancel").code == 0
    assert api.bodies("POST", "/api/v1/swaps/swap-1/cancel") == [{}]
    api.on("GET", "/api/v1/swaps/current", {"id": None, "state": None, "queue": []})
    assert run("cancel").out == "No swap is under way.\n"


def test_ids_are_quoted_into_the_path(api: Api, run: Run) -> None:
    """A name with slashes or dots cannot reach another route."""
    run("swaps", "../hosts/x?y#z")
    assert api.asked[-1].path == "/api/v1/swaps/..%2Fhosts%2Fx%3Fy%23z"


def test_an_interrupt_anywhere_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 130, no traceback."""

    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "get", interrupted)
    assert main(["swaps"]) == 130


def test_one_of_several_models_is_unloaded_by_its_name(api: Api, run: Run) -> None:
    ended = record("unloaded", model=None, previous_model="old", unloads="old")
    api.on("POST", "/api/v1/unload", Answer(ended, 202))
    api.on("GET", "/api/v1/swaps/swap-1", ended)
    ran = run("unload", "old")
    assert (ran.code, ran.out) == (0, "old is not served any more.\n")
    assert api.bodies("POST", "/api/v1/unload") == [{"model": "old"}]


def test_a_failed_swap_does_not_say_that_nothing_serves_when_others_may(api: Api, run: Run) -> None:
    """What it replaced did not come back; of the rest it says nothing."""
    api.on("POST", "/api/v1/swaps", Answer(record("queued"), 202))
    api.on("GET", "/api/v1/swaps/swap-1", FAILED | {"state": "failed"})
    assert "tiny did not start, and old is not serving again." in run("swap", "tiny").err
