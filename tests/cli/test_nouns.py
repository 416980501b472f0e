"""`hosts`, `models`, `status`, `logs`, `doctor`, `events`: what is sent and what is drawn."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.cli.events import read_events
from server.cli.models import pairs
from tests.cli.conftest import Answer, Api, Run

GIB = 1 << 30
DASH = "\N{EN DASH}"
HOST: dict[str, Any] = {
    "name": "spark-1",
    "address": "192.0.2.11",
    "port": 22,
    "user": "ubuntu",
    "labels": ["llm"],
    "health": "up",
    "reason": "",
    "sample": {
        "gpus": [{"utilization": 41.0, "temperature": 55.0, "power": None}],
        "memory": {"available": 100 * GIB, "total": 121 * GIB},
    },
}
SILENT = HOST | {"name": "spark-2", "health": "unknown", "reason": "ssh timed out", "sample": None}


def test_hosts_are_listed_with_unknown_as_unknown(api: Api, run: Run) -> None:
    """A figure that a host does not report is a dash, never 0; the reason is told below."""
    api.on("GET", "/api/v1/hosts", {"hosts": [HOST, SILENT]})
    ran = run("hosts", "list")
    lines = ran.out.splitlines()
    assert lines[1].split() == [
        "spark-1", "up", "ubuntu@192.0.2.11:22", "41", "%", "55", "°C", DASH,
        "100.0", "GiB", "121.0", "GiB", "llm",
    ]  # fmt: skip
    assert lines[2].split()[3:8] == [DASH, DASH, DASH, DASH, DASH]
    assert lines[3] == "spark-2: ssh timed out"
    assert run("--json", "hosts", "list").json == {"hosts": [HOST, SILENT]}
    assert run("hosts", "list", "--json").json == {"hosts": [HOST, SILENT]}


def test_a_host_is_added_with_the_settings_given(api: Api, run: Run) -> None:
    """What was not said is left to the server's defaults."""
    api.on("POST", "/api/v1/hosts", Answer(HOST, 201))
    argv = ["hosts", "add", "spark-1", "192.0.2.11", "--label", "llm", "--user", "me"]
    assert run(*argv).code == 0
    assert api.bodies("POST", "/api/v1/hosts") == [
        {"name": "spark-1", "address": "192.0.2.11", "port": 22, "user": "me", "labels": ["llm"]}
    ]


def test_a_host_is_removed(api: Api, run: Run) -> None:
    """204 without a body is fine."""
    api.on("DELETE", "/api/v1/hosts/spark-1", Answer(b"", 204))
    assert run("hosts", "remove", "spark-1").out == "Removed spark-1.\n"


def test_check_shows_findings_and_fails_on_an_error(api: Api, run: Run) -> None:
    """Exit 1 only when a finding is an error; each one with its advice."""
    fine = {"code": "ssh", "severity": "ok", "message": "SSH answers", "advice": "", "host": None}
    bad = {"code": "docker", "severity": "error", "message": "no docker", "advice": "install it"}
    api.on(
        "POST",
        "/api/v1/hosts/spark-1/check",
        {"ok": True, "findings": [fine]},
        {"ok": False, "findings": [fine, bad]},
    )
    assert run("hosts", "check", "spark-1").code == 0
    ran = run("hosts", "check", "spark-1")
    assert ran.code == 1
    assert "error    no docker\n         → install it" in ran.out


