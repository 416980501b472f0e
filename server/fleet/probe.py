"""Health probes of the services in `config.yaml`, over HTTP.

Owns one client for all of them: redirects are not followed, of a body only a little is read, no
proxy of the environment is used, and the whole probe has one deadline. Refuses to judge the
answer (`state.py` does) and to repeat what the service wrote: only the status is taken.
"""

import asyncio
import errno
from collections.abc import Iterator

import httpx

from server.base.clock import Clock
from server.config.model import Host, Service
from server.fleet.state import Answer, Outcome

DEFAULT_PATHS = {
    "asr": "/health",
    "tts": "/health",
    "embeddings": "/health",
    "rerank": "/health",
    "diarize": "/health",
    "llm": "/health",
    "qdrant": "/healthz",
    "web": "/",
    "other": "/",
}
BODY_LIMIT = 16 * 1024
DEADLINE = 4.0


def health_path(service: Service) -> str:
    return service.health_path or DEFAULT_PATHS[service.kind]


def health_url(service: Service, host: Host) -> str:
    address = f"[{host.address}]" if ":" in host.address else host.address
    return f"{service.scheme}://{address}:{service.port}{health_path(service)}"


class Prober:
    """Asks one service at a time; many may be asked at once."""

    def __init__(self, clock: Clock, deadline: float = DEADLINE) -> None:
        self._clock = clock
        self._deadline = deadline
        self._client: httpx.AsyncClient | None = None

    async def ask(self, service: Service, host: Host) -> Answer:
        began = self._clock.monotonic()

        def answer(outcome: Outcome, status: int | None = None, detail: str = "") -> Answer:
            return Answer(outcome, self._clock.monotonic() - began, status, detail)

        try:
            async with asyncio.timeout(self._deadline):
                return answer(Outcome.ANSWERED, await self._status(health_url(service, host)))
        except (TimeoutError, httpx.TimeoutException):
            return Answer(Outcome.TIMED_OUT, self._deadline)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            if any(_refused(cause) for cause in _causes(error)):
                return answer(Outcome.REFUSED)
            return answer(Outcome.FAILED, detail=_sentence(error))

    async def _status(self, url: str) -> int:
        async with self._http().stream("GET", url) as response:
            received = 0
            async for chunk in response.aiter_raw():
                received += len(chunk)
                if received >= BODY_LIMIT:
                    break
            return response.status_code

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            # Certificates of services on a LAN are self-signed; a probe sends no secret and
            # believes nothing but the status.
            self._client = httpx.AsyncClient(
                verify=False,  # noqa: S501
                follow_redirects=False,
                trust_env=False,
                timeout=self._deadline,
                limits=httpx.Limits(max_keepalive_connections=0),
                headers={"User-Agent": "spark-control", "Accept": "*/*"},
            )
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and all behind it: the refusal lies several layers below httpx's own error."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions


def _refused(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno == errno.ECONNREFUSED


def _sentence(error: Exception) -> str:
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        return "the connection was closed without an HTTP answer"
    if isinstance(error, httpx.ConnectError):
        return "no connection to the host"
    return "the probe failed"
