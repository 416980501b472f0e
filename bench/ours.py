"""Spark Control as it is measured: `spark-control serve` with the fake engine as its services.

The real app: an API key is required, metrics are counted, each request is one line in a log file.
Owns two forms of it: alone, and at work (hosts that are sampled, dashboards that are open).
"""

import http.client
import json
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from bench.peers import MODEL, Peer, running
from bench.tools import AROUND, MEASURED
from tests.e2e.running import free_port
from tests.sim_cluster import running_sim

ASR_MODEL = "bench-asr"
ASR_SERVICE = "fake-asr"
PATIENCE = 60.0
PAGE_SECONDS = 1.0
ENTRY = ("-m", "server.cli.main")


@contextmanager
def app(place: Path, name: str, engine_port: int, client: str) -> Iterator[Peer]:
    """Alone: its one host is an address where nothing listens for SSH."""
    data = place / name.replace(" ", "-").replace(",", "")
    data.mkdir()
    host = {"name": "bench", "address": "127.0.0.1", "port": free_port(), "user": "bench"}
    config = {"hosts": [host], **_settings("bench", engine_port, client)}
    (data / "config.yaml").write_text(json.dumps(config))
    with served(data, name) as peer:
        yield peer


@contextmanager
def at_work(place: Path, engine_port: int, *, hosts: int, pages: int) -> Iterator[Peer]:
    """Beside its own work: simulated hosts sampled every second, dashboards that follow."""
    with ExitStack() as stack:
        with _pinned(AROUND):
            sim = stack.enter_context(running_sim(place, hosts=hosts))
        config = _yaml_read(sim.config)
        config |= _settings("spark-1", engine_port, "pooled")
        sim.config.write_text(json.dumps(config))
        peer = stack.enter_context(served(sim.dir, "ours, at work"))
        _until(lambda: _all_up(peer), "every host to be up")
        stack.enter_context(_dashboards(peer, pages))
        yield peer


def _settings(host: str, engine_port: int, client: str) -> dict[str, Any]:
    place = {"host": host, "port": engine_port, "health_path": "/health"}
    return {
        "services": [
            {"name": "fake-llm", "kind": "llm", "models": [MODEL], **place},
            {"name": ASR_SERVICE, "kind": "asr", "models": [ASR_MODEL], **place},
        ],
        "gateway": {
            "require_key": True,
            "upstream_client": client,
            "client_in_flight": None,
        },
        "log": {"level": "info", "format": "json"},
    }


def _yaml_read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


@contextmanager
def _pinned(core: int) -> Iterator[None]:
    """What is started inside keeps to one core, as this process does meanwhile."""
    before = os.sched_getaffinity(0)
    cores = sorted(before)
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[core]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def served(data: Path, name: str) -> Iterator[Peer]:
    """Over a data directory whose services answer for `MODEL`."""
    port = free_port()
    argv = [sys.executable, *ENTRY, "serve", "--data", data, "--port", port]
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.monotonic()
    with running(argv, data / "serve.log", core=MEASURED, env=env) as process:
        peer = Peer(name, port, process.pid)

        def lives() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"the app ended: {(data / 'serve.log').read_text()[-2000:]}")
            return _asked(port, "GET", "/livez")[0] == 200

        _until(lives, "the app to listen")
        peer.start = time.monotonic() - began
        status, made = _asked(port, "POST", "/api/v1/keys", {"name": "bench"})
        if status not in {200, 201}:
            raise RuntimeError(f"no API key could be made: {status} {made}")
        peer.key = made["key"]
        _until(lambda: _chats(peer), "the fake engine to be asked")
        yield peer


def _chats(peer: Peer) -> bool:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
    return _asked(peer.port, "POST", "/v1/chat/completions", body, peer.key)[0] == 200


def _all_up(peer: Peer) -> bool:
    hosts = _asked(peer.port, "GET", "/api/v1/hosts")[1]["hosts"]
    return all(host["health"] == "up" for host in hosts)


def _asked(
    port: int, method: str, path: str, body: Any = None, key: str | None = None
) -> tuple[int, Any]:
    """Status and JSON (None when it is none); status 0 while nobody listens."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    if body is not None:
        headers["content-type"] = "application/json"
    try:
        link.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = link.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text[:1] in b"{[" else None
    except ConnectionError:
        return 0, None
    finally:
        link.close()


def _until(look: Any, what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not look():
        if time.monotonic() > end:
            raise RuntimeError(f"waited {PATIENCE:.0f} s in vain for {what}")
        time.sleep(0.01)


@contextmanager
def _dashboards(peer: Peer, count: int) -> Iterator[None]:
    """Browsers, as far as the app can tell: the page, then its events; one of them reloads."""
    leave = threading.Event()
    links = []
    for _ in range(count):
        _asked(peer.port, "GET", "/")
        link = socket.create_connection(("127.0.0.1", peer.port), timeout=30)
        link.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{peer.port}\r\n\r\n".encode())
        if b" 200 " not in link.recv(4096).split(b"\r\n", 1)[0]:
            raise RuntimeError("the event stream of the dashboard did not open")
        links.append(link)
    threads = [
        threading.Thread(target=_read_all, args=(links, leave), daemon=True),
        threading.Thread(target=_reload, args=(peer, leave), daemon=True),
    ]
    with _pinned(AROUND):
        for thread in threads:
            thread.start()
    try:
        yield
    finally:
        leave.set()
        for thread in threads:
            thread.join(10)
        for link in links:
            link.close()


def _read_all(links: Sequence[socket.socket], leave: threading.Event) -> None:
    poll = select.poll()
    by_number = {link.fileno(): link for link in links}
    for number in by_number:
        poll.register(number, select.POLLIN)
    while not leave.is_set():
        for number, _ in poll.poll(200):
            if not by_number[number].recv(1 << 16):
                return


def _reload(peer: Peer, leave: threading.Event) -> None:
    while not leave.wait(PAGE_SECONDS):
        _asked(peer.port, "GET", "/")
