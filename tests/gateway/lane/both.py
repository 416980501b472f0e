"""The same bytes to two gateways, one with the fast lane and one without, and what came of them."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

import orjson
from prometheus_client.registry import Collector

from server.gateway.model import Passage
from server.gateway.usage.tap import make_tap
from tests.gateway.made import CHAT, Running, gateway, model
from tests.gateway.made import catalog as made_catalog
from tests.gateway.running import raw_server, read_request

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]
Say = Callable[[asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
BODY = orjson.dumps(CHAT)
WARM = b'{"model":"tiny","warm":1}'
CALLER = b"x-test: a\r\n"
_IDS = re.compile(rb"req-[0-9a-z]{14}")
_PORT = re.compile(rb"(?<=host: 127.0.0.1):\d+")
_DATE = re.compile(rb"date: [^\r]*")
_CHANCE = frozenset({"seconds", "request_id"})
_TIMES = ("admitted", "opened", "first_byte", "first_token", "ended")
_TOLD = (
    *("route", "asked", "model", "upstream", "kind", "host", "stream", "status", "error"),
    *("bytes_in", "bytes_out", "attempts", "cached", "used", "caller"),
)


def post(body: bytes = BODY, *more: bytes, path: str = "/v1/chat/completions") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n".encode()
    head += b"".join(line + b"\r\n" for line in more)
    return head + b"content-length: %d\r\n\r\n%b" % (len(body), body)


LAST = post(WARM, b"connection: close")


def sized(body: bytes, *more: bytes, status: bytes = b"200 OK") -> bytes:
    lines = b"".join(line + b"\r\n" for line in more)
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\n%b" % (status, lines)
    return head + b"content-length: %d\r\n\r\n%b" % (len(body), body)


def chunk(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part)


@dataclass
class Seen:
    """What one gateway made of it. `flown`: how many of the requests went by the fast lane."""

    answers: list[tuple[list[bytes], bytes, bool]] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)
    passages: list[dict[str, Any]] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    counted: dict[str, float] = field(default_factory=dict)
    flown: int = 0


async def asked(
    wire: Sequence[bytes], answer: Say, *, fast: bool, lines: int, pause: float = 0.0
) -> Seen:
    """`wire` is sent piece by piece on one connection, after a request that makes sure that a
    connection to the upstream idles. What the upstream says to each of these is up to `answer`.
    `lines`: how many requests of `wire` the log has to tell of."""
    seen = Seen()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _n: int) -> None:
        try:
            while True:
                heard = await read_request(reader)
                if heard.endswith(WARM):
                    writer.write(sized(b"{}"))
                else:
                    seen.heard.append(_PORT.sub(b"", _IDS.sub(b"req-", heard)))
                    await answer(writer)
                    if writer.is_closing():
                        return
        except (asyncio.IncompleteReadError, ConnectionError):
            return

    known = made_catalog(
        model("tiny", aliases=("small",), variants={"hot": {"temperature": 2.0}}), model("large")
    )
    async with (
        raw_server(talk) as base_url,
        gateway(fast_lane=fast, tap=make_tap, catalog=known) as running,
    ):
        running.serve(base_url)
        with _Log() as log:
            said = await _say(running, [post(WARM), *wire], pause)
            await asyncio.wait_for(log.has(lines + 1), 10)
        seen.answers = split(said)
        passages = [running.passages.get_nowait() for _ in range(running.passages.qsize())]
        seen.flown = sum(one.admitted == one.arrived for one in passages)
        seen.passages = [_told(one) for one in passages]
        seen.lines = log.lines()
        seen.counted = _counted(running.registry)
        assert running.inflight.count() == 0
        assert running.held.size == 0
        assert running.activity.under_way() == ()
    return seen


async def _say(running: Running, wire: Sequence[bytes], pause: float) -> bytes:
    parts = urlsplit(running.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    said = b""
    try:
        for number, piece in enumerate(wire):
            writer.write(piece)
            if number == 0:
                said += await reader.readuntil(b"{}")
            else:
                await asyncio.sleep(pause)
        said += await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        pass
    finally:
        writer.close()
    return said


def split(said: bytes) -> list[tuple[list[bytes], bytes, bool]]:
    """Each answer: its head's lines without what differs by chance, its body without chunks, and
    whether it is complete."""
    found = []
    while said:
        head, _, said = said.partition(b"\r\n\r\n")
        head = _DATE.sub(b"date:", _IDS.sub(b"req-", head))
        lines = head.split(b"\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if b"transfer-encoding: chunked" in lines:
            body, said, whole = _unchunked(said)
        elif length:
            size = int(length[1])
            body, said, whole = said[:size], said[size:], len(said) >= size
        else:
            body, said, whole = said, b"", True
        found.append((lines, _IDS.sub(b"req-", body), whole))
    return found


def _unchunked(said: bytes) -> tuple[bytes, bytes, bool]:
    body = b""
    while said:
        size, _, said = said.partition(b"\r\n")
        count = int(size, 16)
        body, said = body + said[:count], said[count + 2 :]
        if count == 0:
            return body, said, True
    return body, b"", False


class _Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self._records: list[dict[str, Any]] = []
        self._came = asyncio.Event()

    async def has(self, count: int) -> None:
        while len(self._records) < count:
            self._came.clear()
            await self._came.wait()

    def __enter__(self) -> Self:
        logging.getLogger("server.web").addHandler(self)
        logging.getLogger("server.web").setLevel(logging.INFO)
        return self

    def __exit__(self, *_reason: object) -> None:
        logging.getLogger("server.web").removeHandler(self)
        logging.getLogger("server.web").setLevel(logging.NOTSET)

    def emit(self, record: logging.LogRecord) -> None:
        fields = getattr(record, "fields", {})
        if record.getMessage() == "request":
            self._records.append({k: v for k, v in fields.items() if k not in _CHANCE})
            self._came.set()

    def lines(self) -> list[dict[str, Any]]:
        return list(self._records)


def _told(passage: Passage) -> dict[str, Any]:
    times = {name: getattr(passage, name) is not None for name in _TIMES}
    return {name: getattr(passage, name) for name in _TOLD} | times


def _counted(registry: Any) -> dict[str, float]:
    """Every figure that does not depend on how long something took."""
    found: dict[str, float] = {}
    collector: Collector
    for collector in list(registry._collector_to_names):
        for family in collector.collect():
            timed = "seconds" in family.name and "audio" not in family.name
            for sample in family.samples:
                if (
                    sample.name.endswith("_created")
                    or (timed and not sample.name.endswith("_count"))
                    or "per_second" in sample.name
                ):
                    continue
                found[f"{sample.name}{sorted(sample.labels.items())}"] = sample.value
    return found
