"""Whatever goes wrong: one clear message, the documented exit code, never a traceback."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.cli.client import check_url
from server.cli.errors import CliError
from server.cli.inert import inert, inert_json, one_line
from server.cli.main import VERBS
from tests.cli.conftest import Answer, Api, Run

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\u2028\r\nx\x00\x7f\u200b"
PROGRAM = [sys.executable, "-m", "server.cli.main"]
READING = [
    ["status"],
    ["hosts", "list"],
    ["models", "list"],
    ["models", "show", "m"],
    ["models", "command", "m"],
    ["swaps"],
    ["swaps", "s"],
    ["logs", "spark-1"],
    ["doctor"],
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("argv", READING, ids=" ".join)
def test_nobody_there_is_exit_3(run: Run, argv: list[str]) -> None:
    """The message names the address and how to name another."""
    url = f"http://127.0.0.1:{free_port()}"
    ran = run("--url", url, *argv)
    assert ran.code == 3
    assert url in ran.err
    assert "--url" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("argv", READING, ids=" ".join)
@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"<html>router login</html>", 200, "text/html"),
        Answer(b"<html>not here</html>", 404, "text/html"),
        Answer(b"", 302),
        Answer("a string"),
        Answer([1, 2]),
        Answer({"hosts": "x", "models": 3, "swaps": None, "error": 1}),
        Answer({"error": "old style"}, 500),
        Answer({"error": {}}, 500),
        Answer(b"\xff\xfe", 200),
    ],
    ids=lambda answer: str(answer.raw()[:20]),
)
def test_something_else_at_the_address_is_never_a_traceback(
    api: Api, run: Run, argv: list[str], answer: Answer
) -> None:
    """A router's login page, an old version, nonsense: a sentence and a non-zero exit."""
    api.next = lambda asked: answer  # type: ignore[method-assign]
    ran = run(*argv)
    if argv[0] not in {"logs", "swaps", "models"}:
        assert ran.code in {1, 3}
    assert "Traceback" not in ran.err


WORDS = (
    "id name state model stage message reason health address user host kind origin shown severity "
    "advice created_at requested_by file previous_model percent"
)


def nested(text: str) -> dict[str, Any]:
    """An answer that is hostile in every field any verb reads."""
    gpu = {"utilization": text, "temperature": text, "power": text}
    item: dict[str, Any] = dict.fromkeys(WORDS.split(), text)
    item |= {"labels": [text], "aliases": [text], "source": {"hf": text}, "lines": [text]}
    item |= {"knobs": {text: text}, "provenance": {text: text}}
    item |= {"sample": {"gpus": [gpu], "memory": {"total": text}}}
    item |= {"steps": [dict(item)], "findings": [dict(item)]}
    item |= {"error": dict.fromkeys(("message", "cause", "advice", "log_excerpt"), text)}
    lists = ("hosts", "models", "swaps", "services", "commands", "problems", "queue", "checks")
    return item | {key: [item] for key in lists} | {"serving": item, "host_key_change": item}


@pytest.mark.parametrize("argv", [*READING, ["hosts", "check", "h"], ["events"]], ids=" ".join)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_hostile_characters_in_answers_are_printed_inert(
    api: Api, run: Run, argv: list[str], as_json: bool
) -> None:
    """No answer can move the cursor, set a title, hide or reorder text on the terminal."""
    body = nested(HOSTILE)
    api.next = lambda asked: (  # type: ignore[method-assign]
        Answer(f"event: swap\ndata: {json.dumps(body)}\n\n".encode(), 200, "text/event-stream")
        if asked.path.endswith("/events")
        else Answer(body)
    )
    ran = run(*(["--json"] if as_json else []), *argv)
    for text in (ran.out, ran.err):
        assert inert(text) == text
    if as_json:
        assert HOSTILE in str(list(_strings(json.loads(ran.out))))


def _strings(body: Any) -> Any:
    if isinstance(body, dict):
        body = [*body, *body.values()]
    if isinstance(body, list):
        for item in body:
            yield from _strings(item)
    elif isinstance(body, str) and body == HOSTILE:
        yield _Shown(body)


