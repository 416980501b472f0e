"""`keys` and `usage`: what is sent, what is drawn, and where a new key is printed."""

import io
from typing import Any

import pytest

from tests.cli.conftest import Answer, Api, Run

KEY: dict[str, Any] = {
    "id": "0123456789ab",
    "name": "laptop",
    "prefix": "sk-spark-0123456789ab-…",
    "state": "active",
    "scopes": ["gateway"],
    "models": [],
    "limits": {"requests_per_minute": 60, "tokens_per_minute": None},
    "expires_at": None,
    "last_used_at": "2026-11-21T08:00:00.000Z",
}
TEXT = "sk-spark-0123456789ab-" + "s" * 43


def test_a_new_key_is_alone_on_stdout(api: Api, run: Run) -> None:
    """So that a script can take it; what was not said is left to the server."""
    api.on("POST", "/api/v1/keys", Answer(KEY | {"key": TEXT}, 201))
    ran = run("keys", "create", "laptop")
    assert (ran.code, ran.out) == (0, TEXT + "\n")
    assert "only time" in ran.err
    assert run("--json", "keys", "create", "laptop").json["key"] == TEXT
    assert api.bodies("POST", "/api/v1/keys") == [{"name": "laptop"}] * 2


def test_what_a_key_may_do_is_sent(api: Api, run: Run) -> None:
    """Every option in its place."""
    api.on("POST", "/api/v1/keys", Answer(KEY | {"key": TEXT}, 201))
    run(
        *("keys", "create", "laptop", "--scope", "gateway", "--scope", "read", "--model", "qwen"),
        *("--priority", "0", "--max-in-flight", "2", "--swap", "never", "--days", "30"),
        *("--requests-per-minute", "60", "--audio-seconds-per-day", "90.5"),
    )
    [body] = api.bodies("POST", "/api/v1/keys")
    assert body.pop("expires_at").endswith("+00:00")
    assert body == {
        "name": "laptop",
        "scopes": ["gateway", "read"],
        "models": ["qwen"],
        "priority": 0,
        "max_in_flight": 2,
        "swap": "never",
        "limits": {"requests_per_minute": 60, "audio_seconds_per_day": 90.5},
    }


def test_keys_are_listed_revoked_ones_when_asked(api: Api, run: Run) -> None:
    """A key that may use everything says so."""
    api.on("GET", "/api/v1/keys", {"keys": [KEY, KEY | {"name": "old", "state": "revoked"}]})
    lines = run("keys", "list").out.splitlines()
    assert lines[1].split()[:5] == ["laptop", KEY["prefix"], "active", "gateway", "all"]
    assert len(lines) == 2
    assert "old" in run("keys", "list", "--all").out


def test_a_key_is_shown_in_full(api: Api, run: Run) -> None:
    """Limits among the rest; what is not set is a dash."""
    api.on("GET", "/api/v1/keys/laptop", KEY)
    out = run("keys", "show", "laptop").out
    assert "requests per minute    60\n" in out
    assert "tokens per minute      \N{EN DASH}\n" in out


def test_a_key_is_revoked_and_rotated_after_a_question(
    api: Api, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an answer nothing is done."""
    api.on("DELETE", "/api/v1/keys/laptop", Answer(b"", 204))
    api.on("POST", "/api/v1/keys/laptop/rotate", KEY | {"key": TEXT})
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert run("keys", "revoke", "laptop").code == 130
    assert api.asked == []
    assert run("keys", "revoke", "laptop", "--yes").out == "laptop is refused from now on.\n"
    assert run("keys", "rotate", "laptop", "--yes").out == TEXT + "\n"


def test_the_key_of_the_environment_is_sent(
    api: Api, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never from the command line, where everybody could read it."""
    api.on("GET", "/api/v1/keys", {"keys": []})
    run("keys", "list")
    monkeypatch.setenv("SPARK_CONTROL_API_KEY", f" {TEXT}\n")
    run("keys", "list")
    assert [asked.headers.get("Authorization") for asked in api.asked] == [None, f"Bearer {TEXT}"]
    monkeypatch.setenv("SPARK_CONTROL_API_KEY", "not a\nkey")
    ran = run("keys", "list")
    assert ran.code == 2
    assert "SPARK_CONTROL_API_KEY" in ran.err
    assert "not a" not in ran.err


def test_usage_is_drawn_with_its_total(api: Api, run: Run) -> None:
    """By what was asked for."""
    row = {
        "requests": 3,
        "errors": 1,
        "prompt_tokens": 9,
        "completion_tokens": 12,
        "cached_tokens": 0,
        "audio_seconds": 0.0,
        "gpu_seconds": 7.6,
        "bytes_in": 2048,
        "bytes_out": None,
    }
    api.on("GET", "/api/v1/usage", {"rows": [{"model": "tiny", **row}], "total": row})
    lines = run("usage", "--by", "model", "--days", "7").out.splitlines()
    assert lines[0].split()[:3] == ["MODEL", "REQUESTS", "ERRORS"]
    figures = ["3", "1", "9", "12", "0", "0", "8", "2.0", "KiB", "\N{EN DASH}"]
    assert lines[1].split() == ["tiny", *figures]
    assert lines[2].split() == ["total", *figures]
    assert sorted(api.asked[0].query.split("&")) == ["by=model", "days=7"]
