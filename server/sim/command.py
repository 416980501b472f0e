"""`spark-control sim`: runs a simulated cluster until it is told to stop.

Owns the process: its signals, its one line of output and its banner. Refuses everything that
`cluster.py` does.
"""

import asyncio
import logging
import random
import signal
import sys
from pathlib import Path

from server.sim.addresses import NoAddressError
from server.sim.cluster import AlreadyRunningError, Cluster
from server.sim.reference import NoReferenceError
from server.sim.scenario import Scenario, ScenarioError


def run(hosts: int, directory: Path, load_seconds: float, fail: str, audio: str = "canned") -> None:
    """Blocks until SIGTERM or SIGINT. SystemExit with a message when it cannot start."""
    logging.getLogger("asyncssh").setLevel(logging.ERROR)
    try:
        told = Scenario().changed({"load_seconds": load_seconds, "fail": fail})
        asyncio.run(_run(hosts, directory, told, reference=audio == "reference"))
    except (
        *(ScenarioError, ValueError, AlreadyRunningError, NoAddressError),
        NoReferenceError,
    ) as error:
        raise SystemExit(f"spark-control sim: {error}") from error
    except OSError as error:
        raise SystemExit(f"spark-control sim: {error.strerror}: {error.filename}") from error


async def _run(hosts: int, directory: Path, told: Scenario, *, reference: bool) -> None:
    leave = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave.set)
    cluster = Cluster(directory, hosts, told, random.Random(), reference=reference)
    try:
        ready = await cluster.open()
        sys.stderr.write(
            f"SIMULATED cluster of {hosts} Spark(s) in {cluster.root}: no GPU, no real model. "
            f"Ctrl-C ends it.\n"
        )
        sys.stdout.write(ready.line() + "\n")
        sys.stdout.flush()
        await leave.wait()
    finally:
        await cluster.close()
