"""Asks this process and its disk how they fare. A few small files of the kernel and one look at the
file system, beside the loop; what a system does not tell stays None."""

import asyncio
import os
import platform
import shutil
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

from server import __version__
from server.base.units import duration
from server.config.paths import DATABASE_URL, DataDir
from server.web.pages.settings.about import Vitals, quantile
from server.web.parts import Parts

LAG = "spark_loop_lag_seconds_bucket"


async def vitals(parts: Parts, build: str) -> Vitals:
    disk = await asyncio.to_thread(_disk, parts.data)
    memory, files = await asyncio.to_thread(_process)
    buckets = _buckets(parts.registry)
    started = parts.started
    return Vitals(
        version=__version__,
        build=build,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        uptime=None if started is None else duration((parts.clock.now() - started).total_seconds()),
        database="SQLite" if _is_file(parts.data) else f"as {DATABASE_URL} says",
        folder="–" if parts.data is None else parts.data.path.name,
        disk_free=disk[0],
        disk_total=disk[1],
        database_bytes=disk[2],
        memory=memory,
        lag_median=quantile(buckets, 0.5),
        lag_worst=quantile(buckets, 0.999),
        open_files=files,
    )


def _disk(data: DataDir | None) -> tuple[int | None, int | None, int | None]:
    """Free, in all, and what the database takes."""
    if data is None:
        return None, None, None
    database = None
    if _is_file(data):
        with suppress(OSError):
            database = data.database.stat().st_size
    try:
        usage = shutil.disk_usage(data.path)
    except OSError:
        return None, None, database
    return usage.free, usage.total, database


def _is_file(data: DataDir | None) -> bool:
    return data is None or data.database_url.startswith("sqlite")


def _process() -> tuple[int | None, int | None]:
    """Bytes of memory in use, and open files, as Linux tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    except (OSError, ValueError, IndexError):
        return None, None


def _buckets(registry: CollectorRegistry) -> list[tuple[float, float]]:
    samples: list[Sample] = [
        sample for family in registry.collect() for sample in family.samples if sample.name == LAG
    ]
    return sorted((float(sample.labels["le"]), sample.value) for sample in samples)
