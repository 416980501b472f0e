"""The gateways in turns: what each does with the same requests, streams, sockets and uploads.

In each round every gateway is measured for the same time while the others are stopped. What is
measured has one core to itself; the engine and who asks share another. CPU is user and system time
of the gateway's processes, and moves least when the machine is busy. Figures only; what they are
held against is in `gateway.py`.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import ours
from bench.peers import MODEL, Peer
from bench.process import forget_peak, peak_mib, resident_mib, tree
from bench.requests import Requests
from bench.table import median, spread
from bench.tools import NotHere, Tools

PATH = "/v1/audio/transcriptions"
RATE = 20.0
PERIOD_MS = 1000 / RATE
FRAME = 3200
WIDE = 32
OURS, FALLBACK = "ours", "ours, aiohttp client"

Figures = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured; `seconds` of each turn, `ramp` seconds until all streams are open."""

    rounds: int
    seconds: float
    streams: tuple[int, ...]
    ramp: float
    upload: int
    everybody: bool


class Bench:
    """`found[what][peer]`: a figure of each round."""

    def __init__(self, made: Tools, requests: Requests, size: Size, direct: Peer) -> None:
        self._tools = made
        self._requests = requests
        self.size = size
        self._direct = direct
        self.peers: dict[str, Peer] = {}
        self.missing: dict[str, str] = {}
        self.found: defaultdict[str, Figures] = defaultdict(lambda: defaultdict(list))

    def add(
        self, stack: ExitStack, name: str, start: Callable[[], AbstractContextManager[Peer]]
    ) -> None:
        """A gateway more, warm and put aside; or why it cannot be measured here."""
        try:
            peer = stack.enter_context(start())
        except NotHere as error:
            self.missing[name] = str(error)
            return
        self.peers[name] = peer
        self._keep("idle", name, sum(resident_mib(pid) for pid in tree(peer.pid)))
        for seconds in (self.size.seconds / 2, self.size.seconds):
            self._ask(peer, 8, seconds)
        peer.put_aside()

    def idle(self) -> None:
        for name, peer in self.peers.items():
            self._keep("start", name, peer.start)

    # ---- one question after the other, and many at once

    def asked(self) -> None:
        self._one("direct", self._direct)
        for name, peer in self.peers.items():
            with peer.turn():
                self._one(name, peer)

    def _one(self, name: str, peer: Peer) -> None:
        for wide in (WIDE, 1):
            before = peer.cpu()
            came = self._ask(peer, wide, self.size.seconds)
            if came["errors"] or not came["answers"]:
                raise RuntimeError(f"{name} did not answer well: {came}")
            self._keep(f"rps {wide}", name, came["answers"] / came["seconds"])
            self._keep(f"p50 {wide}", name, came["p50_us"])
            self._keep(f"cpu {wide}", name, (peer.cpu() - before) / came["answers"] * 1e6)

    def _ask(self, peer: Peer, wide: int, seconds: float) -> dict[str, Any]:
        request = self._requests.chat(peer, MODEL)
        return self._tools.asked("ask", "127.0.0.1", peer.port, request, wide, seconds)

    # ---- streams

    def streamed(self, count: int) -> None:
        for name in ("nginx", OURS, FALLBACK):
            if name in self.peers:
                with self.peers[name].turn():
                    self._stream(name, self.peers[name], count)

    def _stream(self, name: str, peer: Peer, count: int) -> None:
        chunks = int((self.size.ramp + self.size.seconds + 3) * RATE)
        request = self._requests.chat(peer, MODEL, chunks)
        words = (request, count, self.size.ramp, self.size.seconds, PERIOD_MS)
        before = peer.cpu()
        came = self._tools.asked("stream", "127.0.0.1", peer.port, *words)
        self._keep(f"cpu chunk {count}", name, (peer.cpu() - before) / max(came["chunks"], 1) * 1e6)
        self._keep(f"on time {count}", name, came["on_time"] / came["offered"] * 100)
        self._keep(f"lag {count}", name, came["p50_us"] / 1000)
        self._keep(f"lag99 {count}", name, came["p99_us"] / 1000)

    # ---- WebSocket

    def sockets(self) -> None:
        for _ in range(self.size.rounds):
            for name in ("nginx", OURS):
                if name in self.peers:
                    with self.peers[name].turn():
                        time.sleep(self.size.seconds / 2)  # the ends of its streams are behind it
                        self._socket(name, self.peers[name])

    def _socket(self, name: str, peer: Peer) -> None:
        request = self._requests.socket(peer, f"/v1/realtime?model={MODEL}")
        words = (request, WIDE, self.size.seconds, FRAME)
        before = peer.cpu()
        came = self._tools.asked("socket", "127.0.0.1", peer.port, *words)
        if came["errors"] or not came["answers"]:
            self.missing["socket"] = f"{name} answered a WebSocket with {came['first_bad_status']}"
            return
        self._keep("cpu frame", name, (peer.cpu() - before) / came["answers"] * 1e6)

    # ---- upload

    def uploaded(self) -> None:
        for name in ("nginx", OURS, FALLBACK):
            if name not in self.peers:
                continue
            peer = self.peers[name]
            with peer.turn():
                for chunked in (False, True):
                    self._upload(name, peer, chunked=chunked)

    def _upload(self, name: str, peer: Peer, *, chunked: bool) -> None:
        size = self.size.upload
        # What is sent is no recording, and the route for recordings would look into it.
        path = PATH if name == "nginx" else f"/upstream/{ours.ASR_SERVICE}{PATH}"
        head, tail = self._requests.upload(peer, path, ours.ASR_MODEL, size, chunked=chunked)
        pids = tree(peer.pid)
        for pid in pids:
            forget_peak(pid)
        idle = sum(resident_mib(pid) for pid in pids)
        words = (head, size, tail, int(chunked))
        came = self._tools.asked("upload", "127.0.0.1", peer.port, *words)
        if came["errors"] or came.get("heard", 0) < size:
            raise RuntimeError(f"{name} did not carry the upload: {came}")
        self._keep("upload", name, sum(peak_mib(pid) for pid in pids) - idle)
        self._keep("upload rate", name, size / came["seconds"] / 1e6)

    # ---- beside a control plane at work

    def beside(self, place: Path, engine_port: int) -> None:
        hosts, pages = (8, 20) if self.size.everybody else (1, 1)
        with ours.at_work(place, engine_port, hosts=hosts, pages=pages) as busy:
            self._ask(busy, 8, self.size.seconds)
            for _ in range(self.size.rounds):
                quiet = self.peers[OURS]
                busy.put_aside()
                with quiet.turn():
                    time.sleep(self.size.seconds / 2)
                    self._wide("quiet", quiet)
                busy.go_on()
                time.sleep(self.size.seconds / 2)
                self._wide("at work", busy)
            before, began = busy.cpu(), time.monotonic()
            time.sleep(self.size.seconds)
            passed = time.monotonic() - began
            self._keep("own work", "at work", (busy.cpu() - before) / passed * 100)
            for count in self.size.streams[:1]:
                self._stream("at work", busy, count)

    def _wide(self, name: str, peer: Peer) -> None:
        before = peer.cpu()
        came = self._ask(peer, WIDE, self.size.seconds)
        self._keep("beside rps", name, came["answers"] / came["seconds"])
        self._keep("beside cpu", name, (peer.cpu() - before) / came["answers"] * 1e6)

    # ---- what was found

    def _keep(self, what: str, name: str, figure: float) -> None:
        self.found[what][name].append(figure)

    def of(self, what: str, name: str) -> float | None:
        figures = self.found[what].get(name)
        return median(figures) if figures else None

    def ratio(self, what: str, name: str, other: str) -> float | None:
        """Medians of the rounds, `name` to `other`."""
        mine, theirs = self.of(what, name), self.of(what, other)
        return mine / theirs if mine is not None and theirs else None

    def added(self, name: str) -> float | None:
        mine, direct = self.of("p50 1", name), self.of("p50 1", "direct")
        return mine - direct if mine is not None and direct is not None else None

    def note(self, what: str, name: str, unit: str) -> str:
        figures = self.found[what].get(name)
        return spread(figures, unit) if figures else self.missing.get(name, "left out when quick")
