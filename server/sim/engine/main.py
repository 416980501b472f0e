"""`vllm`: the command on a simulated host or inside one of its containers.

Owns the life of one engine process: read flags, find the model, load, bind, serve, leave on TERM.
Refuses to run without a simulated host around it.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from server.sim import memory
from server.sim.engine import hub, load
from server.sim.engine.api import VERSION, Api, Served
from server.sim.engine.directory import LoadError, ModelDirectory, open_directory
from server.sim.engine.load import Demand, KilledBySystemError, Loader, Log
from server.sim.engine.options import Options, UsageError, parse
from server.sim.engine.server import HttpServer
from server.sim.layout import HostDir

LINK_SECONDS = 0.1


def say(line: str) -> None:
    """One line of log, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def inside(path: str) -> Path:
    """A path as the engine sees it -> where it lies on this machine. Mounts by longest prefix."""
    mounts: list[list[str]] = json.loads(os.environ.get("SIM_MOUNTS", "[]"))
    for target, source in sorted(mounts, key=lambda pair: -len(pair[0])):
        if path == target or path.startswith(target.rstrip("/") + "/"):
            return Path(source) / path[len(target) :].lstrip("/")
    root = os.environ.get("SIM_ROOTFS")
    return Path(root) / path.lstrip("/") if root else Path(path)


async def find(options: Options, host: HostDir) -> Path:
    """The directory of the model: a local path, or a snapshot in the cache."""
    name = options.model
    if name.startswith(("/", "./", "../", "~")) or inside(name).is_dir():
        return inside(os.path.expanduser(name))  # noqa: PTH111  (a string until it is mapped)
    if name.count("/") != 1:
        raise LoadError(
            "huggingface_hub.errors.HFValidationError",
            "Repo id must be in the form 'repo_name' or 'namespace/repo_name': "
            f"'{name}'. Use `repo_type` argument if needed.",
        )
    where = options.values.get("download-dir")
    cache = inside(where) if where else hub.hub_directory(inside)
    found = hub.snapshot(cache, name, options.text("revision", "main"))
    return found or await hub.fetch(cache, name, host, say)


