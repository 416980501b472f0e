"""The services beside the engine on a simulated host: speech, embeddings, vector store.

Owns a light HTTP process per service that is healthy and says that it is simulated. Refuses to do
the service's work beyond an answer of the right shape.
"""

import asyncio
import hashlib
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.sim.engine.server import HttpServer, Request, Response
from server.sim.layout import HostDir

LINK_SECONDS = 0.2
DIMENSIONS = 16
HEALTHY = ("/", "/health", "/healthz", "/readyz", "/livez", "/v1/health/ready", "/v1/health/live")


@dataclass(frozen=True, slots=True)
class Kind:
    """A service the simulator offers: its name, kind, port and container."""

    name: str
    kind: str
    port: int
    container: str


OFFERED = (
    Kind("parakeet", "asr", 8001, "parakeet-asr"),
    Kind("kokoro", "tts", 8880, "kokoro-tts"),
    Kind("embeddings", "embeddings", 8002, "embeddings"),
    Kind("qdrant", "qdrant", 6333, "qdrant"),
)


def vector(text: str) -> list[float]:
    """A deterministic unit-ish vector of a text."""
    digest = hashlib.sha256(text.encode()).digest()
    return [(byte - 127.5) / 510 for byte in digest[:DIMENSIONS]]


def embeddings(body: dict[str, Any]) -> dict[str, Any]:
    given = body.get("input", "")
    texts = given if isinstance(given, list) else [given]
    rows = [
        {"object": "embedding", "index": at, "embedding": vector(str(text))}
        for at, text in enumerate(texts)
    ]
    count = sum(len(str(text).split()) for text in texts)
    usage = {"prompt_tokens": count, "total_tokens": count}
    return {"object": "list", "model": "simulated-embeddings", "data": rows, "usage": usage}


class Service:
    """Answers for one kind."""

    def __init__(self, name: str, kind: str) -> None:
        self._name = name
        self._kind = kind

    async def __call__(self, request: Request) -> Response:
        if request.path in HEALTHY:
            return Response.of({"status": "ok", "service": self._name, "simulated": True})
        if request.path == "/v1/models":
            row = {"id": f"simulated-{self._name}", "object": "model", "owned_by": "simulated"}
            return Response.of({"object": "list", "data": [row]})
        return self._work(request)

    def _work(self, request: Request) -> Response:
        """What the kind is for."""
        if self._kind == "embeddings" and request.path == "/v1/embeddings":
            return Response.of(embeddings(request.json()))
        if self._kind == "asr" and request.path == "/v1/audio/transcriptions":
            return Response.of({"text": f"[simulated] {len(request.body)} bytes of audio."})
        if self._kind == "tts" and request.path == "/v1/audio/speech":
            return Response(body=b"RIFF" + bytes(40), content_type="audio/wav")
        if self._kind == "qdrant" and request.path == "/collections":
            return Response.of({"result": {"collections": []}, "status": "ok", "time": 0.0})
        return Response.of({"error": f"{request.path} is not simulated"}, 404)


async def serve(host: HostDir, name: str, kind: str, port: int) -> int:
    leave = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave.set)
    server = HttpServer(Service(name, kind))
    await server.listen(host.address, port)
    print(f"simulated {kind} service {name!r} on port {port}", flush=True)
    seen = 0
    while not leave.is_set():
        changed = host.link.stat().st_mtime_ns
        if changed != seen:
            seen = changed
            await server.set_link(host.link.read_text().strip())
        try:
            await asyncio.wait_for(leave.wait(), LINK_SECONDS)
        except TimeoutError:
            continue
    await server.close()
    return 0


def main(argv: Sequence[str]) -> int:
    """`simulated-service NAME KIND PORT`."""
    if len(argv) != 3:
        sys.stderr.write("usage: simulated-service NAME KIND PORT\n")
        return 2
    return asyncio.run(serve(HostDir.from_environment(), argv[0], argv[1], int(argv[2])))
