"""`/healthz`, `/livez`, `/readyz`, `/metrics`: for supervisors and Prometheus.

Live means that this process answers. Ready means that what it needs here is there (database, data
directory): a Spark that is down does not make the control plane unready.
"""

import asyncio

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from server import __version__
from server.base.errors import SparkError
from server.base.health import Health, Verdict
from server.web.lock import STRANGER
from server.web.parts import Check
from server.web.reply import PartsOf, reply

_PATIENCE = 2.0


async def alive(parts: PartsOf) -> Response:
    uptime = None
    if parts.started is not None:
        uptime = round((parts.clock.now() - parts.started).total_seconds(), 3)
    return reply({"status": "ok", "version": __version__, "uptime_seconds": uptime})


async def ready(request: Request, parts: PartsOf) -> Response:
    """503 unless everything required is known to be there. Reasons name hosts: where there is a
    lock, strangers are not told them."""
    stranger = request.scope.get(STRANGER, False)
    verdicts = await asyncio.gather(*(probed(check) for check in parts.checks))
    known = list(zip(parts.checks, verdicts, strict=True))
    good = all(verdict.health is Health.UP for check, verdict in known if check.required)
    return reply(
        {
            "status": "ready" if good else "not_ready",
            "checks": [
                {
                    "name": check.name,
                    "health": verdict.health.value,
                    "reason": "" if stranger else verdict.reason,
                    "required": check.required,
                }
                for check, verdict in known
            ],
        },
        200 if good else 503,
    )


async def probed(check: Check) -> Verdict:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await check.probe()
    except TimeoutError:
        return Verdict.unknown(f"no answer within {_PATIENCE:.0f} s")
    except SparkError as error:
        return Verdict.down(error.message)


async def metrics(parts: PartsOf) -> Response:
    return Response(generate_latest(parts.registry), headers={"content-type": CONTENT_TYPE_LATEST})


def routes() -> APIRouter:
    api = APIRouter(tags=["health"])
    api.add_api_route("/healthz", alive, methods=["GET"])
    api.add_api_route("/livez", alive, methods=["GET"])
    api.add_api_route("/readyz", ready, methods=["GET"])
    api.add_api_route("/metrics", metrics, methods=["GET"])
    return api
