"""Every line is one object (or one drawn line), with its ids, without secrets, inert."""

import asyncio
import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from server.base import logs
from server.base.redact import REDACTED

SECRET = "hf_AbCdEfGh1234567890"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def root() -> Iterator[None]:
    """The root logger is the process's: leave it as it was found."""
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def stream() -> io.StringIO:
    out = io.StringIO()
    logs.configure("info", "json", out, secrets=lambda: ("plain-secret",))
    return out


def test_a_line_is_one_json_object_with_time_level_room_and_fields(stream: io.StringIO) -> None:
    """The shape that log collectors read."""
    logs.get_logger("swap").info("swap started", model="qwen", seconds=1.5, hosts=["a", "b"])
    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "server.swap",
        "event": "swap started",
        "model": "qwen",
        "seconds": 1.5,
        "hosts": ["a", "b"],
    }


async def test_ids_are_in_every_line_of_their_task_and_no_other(stream: io.StringIO) -> None:
    """Request id and swap id follow the task and those it starts, also into lines of libraries."""
    log = logs.get_logger("web")

    async def inner() -> None:
        logging.getLogger("asyncssh").warning("from a library")

    async def request(name: str) -> None:
        with logs.bind(request_id=name, swap_id=None):
            await asyncio.sleep(0)
            log.info("inside")
            await asyncio.create_task(inner())
        log.info("after")

    await asyncio.gather(request("r1"), request("r2"))
    log.info("outside")
    seen = [(line["event"], line.get("request_id")) for line in lines(stream)]
    for name in ("r1", "r2"):
        assert seen.count(("inside", name)) == 1
        assert seen.count(("from a library", name)) == 1
    assert seen.count(("after", None)) == 2
    assert seen[-1] == ("outside", None)
    assert all("swap_id" not in line for line in lines(stream))


def test_bind_without_a_block_lasts_for_the_task(stream: io.StringIO) -> None:
    """A driver binds once at the start of its task; an inner block puts back what was there."""

    async def task() -> None:
        logs.bind(swap_id="s1")
        with logs.bind(swap_id="s2"):
            logs.get_logger("swap").info("inner")
        logs.get_logger("swap").info("outer")

    asyncio.run(task())
    assert [line["swap_id"] for line in lines(stream)] == ["s2", "s1"]


def test_no_secret_is_written(stream: io.StringIO) -> None:
    """In events, in fields by name and by look, in commands, in tracebacks, from libraries."""
    log, event = logs.get_logger("ssh"), f"using {SECRET}"
    log.info(
        event,
        url="http://u:pa55word@h/",
        token="pa55word",
        deep={"password": "pa55word"},
    )
    log.info("run", argv=("x", "--api-key", "pa55word"), known="has plain-secret in it")
    logging.getLogger("asyncssh").warning("sent %s", f"Bearer {SECRET}")
    try:
        raise RuntimeError(f"HF_TOKEN={SECRET}")
    except RuntimeError:
        log.exception("failed")
    written = stream.getvalue()
    assert SECRET not in written
    assert "pa55word" not in written
    assert "plain-secret" not in written
    assert lines(stream)[0]["token"] == REDACTED
    assert "RuntimeError" in lines(stream)[-1]["exception"]


def test_a_value_cannot_forge_a_line_or_drive_the_terminal() -> None:
    """Newlines and terminal codes in values, names, ids and exceptions are inert in both forms."""
    forged = "x\n12:00:00.000Z error    swap     all models deleted\x1b[2J\r\u202e"
    for form in ("json", "pretty"):
        out = io.StringIO()
        logs.configure("info", form, out)  # type: ignore[arg-type]
        with logs.bind(request_id=forged):
            logs.get_logger("web").info(forged, **{forged: forged}, nested=[{"a": forged}])
        try:
            raise RuntimeError(forged)
        except RuntimeError:
            logs.get_logger("web").exception("failed")
        text = out.getvalue()
        assert "\x1b" not in text
        assert "\r" not in text
        assert "\u202e" not in text
        rows = text.splitlines()
        if form == "json":
            assert [json.loads(row)["level"] for row in rows] == ["info", "error"]
        else:
            assert sum(not row.startswith("    | ") for row in rows) == 2


def test_any_value_can_be_logged(stream: io.StringIO) -> None:
    """A log line never fails: odd numbers, odd types, odd text, endless nesting."""
    loop: dict[str, Any] = {}
    loop["self"] = loop
    logs.get_logger("x").info(
        "odd",
        big=2**70,
        nan=float("nan"),
        raw=b"\xff",
        text="\ud800",
        loop=loop,
        many=list(range(5000)),
        nothing=None,
        flag=True,
        long="x" * 100_000,
        names={1: 2},
    )
    (line,) = lines(stream)
    assert line["big"] == str(2**70)
    assert line["nan"] == "nan"
    assert line["nothing"] is None
    assert line["flag"] is True
    assert len(stream.getvalue()) < 20_000


def test_a_field_cannot_replace_the_head_of_the_line(stream: io.StringIO) -> None:
    """Who wrote a line, and when, is the logger's to say."""
    logs.get_logger("x").info(
        "e", level="critical", logger="other", time="never", name="n", msg="m"
    )
    (line,) = lines(stream)
    assert (line["level"], line["logger"]) == ("info", "server.x")
    assert line["time"] != "never"
    assert (line["name"], line["msg"]) == ("n", "m")


def test_a_terminal_gets_drawn_lines_and_a_file_gets_json() -> None:
    """`auto` looks at the stream; colours go to terminals only."""
    terminal, file = Terminal(), io.StringIO()
    logs.configure("info", "auto", terminal)
    logs.get_logger("swap").warning("slow", host="spark-1", why="two words")
    logs.configure("info", "auto", file)
    logs.get_logger("swap").warning("slow")
    assert "\x1b[33mwarning" in terminal.getvalue()
    assert 'slow  host=spark-1 why="two words"' in terminal.getvalue()
    assert lines(file)[0]["event"] == "slow"
    assert terminal.getvalue().count("\n") == 1


def test_levels_are_kept_and_chatty_libraries_are_quiet() -> None:
    """Below the level nothing is written; per-packet lines of libraries only with debug."""
    out = io.StringIO()
    logs.configure("warning", "json", out)
    logs.get_logger("x").info("no")
    logs.get_logger("x").error("yes")
    logs.configure("info", "json", out)
    logging.getLogger("asyncssh").info("no")
    logs.configure("debug", "json", out)
    logs.get_logger("x").debug("yes")
    logging.getLogger("asyncssh").info("yes")
    assert [line["event"] for line in lines(out)] == ["yes", "yes", "yes"]


def test_a_log_that_cannot_be_written_disturbs_nobody() -> None:
    """A closed pipe or a full disk under the log is no reason to fail a swap."""

    class Broken(io.StringIO):
        def write(self, _text: str, /) -> int:
            raise BrokenPipeError

    logs.configure("info", "json", Broken())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logs.get_logger("x").info("lost")
