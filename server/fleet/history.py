"""The last hour of one host, small: a ring of samples bounded by age and by number.

Owns a compact form. The figures of a sample are packed as doubles (None as NaN), everything that
seldom changes (names, disks, containers, processes) is one shared `_Shape`. A sample of a Spark
with four interfaces takes about 400 bytes instead of 2 KB: an hour at 1 Hz is about 1.5 MB a host.
Whole numbers survive: they stay below 2**53 (`readings.LIMIT`). Refuses to know the time.
"""

import math
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from server.fleet.model import Container, Disk, Gpu, GpuProcess, Memory, Nic, Sample

HEAD = 5
MEMORY_WHOLE = 7
MEMORY = 9
PER_GPU = 4
PER_NIC = 4
NAN = math.nan


@dataclass(frozen=True, slots=True)
class _Shape:
    """What samples in a row have in common."""

    host: str
    boot_id: str | None
    cores: int | None
    gpus: tuple[tuple[str | None, str | None, tuple[GpuProcess, ...]], ...]
    nics: tuple[str, ...]
    disks: tuple[Disk, ...]
    containers: tuple[Container, ...] | None
    gpu_problem: str
    docker_problem: str


class History:
    """Samples of one host, oldest first."""

    def __init__(self, keep_seconds: float, most: int) -> None:
        self._keep = keep_seconds
        self._rows: deque[tuple[float, _Shape, bytes]] = deque(maxlen=most)

    def __len__(self) -> int:
        return len(self._rows)

    def keep(self, seconds: float, most: int) -> None:
        """The settings changed: bound it anew, the newest samples stay."""
        self._keep = seconds
        self._rows = deque(self._rows, maxlen=most)

    def add(self, sample: Sample) -> None:
        stamp = sample.at.timestamp()
        shape = _shape(sample)
        if self._rows and self._rows[-1][1] == shape:
            shape = self._rows[-1][1]
        self._rows.append((stamp, shape, _pack(sample)))
        while self._rows[0][0] < stamp - self._keep:
            self._rows.popleft()

    def since(self, moment: datetime) -> list[Sample]:
        """Samples of that moment and later."""
        stamp = moment.timestamp()
        found = [row for row in self._rows if row[0] >= stamp]
        return [_unpack(*row) for row in found]


def _shape(sample: Sample) -> _Shape:
    return _Shape(
        host=sample.host,
        boot_id=sample.boot_id,
        cores=sample.cores,
        gpus=tuple([(gpu.name, gpu.driver, gpu.processes) for gpu in sample.gpus]),
        nics=tuple([nic.name for nic in sample.nics]),
        disks=sample.disks,
        containers=sample.containers,
        gpu_problem=sample.gpu_problem,
        docker_problem=sample.docker_problem,
    )


def _figures(sample: Sample) -> Iterator[float | None]:
    memory = sample.memory
    yield sample.uptime
    yield from sample.load or (None, None, None)
    yield None if sample.load is None else 1.0
    yield memory.total
    yield memory.available
    yield memory.free
    yield memory.cached
    yield memory.reclaimable
    yield memory.swap_total
    yield memory.swap_free
    yield memory.pressure_some
    yield memory.pressure_full
    for gpu in sample.gpus:
        yield gpu.utilization
        yield gpu.temperature
        yield gpu.power
        yield gpu.clock_sm
    for nic in sample.nics:
        yield nic.rx_bytes
        yield nic.tx_bytes
        yield nic.rx_rate
        yield nic.tx_rate


def _pack(sample: Sample) -> bytes:
    values = [NAN if value is None else value for value in _figures(sample)]
    return struct.pack(f"<{len(values)}d", *values)


def _unpack(stamp: float, shape: _Shape, packed: bytes) -> Sample:
    doubles = struct.unpack(f"<{len(packed) // 8}d", packed)
    values = [None if math.isnan(value) else value for value in doubles]
    one, five, fifteen, loaded = values[1:HEAD]
    load = None
    if loaded is not None and one is not None and five is not None and fifteen is not None:
        load = (one, five, fifteen)
    at = HEAD + MEMORY
    whole = [_whole(value) for value in values[HEAD : HEAD + MEMORY_WHOLE]]
    gpus: list[Gpu] = []
    for name, driver, processes in shape.gpus:
        utilization, temperature, power, clock = values[at : at + PER_GPU]
        gpus.append(Gpu(name, utilization, temperature, power, clock, driver, processes))
        at += PER_GPU
    nics: list[Nic] = []
    for name in shape.nics:
        rx, tx, rx_rate, tx_rate = values[at : at + PER_NIC]
        nics.append(Nic(name, int(rx or 0), int(tx or 0), rx_rate, tx_rate))
        at += PER_NIC
    return Sample(
        host=shape.host,
        at=datetime.fromtimestamp(stamp, UTC),
        boot_id=shape.boot_id,
        uptime=values[0],
        load=load,
        cores=shape.cores,
        gpus=tuple(gpus),
        memory=Memory(*whole, *values[HEAD + MEMORY_WHOLE : HEAD + MEMORY]),
        disks=shape.disks,
        nics=tuple(nics),
        containers=shape.containers,
        gpu_problem=shape.gpu_problem,
        docker_problem=shape.docker_problem,
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
