"""The short way of a log line and the long one write the same."""

import io
import logging
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.base import logs
from server.base.lines import Lines

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=300),
    st.sampled_from(["sk-spark-abcdefghijklmnopqrst", "Bearer abcdefghijklmnop", "a\nb\x1b[31m"]),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)
NAMES = st.sampled_from(["path", "status", "token", "password", "model", "api_key", "client"])


@pytest.fixture(autouse=True)
def alone() -> Iterator[io.StringIO]:
    """Our handler as the only one, as it is in the product."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    root.handlers.clear()
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(fields=st.dictionaries(NAMES, VALUES, max_size=6))
def test_both_ways_write_the_same_line(alone: io.StringIO, fields: dict[str, object]) -> None:
    """Redacted, escaped and cut alike; the second time a text is seen as well as the first."""
    quick, long = Lines("web"), logs.get_logger("web")
    alone.seek(0)
    alone.truncate()
    with logs.bind(request_id="req-1"):
        quick.info("request", request_id="req-1", **fields)
        quick.info("request", request_id="req-1", **fields)
        long.info("request", **fields)
    lines = [orjson.loads(line) for line in alone.getvalue().splitlines()]
    for line in lines:
        line.pop("time")
    assert lines[0] == lines[1] == lines[2]


def test_secrets_known_later_are_hidden_at_once() -> None:
    """A text that was clean before is looked at again."""
    stream = io.StringIO()
    secrets: list[str] = []
    logging.getLogger().handlers.clear()
    logs.configure("info", "json", stream, secrets=lambda: secrets)
    quick = Lines("web")
    quick.info("request", path="/a/hunter22")
    secrets.append("hunter22")
    quick.info("request", path="/a/hunter22")
    first, second = (orjson.loads(line)["path"] for line in stream.getvalue().splitlines())
    assert (first, "hunter22" in second) == ("/a/hunter22", False)


def test_the_level_counts_and_people_get_their_own_lines() -> None:
    """Whatever is unusual goes the long way."""
    stream = io.StringIO()
    logging.getLogger().handlers.clear()
    logs.configure("warning", "json", stream)
    Lines("web").info("request", path="/a")
    Lines("web").debug("request", path="/a")
    assert "request" not in stream.getvalue()  # a warning of somebody else may stand there
    logs.configure("info", "pretty", stream)
    Lines("web").info("request", request_id="req-1", path="/a")
    line = next(one for one in stream.getvalue().splitlines() if "path=/a" in one)
    assert not line.startswith("{")


def test_a_log_that_cannot_be_written_disturbs_nobody() -> None:
    """A closed pipe, a full disk."""
    stream = io.StringIO()
    logging.getLogger().handlers.clear()
    logs.configure("info", "json", stream)
    stream.close()
    Lines("web").info("request", path="/a")