class _Shown(str):
    """Its repr is itself, so that a list of them can be searched."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def test_a_hostile_error_message_is_inert_too(api: Api, run: Run) -> None:
    """Refusals come from outside as well."""
    api.refuse("GET", "/api/v1/hosts", 500, HOSTILE, advice=HOSTILE, request_id=HOSTILE)
    ran = run("hosts", "list")
    assert ran.code == 1
    assert inert(ran.err) == ran.err


@given(st.text())
def test_inert_json_is_the_same_json(text: str) -> None:
    """Escaping for the terminal changes no value."""
    encoded = inert_json(json.dumps({"k": text}, ensure_ascii=False))
    assert json.loads(encoded) == {"k": text}
    assert inert(encoded) == encoded


@given(st.text())
def test_one_line_is_one_line(text: str) -> None:
    """Whatever Python or a terminal calls a line end, the result has none."""
    assert len(one_line(text).splitlines()) <= 1
    assert inert(one_line(text)) == one_line(text)


@pytest.mark.parametrize(
    "argv",
    [
        ["nope"],
        ["swap"],
        ["swap", "m", "--on-conflict", "maybe"],
        ["hosts", "add", "x"],
        ["hosts", "add", "x", "y", "--port", "99999"],
        ["models", "add", "m"],
        ["models", "add", "m", "--hf", "a/b", "--knob", "novalue"],
        ["logs", "--container", "c"],
        ["logs", "h", "--service", "s"],
        ["sim"],
        ["serve", "--port", "-1"],
        ["completion", "tcsh"],
        ["--url", "box.local:9999", "status"],
        ["--url", "ftp://box", "status"],
        ["--url", "http://", "status"],
        ["--url", "http://[::1", "status"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_2(run: Run, argv: list[str]) -> None:
    """With a message, and nothing sent."""
    ran = run(*argv)
    assert ran.code == 2
    assert ran.err.strip()
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("url", ["http://box:9999", "https://spark.local", "http://[::1]:80/x"])
def test_addresses_that_are_fine(url: str) -> None:
    """With or without port and path, IPv6 in brackets."""
    check_url(url)


@pytest.mark.parametrize("url", ["", "box", "//x", "http://x:99999", "http://x:0", "javascript:1"])
def test_addresses_that_are_not(url: str) -> None:
    """Said before anything is tried."""
    with pytest.raises(CliError) as caught:
        check_url(url)
    assert caught.value.code == 2


def test_a_reader_that_leaves_early_is_no_error_message(api: Api) -> None:
    """`spark-control hosts list | head -1` prints no complaint."""
    api.on("GET", "/api/v1/hosts", {"hosts": [{"name": f"h{i}"} for i in range(20000)]})
    done = subprocess.run(
        ["bash", "-c", '"$@" | head -1', "-", *PROGRAM, "--url", api.url, "hosts", "list"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.startswith("HOST")
    assert done.stderr == ""


def test_help_imports_no_verb_and_no_http_client() -> None:
    """Help and completion stay quick: what is slow is imported by the verb that needs it."""
    code = (
        "import sys; from server.cli.main import main; main(['--help']); "
        "slow = {'httpx', 'asyncssh', 'fastapi', 'server.app', 'server.cli.swap'}; "
        "sys.exit(sorted(slow & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"  {name} " in done.stdout for name in VERBS)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(run: Run, shell: str) -> None:
    """One for each shell, naming the program."""
    ran = run("completion", shell)
    assert ran.code == 0
    assert "_SPARK_CONTROL_COMPLETE" in ran.out
    assert "spark-control" in ran.out


def test_a_model_is_completed_from_the_catalog(api: Api, tmp_path: Path) -> None:
    """The names come from the running Spark Control; names that are not printable are left out."""
    api.on("GET", "/api/v1/models", {"models": [{"id": "qwen"}, {"id": "qw\x1b[2J"}, {"id": "x"}]})
    env = {"SPARK_CONTROL_URL": api.url, "COMP_WORDS": "spark-control swap q", "COMP_CWORD": "2"}
    env["_SPARK_CONTROL_COMPLETE"] = "bash_complete"
    done = subprocess.run(PROGRAM, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("plain,qwen\n", "")


def test_completion_is_silent_when_nobody_answers() -> None:
    """An error message would land in the middle of the line being typed."""
    env = {"SPARK_CONTROL_URL": f"http://127.0.0.1:{free_port()}", "COMP_CWORD": "2"}
    env |= {"COMP_WORDS": "spark-control swap q", "_SPARK_CONTROL_COMPLETE": "bash_complete"}
    done = subprocess.run(PROGRAM, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.stderr) == ("", "")