def test_a_new_key_is_accepted_only_after_a_yes(
    api: Api, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both fingerprints are shown before the question; no answer means no."""
    change = {"pinned": "SHA256:old", "offered": "SHA256:new"}
    api.on("GET", "/api/v1/hosts/spark-1", HOST | {"host_key_change": change})
    api.on("POST", "/api/v1/hosts/spark-1/accept-key", {"fingerprint": "SHA256:new"})
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda *_: "n")
    ran = run("hosts", "accept-key", "spark-1")
    assert ran.code != 0
    assert "SHA256:old" in ran.err
    assert "SHA256:new" in ran.err
    assert api.bodies("POST", "/api/v1/hosts/spark-1/accept-key") == []
    assert run("hosts", "accept-key", "spark-1", "--yes").code == 0
    sent = api.bodies("POST", "/api/v1/hosts/spark-1/accept-key")
    assert sent == [{"fingerprint": "SHA256:new"}]  # exactly the key that was shown
    api.on("GET", "/api/v1/hosts/spark-1", HOST | {"host_key_change": None})
    assert "nothing to accept" in run("hosts", "accept-key", "spark-1").out


MODEL: dict[str, Any] = {
    "id": "tiny",
    "name": "Tiny",
    "source": {"path": "/srv/models/tiny"},
    "nodes": 1,
    "knobs": {"max_model_len": 4096},
    "aliases": ["t"],
    "origin": "override",
    "provenance": {"knobs.max_model_len": "override"},
}


def test_models_are_listed_with_the_problems_of_their_files(api: Api, run: Run) -> None:
    """A broken file is told with its line."""
    problem = {"file": "models.override.yaml", "line": 7, "message": "unknown knob 'x'"}
    api.on("GET", "/api/v1/models", {"models": [MODEL], "problems": [problem]})
    ran = run("models", "list")
    assert ran.out.splitlines()[1].split() == ["tiny", "1", "/srv/models/tiny", "t", "override"]
    assert "models.override.yaml line 7: unknown knob 'x'" in ran.out


def test_models_found_on_the_hosts_are_listed(api: Api, run: Run) -> None:
    """`--rescan` asks for a new scan; an unknown size is a dash."""
    found = {"source": {"path": "/srv/models/new"}, "host": "spark-2", "bytes": None}
    both = {"source": {"hf": "a/b"}, "hosts": [{"host": "spark-1"}, {"host": "spark-2"}]}
    api.on("GET", "/api/v1/discovery", {"models": [found, both], "scans": []})
    api.on("POST", "/api/v1/discovery", Answer({"scans": []}, 202))
    out = run("models", "discover", "--rescan").out
    assert out.splitlines()[1].split() == ["/srv/models/new", "spark-2", DASH]
    assert out.splitlines()[2].split() == ["a/b", "spark-1,", "spark-2", DASH]
    assert len(api.bodies("POST", "/api/v1/discovery")) == 1


def test_a_model_is_shown_with_where_its_values_come_from(api: Api, run: Run) -> None:
    """Provenance stands beside the value."""
    api.on("GET", "/api/v1/models/tiny", MODEL)
    lines = run("models", "show", "tiny").out.splitlines()
    assert any(line.split() == ["knobs.max_model_len", "4096", "(override)"] for line in lines)


def test_whether_a_model_fits_is_shown_in_words(api: Api, run: Run) -> None:
    """The whole arithmetic is in the JSON."""
    fit = {"answer": "now", "summary": "Weights 1 GiB.", "homes": [{"lines": ["x"]}]}
    api.on("GET", "/api/v1/models/tiny", MODEL | {"fit": fit})
    lines = run("models", "show", "tiny").out.splitlines()
    assert any(line.split() == ["fit", "now:", "Weights", "1", "GiB."] for line in lines)


def test_a_recipe_is_read_into_an_entry(api: Api, run: Run, tmp_path: Path) -> None:
    """The entry goes to stdout, ready for `models add --from-file`; the rest is told beside it."""
    note = {"what": "mods", "note": "not applied"}
    answer = {"model": {"id": "x"}, "understood": [], "left_out": [note]}
    api.on("POST", "/api/v1/models/import", answer)
    file = tmp_path / "r.yaml"
    file.write_text("model: a/b")
    ran = run("models", "import", str(file))
    assert json.loads(ran.out) == {"id": "x"}
    assert "left out: mods: not applied" in ran.err
    assert api.bodies("POST", "/api/v1/models/import") == [{"text": "model: a/b"}]


def test_a_shipped_model_is_reset(api: Api, run: Run) -> None:
    """Also one that was removed, which has no name to complete any more."""
    api.on("POST", "/api/v1/models/tiny/reset", MODEL)
    assert "as it was shipped" in run("models", "reset", "tiny").out


def test_a_model_is_added_from_options(api: Api, run: Run) -> None:
    """Values that are JSON keep their type."""
    api.on("POST", "/api/v1/models", Answer(MODEL, 201))
    argv = ["models", "add", "tiny", "--path", "/srv/models/tiny", "--nodes", "2", "--alias", "t"]
    argv += ["--knob", "max_model_len=4096", "--knob", "tool_call_parser=hermes"]
    argv += ["--knob", 'extra_args=["--enable-prefix-caching"]', "--env", "A=1=2"]
    argv += ["--pinned", "--swap", "never"]
    assert run(*argv).code == 0
    assert api.bodies("POST", "/api/v1/models") == [
        {
            "id": "tiny",
            "source": {"path": "/srv/models/tiny"},
            "nodes": 2,
            "knobs": {
                "max_model_len": 4096,
                "tool_call_parser": "hermes",
                "extra_args": ["--enable-prefix-caching"],
            },
            "env": {"A": "1=2"},
            "aliases": ["t"],
            "pinned": True,
            "swap": "never",
        }
    ]


def test_a_model_is_added_from_a_file(api: Api, run: Run, tmp_path: Path) -> None:
    """Options beside the file win; a file that is no object is wrong usage."""
    api.on("POST", "/api/v1/models", Answer(MODEL, 201))
    file = tmp_path / "m.json"
    file.write_text('{"source": {"hf": "a/b"}, "nodes": 2}')
    assert run("models", "add", "tiny", "--from-file", str(file), "--nodes", "1").code == 0
    wanted = {"id": "tiny", "source": {"hf": "a/b"}, "nodes": 1}
    assert api.bodies("POST", "/api/v1/models") == [wanted]
    file.write_text("[1]")
    assert run("models", "add", "tiny", "--from-file", str(file)).code == 2


def test_knobs_are_shown_changed_and_unset(api: Api, run: Run) -> None:
    """A change keeps the other knobs; `--unset` drops one."""
    api.on("GET", "/api/v1/models/tiny", MODEL)
    assert run("--json", "models", "knobs", "tiny").json == {"max_model_len": 4096}
    api.on("PUT", "/api/v1/models/tiny/knobs", MODEL)
    assert run("models", "knobs", "tiny", "gpu_memory_utilization=0.8").code == 0
    assert run("models", "knobs", "tiny", "dtype=auto", "--unset", "max_model_len").code == 0
    assert api.bodies("PUT", "/api/v1/models/tiny/knobs") == [
        {"max_model_len": 4096, "gpu_memory_utilization": 0.8},
        {"dtype": "auto"},
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("0.5", 0.5), ("true", True), ("x", "x"), ("", ""), ("a=b", "a=b")],
)
def test_values_are_json_or_a_string(text: str, value: Any) -> None:
    """Nobody has to quote a plain word."""
    assert pairs([f"k={text}"]) == {"k": value}


def test_the_command_is_shown_as_it_would_run(api: Api, run: Run) -> None:
    """One comment line for each, then the line itself."""
    step = {"name": "start", "host": "spark-1", "command": "docker run vllm-node 'a b'"}
    api.on("GET", "/api/v1/models/tiny/command", {"commands": [step]})
    assert run("models", "command", "tiny").out == (
        "# start on spark-1\ndocker run vllm-node 'a b'\n"
    )


def test_preflight_fails_on_an_error(api: Api, run: Run) -> None:
    """With --json too."""
    bad = {"code": "fit", "severity": "error", "message": "needs 200 GiB", "advice": ""}
    api.on("POST", "/api/v1/models/tiny/preflight", {"ok": False, "findings": [bad]})
    assert run("models", "preflight", "tiny").code == 1
    assert run("--json", "models", "preflight", "tiny").code == 1


def test_status_is_one_look_at_everything(api: Api, run: Run) -> None:
    """Serving, swapping, waiting, hosts, services."""
    serving = {"model": "old", "host": "spark-1", "since": "2026-01-01T00:00:00.000Z"}
    swap = {"id": "s", "model": "tiny", "state": "loading", "stage": "weights"}
    swap |= {"percent": 12.5, "eta_seconds": 40}
    body = swap | {"serving": serving, "queue": [{"id": "q", "model": "next"}]}
    api.on("GET", "/api/v1/swaps/current", body)
    api.on("GET", "/api/v1/hosts", {"hosts": [HOST]})
    service = {"name": "kokoro", "health": "down", "kind": "tts", "host": "spark-2",
               "port": 8880, "reason": "connection refused"}  # fmt: skip
    api.on("GET", "/api/v1/services", {"services": [service]})
    out = run("status").out
    assert "Serving old on spark-1 since 2026-01-01T00:00:00.000Z\n" in out
    assert "Swapping to tiny: weights, 12.5 %, about 40 s left\n" in out
    assert "Waiting: next\n" in out
    assert "kokoro   down   tts   spark-2  8880  connection refused\n" in out
    api.on(
        "GET", "/api/v1/swaps/current", {"id": None, "state": None, "serving": None, "queue": []}
    )
    assert run("status").out.startswith("Nothing is being served\n")


def test_logs_come_from_a_host_or_a_service(api: Api, run: Run) -> None:
    """Lines are printed as they were, made inert."""
    api.on("GET", "/api/v1/hosts/spark-1/logs", {"lines": ["one", "two\x1b[2J"]})
    assert run("logs", "spark-1", "--container", "c", "--lines", "9").out == "one\ntwo\\x1b[2J\n"
    assert api.asked[-1].query == "container=c&lines=9"
    api.on("GET", "/api/v1/services/kokoro/logs", {"lines": ["three"]})
    assert run("logs", "--service", "kokoro").out == "three\n"
    api.on("GET", "/api/v1/swaps/s/log", {"id": "s", "lines": ["four", "five"]})
    assert run("logs", "--swap", "s", "--lines", "1").out == "five\n"


def test_logs_without_a_place_are_those_of_the_engine(api: Api, run: Run) -> None:
    """Of the swap under way, else of the host that serves; else it is said that there is none."""
    api.on("GET", "/api/v1/swaps/s/log", {"id": "s", "lines": ["loading"]})
    api.on("GET", "/api/v1/hosts/spark-1/logs", {"lines": ["serving"]})
    api.on(
        "GET",
        "/api/v1/swaps/current",
        {"id": "s", "serving": None},
        {"id": None, "serving": {"host": "spark-1"}},
        {"id": None, "serving": None},
    )
    assert run("logs").out == "loading\n"
    assert run("logs").out == "serving\n"
    assert run("logs").code == 1


def test_doctor_gathers_readiness_and_every_host(api: Api, run: Run) -> None:
    """A host that cannot be checked is a finding, not the end."""
    checks = [{"name": "database", "health": "down", "reason": "read-only", "required": True}]
    api.on("GET", "/readyz", Answer({"status": "not_ready", "checks": checks}, 503))
    api.on("GET", "/api/v1/hosts", {"hosts": [HOST, SILENT]})
    fine = {"code": "ssh", "severity": "ok", "message": "SSH answers", "host": "spark-1"}
    api.on("POST", "/api/v1/hosts/spark-1/check", {"findings": [fine]})
    api.refuse("POST", "/api/v1/hosts/spark-2/check", 503, "spark-2 does not answer")
    ran = run("--json", "doctor")
    assert ran.code == 1
    assert [f["severity"] for f in ran.json["findings"]] == ["error", "error", "ok", "error"]
    assert ran.json["findings"][3]["host"] == "spark-2"
    assert "Something needs attention." in run("doctor").out


def test_events_are_followed(api: Api, run: Run) -> None:
    """One line each; --json gives one object a line; --count and --type choose."""
    stream = (
        b": hello\nevent: snapshot\ndata: {}\n\n"
        b'event: swap\nid: 4\ndata: {"id": "s", "model": "tiny", "state": "loading",\n'
        b'data: "stage": "weights", "percent": 5}\n\n'
        b'event: notice\ndata: {"message": "the engine died"}\n\n'
    )
    api.on("GET", "/api/v1/events", Answer(stream, 200, "text/event-stream"))
    ran = run("events", "--type", "swap", "--type", "notice")
    assert ran.out == "swap      s tiny loading weights 5 %\nnotice    the engine died\n"
    ran = run("--json", "events", "--count", "2")
    assert [json.loads(line)["type"] for line in ran.out.splitlines()] == ["snapshot", "swap"]


def test_an_event_stream_is_read_by_the_rules() -> None:
    """Comments, other fields, several data lines, data that is no JSON."""
    lines = [": c", "data: 1", "", "id: 3", "event: x", "", "event:y", "data:a", "data:  b", ""]
    assert list(read_events(lines)) == [("message", 1), ("y", "a\n b")]
