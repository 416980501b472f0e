"""`spark-control serve` as a process: the data directory claimed, the loop, signals, a quick end.

Owns what happens around the app: nothing of what it does.
"""

import asyncio
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from server.app import build
from server.base.errors import SparkError
from server.base.logs import configure, get_logger
from server.config.load import ConfigError
from server.config.paths import DataDir
from server.gateway.client.tunnel import MESSAGE_BYTES
from server.running import App
from server.store.sweep import sweep
from server.upkeep.backup.restore import carry_out
from server.web.attended import PING_SECONDS, PONG_SECONDS
from server.web.edge import EdgeSocket, edge, is_news
from server.web.gone import end_those_gone

MOST_FILES = 1 << 16
KEEP_ALIVE_SECONDS = 75
"""How long a connection may idle. Longer than clients keep theirs (httpx and the OpenAI client 5 s,
aiohttp 15 s, nginx as a proxy in front 60 s): who closes first must be the one who knows that
nothing is on its way, else a request meets a connection that is just being closed."""


class _Server(uvicorn.Server):
    """Ends open streams before uvicorn waits for their connections, so that SIGTERM is quick."""

    def __init__(self, config: uvicorn.Config, app: App) -> None:
        super().__init__(config)
        self._app = app

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ours alone: uvicorn's own way raises the signal again, and nothing would be closed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        end_those_gone(self.server_state.connections, counter)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: Any = None) -> None:
        for server in self.servers:
            server.close()
        await self._app.begin_shutdown()
        await super().shutdown(sockets)


def allow_connections() -> None:
    """As many open files as the system lets us have. A stream needs two, and many systems begin
    with 1024: who came after the 500th would be told that the engine cannot be reached."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def run(path: Path, host: str, port: int) -> int:
    """`spark-control serve`: returns the exit status. 2 for settings, 1 for what cannot be used."""
    data = DataDir(path, os.environ)
    try:
        data.prepare()
        allow_connections()
        with data.claim():
            restored = carry_out(data, datetime.now(UTC))
            app = build(data, os.environ)
            log = app.settings.current.log
            configure(log.level, log.format)
            if restored is not None:
                get_logger("app").info("app.restored", backup=restored.id, set_aside=restored.aside)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_serve(app, host, port))
    except SparkError as error:
        advice = f" {error.advice}" if error.advice else ""
        sys.stderr.write(f"Spark Control does not start: {error.message}{advice}\n")
        return 2 if isinstance(error, ConfigError) else 1


async def _serve(app: App, host: str, port: int) -> int:
    log = get_logger("app")
    swept = sweep(app.data.tmp, (app.data.config, app.data.overrides, app.data.known_hosts))
    for problem in swept.problems:
        log.warning("app.sweep", problem=problem)
    try:
        await app.start()
    except SparkError:
        await app.close()
        raise
    # What was made until here lives as long as the process. Looking through all of it again and
    # again would stop every stream for 60 ms each time.
    gc.collect()
    gc.freeze()
    config = uvicorn.Config(
        app.edge,
        host=host,
        port=port,
        loop="none",
        http=edge(app.lane),
        ws=EdgeSocket,
        ws_max_size=MESSAGE_BYTES,
        ws_per_message_deflate=False,  # audio does not get smaller, and others only wait for it
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PONG_SECONDS,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        proxy_headers=False,
        h11_max_incomplete_event_size=None,
    )
    server = _Server(config, app)
    logging.getLogger("uvicorn.error").addFilter(is_news)
    try:
        log.info("app.starting", address=host, port=port, public_key=app.public_key)
        await server.serve()
    finally:
        await app.close()
        log.info("app.stopped")
    return 0 if server.started else 1
