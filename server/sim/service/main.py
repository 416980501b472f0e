"""One service beside the engine, as a process: speech, voices, embeddings, vectors.

Owns which path means what, and the scenario's faults. Refuses to do the service's work beyond an
answer of the right shape.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from server.sim.engine.server import HttpServer, Request, Response
from server.sim.layout import HostDir
from server.sim.scenario import Scenario
from server.sim.service import speech, vectors
from server.sim.service.forward import forward
from server.sim.service.hearing import converse

LINK_SECONDS = 0.2
HEALTHY = ("/", "/health", "/healthz", "/readyz", "/livez", "/v1/health/ready", "/v1/health/live")
SOCKETS = ("/v1/audio/stream", "/v1/realtime")
SPOKEN = ("asr", "tts", "diarize")
PIECE = 4096


class Service:
    """Answers for one kind. `scenario` is asked again for each request.

    With `reference`, the address of a reference engine, speech is heard and spoken by that one.
    """

    def __init__(
        self, name: str, kind: str, scenario: Callable[[], Scenario], reference: str | None = None
    ) -> None:
        self._name = name
        self._kind = kind
        self._scenario = scenario
        self._points = vectors.Points()
        self._reference = reference if kind in SPOKEN else None

    async def __call__(self, request: Request) -> Response:
        if request.path in HEALTHY and request.method in {"GET", "HEAD"}:
            return Response.of({"status": "ok", "service": self._name, "simulated": True})
        if request.path == "/v1/models":
            row = {"id": f"simulated-{self._name}", "object": "model", "owned_by": "simulated"}
            return Response.of({"object": "list", "data": [row]})
        told = self._scenario()
        if told.service_answer == "hang":
            await asyncio.Event().wait()
        await asyncio.sleep(told.service_seconds)
        if told.service_answer == "error":
            return Response.of({"detail": "CUDA out of memory (simulated)"}, 500)
        if told.service_answer == "busy":
            return Response.of({"detail": "busy (simulated)"}, 503)
        try:
            answer = await self._work(request)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return Response.of({"detail": f"bad request (simulated): {error}"}, 400)
        return answer or Response.of({"error": f"{request.path} is not simulated"}, 404)

    async def _work(self, request: Request) -> Response | None:
        """What the kind is for; None for a path that it does not know."""
        if self._reference is not None:
            try:
                return await forward(self._reference, request)
            except OSError as error:
                return Response.of({"detail": f"the reference engine is gone: {error}"}, 500)
        work: dict[str, Callable[[Request], Awaitable[Response | None]]] = {
            "asr": self._hear,
            "diarize": self._hear,
            "tts": self._say,
            "embeddings": self._compare,
            "rerank": self._compare,
            "qdrant": self._store,
        }
        return await work[self._kind](request) if self._kind in work else None

    async def _hear(self, request: Request) -> Response | None:
        known = ("transcriptions", "translations", "diarize", "diarize-chunk")
        what = request.path.removeprefix("/v1/audio/")
        if what not in known:
            return None
        fields = speech.form(request.headers.get("content-type", ""), request.body)
        audio = fields.get("file")
        if audio is None:
            return Response.of({"detail": "file: Field required"}, 422)
        if what.startswith("diarize"):
            return Response.of(speech.turns(audio))
        if fields.get("stream") == b"true":
            pieces = _paced(speech.events(audio), 0.01)
            return Response(content_type="text/event-stream", stream=pieces)
        task = "translate" if what == "translations" else "transcribe"
        kind, body = speech.transcript(audio, fields, task)
        return Response(body=body, content_type=kind)

    async def _say(self, request: Request) -> Response | None:
        if request.path == "/v1/audio/voices":
            return Response.of({"voices": list(speech.VOICES), "simulated": True})
        if request.path != "/v1/audio/speech":
            return None
        asked = request.json()
        text = str(asked["input"])
        if asked.get("response_format") == "pcm":
            sound = speech.pcm(text)
            pieces = [sound[at : at + PIECE] for at in range(0, len(sound), PIECE)]
            return Response(content_type="audio/pcm", stream=_paced(pieces, 0.0))
        return Response(body=speech.sound(text), content_type="audio/wav")

    async def _compare(self, request: Request) -> Response | None:
        if request.path == "/v1/embeddings":
            return Response.of(vectors.embeddings(request.json()))
        if request.path in {"/v1/rerank", "/rerank"}:
            return Response.of(vectors.rerank(request.json()))
        return None

    async def _store(self, request: Request) -> Response | None:
        body = request.json() if request.body else {}
        status, result = self._points.answer(request.method, request.path, body)
        if status != 200:
            return Response.of({"status": {"error": result}, "time": 0.0}, status)
        return Response.of({"result": result, "status": "ok", "time": 0.0})


async def _paced(pieces: Sequence[bytes], seconds: float) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(seconds)


async def serve(host: HostDir, name: str, kind: str, port: int) -> int:
    leave = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave.set)
    service = Service(name, kind, lambda: host.scenario, host.reference)
    sockets = SOCKETS if kind == "asr" else ()
    server = HttpServer(service, dict.fromkeys(sockets, converse))
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
