"""Open pages as far as the app can tell: what a browser with the page open asks for.

A viewer loads a page with its assets, follows the event stream, and fetches each live fragment when
one of its events comes, at most once in its pace, newest wins: what `hx-trigger` says in the page
itself is what is done, so a page that changes its ways is followed without a change here. It draws
nothing, so twenty of them cost the machine less than one browser.
"""

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from html import unescape

import aiohttp

_TAG = re.compile(r"<[a-z][^>]*\shx-trigger=\"[^\"]*\"[^>]*>")
_ATTRIBUTE = re.compile(r"([a-z-]+)=\"([^\"]*)\"")
_ON_EVENT = re.compile(r"([a-z]+)(?:\[([^\]]*)\])?((?:\s+[a-z]+:\S+)*)")
_ASSET = re.compile(r"(?:src|href)=\"(/static/[^\"#]+)[\"#]")
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Live:
    """A fragment that follows events: `kinds` with the least seconds between two fetches. `names`
    of a kind are what its filter asks for, empty for every one."""

    address: str
    kinds: dict[str, float]
    names: dict[str, str]


@dataclass(slots=True)
class Counts:
    """What all viewers did since the last `forget`."""

    fetches: int = 0
    events: int = 0
    bytes: int = 0
    lags: list[float] = field(default_factory=list)

    def forget(self) -> None:
        self.fetches = self.events = self.bytes = 0
        self.lags.clear()


def live_fragments(page: str) -> list[Live]:
    """What the page fetches again by itself."""
    found = []
    for tag in _TAG.findall(page):
        attributes = {name: unescape(value) for name, value in _ATTRIBUTE.findall(tag)}
        kinds: dict[str, float] = {}
        names: dict[str, str] = {}
        for part in attributes["hx-trigger"].split(", "):
            said = _ON_EVENT.fullmatch(part.strip())
            if said is None:
                continue
            if said[1] == "sampled":  # passed on by app.js, for the samples of one host
                names["host"], kinds["host"] = attributes.get("data-sampled", ""), _pace(said[3])
            if "from:#events" not in said[3]:
                continue
            kinds[said[1]] = _pace(said[3])
            if said[2]:
                quoted = re.search(r"['\"]([^'\"]+)['\"]", said[2])
                names[said[1]] = quoted[1] if quoted else ""
        if kinds and "hx-get" in attributes:
            found.append(Live(attributes["hx-get"], kinds, names))
    return found


def _pace(modifiers: str) -> float:
    pace = re.search(r"throttle:(\d+)(ms|s)", modifiers)
    return int(pace[1]) / (1000 if pace[2] == "ms" else 1) if pace else 0.0


def assets(page: str) -> list[str]:
    """Addresses of scripts, styles and pictures, each once."""
    return list(dict.fromkeys(_ASSET.findall(page)))


@contextmanager
def viewers(url: str, page: str, count: int) -> Iterator[Counts]:
    """`count` of them with `page` open, all connected, until the block ends."""
    counts = Counts()
    crowd = _Crowd(url, page, counts)
    thread = threading.Thread(target=lambda: asyncio.run(crowd.run(count)), daemon=True)
    thread.start()
    try:
        if not crowd.ready.wait(PATIENCE):
            raise RuntimeError(f"{count} viewers of {page} were not connected in {PATIENCE:.0f} s")
        yield counts
    finally:
        crowd.leave()
        thread.join(PATIENCE)


class _Crowd:
    """The viewers, in a loop and a thread of their own."""

    def __init__(self, url: str, page: str, counts: Counts) -> None:
        self._url = url
        self._page = page
        self._counts = counts
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._left = asyncio.Event()

    def leave(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._left.set)

    async def run(self, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        connected = [asyncio.Event() for _ in range(count)]
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(self._url, connector=connector) as session:
            tasks = [
                asyncio.create_task(_view(session, self._page, self._counts, event))
                for event in connected
            ]
            await asyncio.gather(*(event.wait() for event in connected))
            self.ready.set()
            await self._left.wait()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _view(
    session: aiohttp.ClientSession, page: str, counts: Counts, connected: asyncio.Event
) -> None:
    async with session.get(page) as answer:
        fragments = [
            _Fragment(session, live, counts) for live in live_fragments(await answer.text())
        ]
    try:
        timeout = aiohttp.ClientTimeout(total=None)
        async with session.get("/api/v1/events", timeout=timeout) as stream:
            kind, data = "", ""
            async for raw in stream.content:
                line = raw.decode().rstrip("\n")
                counts.bytes += len(raw)
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    data = line.removeprefix("data: ")
                elif not line and kind:
                    counts.events += 1
                    connected.set()
                    for fragment in fragments:
                        fragment.hear(kind, data)
                    kind = ""
    finally:
        for fragment in fragments:
            await fragment.close()


class _Fragment:
    """One live element of one viewer."""

    def __init__(self, session: aiohttp.ClientSession, live: Live, counts: Counts) -> None:
        self._session = session
        self._live = live
        self._counts = counts
        self._task: asyncio.Task[None] | None = None
        self._again = False
        self._last = 0.0

    def hear(self, kind: str, data: str) -> None:
        if kind not in self._live.kinds:
            return
        wanted = self._live.names.get(kind)
        if wanted and f'"{wanted}"' not in data:
            return
        if self._task is not None and not self._task.done():
            self._again = True
            return
        self._task = asyncio.create_task(self._fetch(self._live.kinds[kind]))

    async def _fetch(self, pace: float) -> None:
        while True:
            await asyncio.sleep(max(0.0, self._last + pace - time.monotonic()))
            self._again, self._last = False, time.monotonic()
            async with self._session.get(self._live.address) as answer:
                self._counts.bytes += len(await answer.read())
            self._counts.fetches += 1
            self._counts.lags.append(time.monotonic() - self._last)
            if not self._again:
                return

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError, aiohttp.ClientError):
                await self._task