class Engine:
    """One engine process."""

    def __init__(self, host: HostDir, options: Options) -> None:
        self._host = host
        self._options = options
        self._log = Log(say, os.getpid())
        self._leave = asyncio.Event()
        self._ready = False
        self._api: Api | None = None
        self._server: HttpServer | None = None

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._leave.set)
        work = asyncio.create_task(self._work())
        leave = asyncio.create_task(self._leave.wait())
        await asyncio.wait({work, leave}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            leave.cancel()
            return work.result()
        self._log.api("Shutting down", where="launcher.py:99")
        await asyncio.sleep(self._host.scenario.stop_delay)
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        if self._server is not None:
            await self._server.close()
        self._log.api("Application shutdown complete.", where="launcher.py:104")
        return 0

    async def _work(self) -> int:
        try:
            return await self._start()
        except LoadError as error:
            self._traceback(error.kind, error.message)
            return 1
        except KilledBySystemError:
            os.kill(os.getpid(), signal.SIGKILL)
            return 1

    def _traceback(self, kind: str, message: str) -> None:
        """The core's exception, then the API server's, as vLLM prints both."""
        self._log.core("EngineCore failed to start.", "ERROR", "core.py:708")
        self._log.core("Traceback (most recent call last):", "ERROR", "core.py:708")
        self._log.core(f"{kind}: {message}", "ERROR", "core.py:708")
        self._log.raw(f"{kind}: {message}")
        say(f"(APIServer pid={os.getpid()}) Traceback (most recent call last):")
        say(
            f"(APIServer pid={os.getpid()}) RuntimeError: Engine core initialization failed. "
            "See root cause above. Failed core proc(s): {}"
        )

    async def _start(self) -> int:
        self._log.api(f"vLLM API server version {VERSION} (simulated: no GPU, no real model)")
        self._log.api(f"non-default args: {self._options.values}", where="utils.py:253")
        path = await find(self._options, self._host)
        directory = open_directory(path, self._options.model)
        self._log.api(
            f"Resolved architecture: {directory.config['architectures'][0]}", where="model.py:547"
        )
        asked = load.demand(self._options, directory)
        self._log.api(f"Using max model len {asked.max_model_len}", where="model.py:1510")
        tokens = await Loader(self._host, self._log, directory, asked).run()
        if asked.headless:
            return await self._work_headless(asked)
        return await self._serve(directory, asked, tokens)

    async def _work_headless(self, asked: Demand) -> int:
        self._log.core(f"Worker ready: headless, node rank {asked.rank} of {asked.nodes}.")
        self._busy(False)
        self._ready = True
        await self._maybe_crash()
        return 1

    def _busy(self, busy: bool) -> None:
        mine = [claim for claim in memory.claims(self._host) if claim.pid == os.getpid()]
        if mine and mine[0].busy != busy:
            memory.take(self._host, mine[0].bytes, busy=busy)

    async def _serve(self, directory: ModelDirectory, asked: Demand, tokens: int) -> int:
        options = self._options
        names = tuple(options.many.get("served-model-name", [options.model]))
        served = Served(
            names=names,
            directory=directory,
            root=options.model,
            max_model_len=asked.max_model_len,
            kv_tokens=tokens,
            reasoning="reasoning-parser" in options.values,
            api_keys=tuple(options.many.get("api-key", [])),
        )
        self._api = Api(served, lambda: self._host.scenario.told_to(options.model), self._busy)
        server = HttpServer(self._api)
        port = options.whole("port", 8000)
        host = options.text("host", "0.0.0.0")
        try:
            await server.listen(self._host.address, port)
        except OSError:
            raise LoadError(
                "OSError", f"[Errno 98] Address already in use: ('{host}', {port})"
            ) from None
        self._server = server
        self._log.api(f"Starting vLLM API server 0 on http://{host}:{port}")
        self._log.api("Started server process (simulated)", where="launcher.py:29")
        self._log.api("Waiting for application startup.", where="launcher.py:31")
        self._log.api("Application startup complete.", where="launcher.py:33")
        self._busy(False)
        self._ready = True
        watch = asyncio.create_task(self._watch_link(server))
        try:
            await self._maybe_crash()
        finally:
            watch.cancel()
        await server.close()
        return 1

    async def _watch_link(self, server: HttpServer) -> None:
        """The engine listens by itself, so it must itself play the host's lost link."""
        seen = 0
        while True:
            changed = self._host.link.stat().st_mtime_ns
            if changed != seen:
                seen = changed
                await server.set_link(self._host.link.read_text().strip())
            await asyncio.sleep(LINK_SECONDS)

    async def _maybe_crash(self) -> None:
        """Returns when the scenario says that the engine dies; otherwise never."""
        while True:
            told = self._host.scenario.told_to(self._options.model)
            if told.fail == "crash":
                await asyncio.sleep(told.crash_after_seconds)
                self._log.core("EngineCore encountered a fatal error.", "ERROR", "core.py:717")
                self._log.core("Traceback (most recent call last):", "ERROR", "core.py:717")
                self._log.core(
                    "torch.AcceleratorError: CUDA error: an illegal memory access was encountered",
                    "ERROR",
                    "core.py:717",
                )
                self._log.api(
                    "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. "
                    "See stack trace (above) for the root cause.",
                    "ERROR",
                    "async_llm.py:480",
                )
                return
            await asyncio.sleep(0.2)


def taken(host: HostDir, options: Options) -> str | None:
    """vLLM binds its port before it loads, so a taken port ends it at once."""
    port = options.whole("port", 8000)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.address, port))
        except OSError:
            place = options.text("host", "")
            return f"OSError: [Errno 98] Address already in use: ('{place}', {port})"
    return None


def main(argv: Sequence[str]) -> int:
    """`vllm serve …`, `vllm --version`."""
    if argv and argv[0] in ("--version", "-v"):
        say(VERSION)
        return 0
    if not argv or argv[0] != "serve":
        sys.stderr.write(
            "usage: vllm [-h] [-v] {chat,complete,serve,bench,collect-env,run-batch} ...\n"
        )
        return 2
    host = HostDir.from_environment()
    try:
        options = parse(argv[1:])
        problem = None if "headless" in options.toggles else taken(host, options)
    except UsageError as error:
        sys.stderr.write(f"usage: vllm serve [model_tag] [options]\nvllm serve: error: {error}\n")
        return 2
    if problem:
        say("Traceback (most recent call last):")
        say(problem)
        return 1
    return asyncio.run(_run(host, options))


async def _run(host: HostDir, options: Options) -> int:
    return await Engine(host, options).run()
