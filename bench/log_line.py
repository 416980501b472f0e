"""What one log line of one request costs, redaction included. CPU time, so a busy machine matters
little; the line is the one that `web.observe` writes for a chat request.
"""

import io
import logging
import time
from collections.abc import Callable
from pathlib import Path

from bench.table import Row
from server.base import logs
from server.base.redact import by_rules, redact

TEXT = "POST /v1/chat/completions from 192.0.2.7 for qwen3-0.6b took 0.012 s"


def measure(place: Path, *, quick: bool) -> list[Row]:
    del place
    count = 200 if quick else 4000
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    logs.configure("info", "json", io.StringIO())
    try:
        line = _microseconds(_write_a_line, count)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    return [
        Row("log line of one request", line, "us"),
        Row("  redact a sentence without a secret", _microseconds(_redact, count), "us"),
        Row("  the same by every rule", _microseconds(_by_rules, count), "us"),
    ]


def _microseconds(work: Callable[[], object], count: int) -> float:
    began = time.process_time()
    for _ in range(count):
        work()
    return (time.process_time() - began) / count * 1e6


def _write_a_line() -> None:
    with logs.bind(request_id="req-01jdxk7m2c9q4r8t5v6w"):
        logs.get_logger("web").info(
            "request",
            method="POST",
            path="/v1/chat/completions",
            status=200,
            seconds=0.012345,
            bytes=3456,
            client="192.0.2.7",
            model="qwen3-0.6b",
            upstream_seconds=0.0113,
        )


def _redact() -> str:
    return redact(TEXT)


def _by_rules() -> str:
    return by_rules(TEXT)
