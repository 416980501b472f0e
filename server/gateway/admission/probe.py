"""Health probes of upstreams whose breaker is open, so that they come back without a victim.

Owns one task that looks every few seconds and asks only while a breaker is open. What the fleet
finds out about services all the time reaches the admission as the verdict of an `Upstream`; this
asks over the same connections as requests do, and engines too. Refuses to judge: the breaker does.
"""

import asyncio
from collections.abc import Callable

from server.base.clock import Clock
from server.base.errors import SparkError
from server.base.logs import get_logger
from server.config.model import Settings
from server.fleet.probe import health_url
from server.gateway.admission.service import Admission
from server.gateway.model import Upstream, UpstreamClient, UpstreamRequest

EVERY_SECONDS = 2.0
DEADLINE_SECONDS = 4.0
_HEADERS = [(b"accept", b"*/*"), (b"user-agent", b"spark-control")]


def probe_url(upstream: Upstream, settings: Settings) -> str | None:
    """Where its health is asked; None when the settings do not know it any more."""
    if upstream.engine:
        return f"{upstream.base_url}/health"
    for service in settings.services:
        host = settings.host(service.host)
        if service.name == upstream.name and host is not None:
            return health_url(service, host)
    return None


class Probing:
    """`start` it inside a running loop; `close` ends its task."""

    def __init__(
        self,
        *,
        admission: Admission,
        client: UpstreamClient,
        settings: Callable[[], Settings],
        clock: Clock,
    ) -> None:
        self._admission = admission
        self._client = client
        self._settings = settings
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._log = get_logger("admission")

    async def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._forever(), name="probes of failed upstreams")

    async def close(self) -> None:
        """Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def look(self) -> None:
        """Ask every upstream that rests, all at once."""
        resting = self._admission.resting()
        if resting:
            await asyncio.gather(*map(self._probe, resting))

    async def _forever(self) -> None:
        while True:
            await self._clock.sleep(EVERY_SECONDS)
            try:
                await self.look()
            except Exception:
                # Without probes the breakers still try by themselves: log it and go on.
                self._log.exception("probing failed upstreams broke")

    async def _probe(self, upstream: Upstream) -> None:
        url = probe_url(upstream, self._settings())
        answered = None if url is None else await self._ask(upstream, url)
        if answered is not None:
            # Longer than the pause to the next probe, so that it stays open while that one is out.
            again = EVERY_SECONDS + DEADLINE_SECONDS
            self._admission.probed(upstream.name, answered=answered, again=again)
            if answered:
                self._log.info("upstream is back", upstream=upstream.name)

    async def _ask(self, upstream: Upstream, url: str) -> bool | None:
        """None: it answers, but not this question, so only a request can tell."""
        request = UpstreamRequest("GET", url, list(_HEADERS), b"", upstream.name)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                response = await self._client.open(request)
        except (SparkError, TimeoutError):
            return False
        response.close()
        if 200 <= response.status < 300:
            return True
        return False if response.status >= 500 else None
