"""The process of the engine: listens at once, loads its models, ends when told to.

Prints one line of JSON with its address when it listens. Keeps its libraries from asking the
network for weights: all it may use lies on the shelf.
"""

import asyncio
import json
import os
import socket
import sys

import uvicorn

from server.base.errors import Unavailable
from server.engine.http.app import ENGINE, create
from server.engine.http.models import Models
from server.engine.limits import Limits
from server.engine.weights.shelf import Shelf

GRACE_SECONDS = 2


def run(host: str, port: int, shelf: Shelf, limits: Limits) -> int:
    """Blocks until SIGTERM or SIGINT. Raises Unavailable when the address is taken."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads spin otherwise
    with _listening(host, port) as sock:
        asyncio.run(_serve(sock, shelf, limits))
    return 0


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise Unavailable(
            f"{host} port {port} cannot be listened on: {error.strerror}.",
            advice="Choose another one with --port.",
        ) from error
    return sock


async def _serve(sock: socket.socket, shelf: Shelf, limits: Limits) -> None:
    models = Models(shelf, limits.waiting)
    server = uvicorn.Server(
        uvicorn.Config(
            create(models, limits),
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    sock.listen(128)
    host, port = sock.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    sys.stdout.write(json.dumps({"engine": ENGINE, "url": f"http://{shown}:{port}"}) + "\n")
    sys.stdout.flush()
    loading = asyncio.create_task(models.load())
    loading.add_done_callback(lambda _: _say(models))
    try:
        await server.serve(sockets=[sock])
    finally:
        loading.cancel()
        models.close()


def _say(models: Models) -> None:
    for model, state in models.states().items():
        sys.stderr.write(f"{model}: {state}\n")
    sys.stderr.flush()
