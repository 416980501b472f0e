"""Lines of the sampler stream -> samples. Pure: the moment a line arrived is an argument.

`FrameParser` keeps what outlives a single line: the slow readings (disks, containers, processes)
repeat in each sample until a newer one is complete or they are too old to be called the truth,
and the counters of the frame before give the network rates. It outlives a stream, too, so that
renewing one is not seen. An unchanged listing stays the same object: the history shares it.
Refuses to raise: an unknown line, a truncated frame, a login banner in between are counted in
`ignored` and forgotten.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from server.fleet import readings
from server.fleet.model import Container, Disk, Gpu, GpuProcess, Nic, Sample

MEMORY_KEYS = frozenset(
    {
        "MemTotal",
        "MemFree",
        "MemAvailable",
        "Buffers",
        "Cached",
        "Shmem",
        "SReclaimable",
        "SwapTotal",
        "SwapFree",
    }
)
END = "\t@E"
UPTIME_FIELDS = 2
LOAD_FIELDS = 5
PENDING = 4096
GPU_AGE = 8.0
SLOW_AGE = 40.0
TIMED_OUT = 124
NOT_FOUND = 127
MESSAGE = 200


@dataclass(slots=True)
class _Frame:
    """The /proc figures of one tick."""

    uptime: float | None = None
    load: tuple[float, float, float] | None = None
    some: float | None = None
    full: float | None = None

    def take(self, line: str) -> None:
        """A line without a colon: uptime, load average or memory pressure."""
        if line.startswith("some "):
            self.some = readings.pressure(line)
        elif line.startswith("full "):
            self.full = readings.pressure(line)
        else:
            fields = line.split()
            if len(fields) == UPTIME_FIELDS and self.uptime is None:
                self.uptime = readings.number(fields[0])
            elif len(fields) == LOAD_FIELDS:
                self.load = readings.triple(fields)


class FrameParser:
    """One per host, for as long as the host is watched."""

    def __init__(self, host: str, sample_seconds: float = 1.0) -> None:
        self._host = host
        self._gpu_age = max(GPU_AGE, 4 * sample_seconds)
        self.ignored = 0
        self._boot: str | None = None
        self._cores: int | None = None
        self._lag_floor: float | None = None
        self._before: tuple[float, dict[str, tuple[int, int]]] | None = None
        self._gpus: dict[int, Gpu] = {}
        self._gpus_at = 0.0
        self._gpu_problem = ""
        self._processes: tuple[GpuProcess, ...] = ()
        self._processes_at = 0.0
        self._disks: tuple[Disk, ...] = ()
        self._containers: tuple[Container, ...] | None = None
        self._containers_at = 0.0
        self._docker_problem = ""
        self._known: dict[str, Container] = {}
        self.begin()

    def begin(self) -> None:
        """A new stream starts: half-read listings of the one before are dropped."""
        self._new_processes: list[GpuProcess] = []
        self._new_disks: list[Disk] = []
        self._new_containers: dict[str, Container] = {}
        self._complaint = ""
        self._unreadable = False
        self._seen = {"@P": 0, "@D": 0, "@K": 0}
        self._lag_floor = None

    def feed(self, line: str, now: float, at: datetime) -> Sample | None:
        """Take one line that came at `now` (monotonic) and `at`; a sample when it was a frame."""
        if not line.endswith(END):
            self.ignored += 1
            return None
        tag, _, rest = line[: -len(END)].partition("\t")
        if tag == "@F":
            return self._frame(rest, now, at)
        reader = self._READERS.get(tag)
        if reader is not None:
            reader(self, rest, now)
        elif tag != "@X":
            self.ignored += 1
        return None

    def _hello(self, rest: str, now: float) -> None:
        fields = rest.split("\t")
        if len(fields) != 3:
            self.ignored += 1
            return
        boot = fields[1].strip() or None
        if boot is not None and self._boot is not None and boot != self._boot:
            self._forget()
        self._boot = boot
        self._cores = readings.count(fields[2]) or None

    def _forget(self) -> None:
        """The host was started anew: nothing read before that is still the case."""
        self._before = None
        self._gpus, self._processes, self._disks = {}, (), ()
        self._containers, self._known = None, {}

    def _gpu(self, rest: str, now: float) -> None:
        found = readings.gpu(rest)
        if found is None:
            self.ignored += 1
            if not self._gpus and rest.strip():
                self._gpu_problem = f"nvidia-smi says: {rest.strip()[:MESSAGE]}"
            return
        self._gpus[found[0]] = found[1]
        self._gpus_at, self._gpu_problem = now, ""

    def _gpu_ended(self, rest: str, now: float) -> None:
        status = readings.count(rest)
        if status == NOT_FOUND:
            self._gpus, self._processes = {}, ()
            self._gpu_problem = "nvidia-smi is not installed"
        elif status not in (0, TIMED_OUT, None) and not self._gpu_problem:
            self._gpu_problem = f"nvidia-smi ended with status {status}"

    def _process(self, rest: str, now: float) -> None:
        line, _, cgroup = rest.partition("\t")
        found = readings.gpu_process(line, cgroup)
        self._seen["@P"] += 1
        if found is None:
            self.ignored += 1
        elif len(self._new_processes) < PENDING:
            self._new_processes.append(found)

    def _processes_done(self, rest: str, now: float) -> None:
        if self._complete("@P", rest) and rest.split("\t", 1)[0].strip() == "0":
            found = tuple(self._new_processes)
            self._processes = self._processes if found == self._processes else found
            self._processes_at = now
        self._new_processes = []

    def _disk(self, rest: str, now: float) -> None:
        found = readings.disk(rest)
        self._seen["@D"] += 1
        if found is not None and len(self._new_disks) < PENDING:
            self._new_disks.append(found)

    def _disks_done(self, rest: str, now: float) -> None:
        # df ends with 1 when one of the paths does not exist; the others are still true.
        if self._complete("@D", rest) and self._new_disks:
            found = readings.once_per_device(self._new_disks)
            self._disks = self._disks if found == self._disks else found
        self._new_disks = []

    def _container(self, rest: str, now: float) -> None:
        self._seen["@K"] += 1
        found = self._known.get(rest) or readings.container(rest)
        if found is None:
            self.ignored += 1
            self._unreadable |= rest.startswith("{")
            self._complaint = self._complaint or rest.strip()[:MESSAGE]
        elif len(self._new_containers) < PENDING:
            self._new_containers[rest] = found

    def _containers_done(self, rest: str, now: float) -> None:
        complete = self._complete("@K", rest)
        status = readings.count(rest.split("\t", 1)[0])
        if complete and status == 0 and not self._unreadable:
            # An unchanged line is not read twice: most listings are the same as the one before.
            self._known = self._new_containers
            found = tuple(self._known.values())
            self._containers = self._containers if found == self._containers else found
            self._containers_at, self._docker_problem = now, ""
        elif status == TIMED_OUT:
            self._docker_problem = "docker did not answer in time"
        elif not complete or self._unreadable:
            self._docker_problem = "the list of containers could not be read"
        elif status is not None:
            self._containers = None
            self._docker_problem = readings.docker_problem(status, self._complaint)
        self._new_containers, self._complaint, self._unreadable = {}, "", False

    def _complete(self, tag: str, rest: str) -> bool:
        """Whether as many lines came as were sent; if not, what is known stays."""
        sent = readings.count(rest.rpartition("\t")[2])
        complete = sent == self._seen[tag]
        self._seen[tag] = 0
        self.ignored += not complete
        return complete

    def _frame(self, rest: str, now: float, at: datetime) -> Sample | None:
        frame, figures, counters = _Frame(), dict[str, int](), dict[str, tuple[int, int]]()
        for line in rest.split("\t"):
            key, colon, values = line.partition(":")
            if not colon:
                frame.take(line)
            elif key in MEMORY_KEYS:
                value = readings.count(values.removesuffix("kB"))
                if value is not None:
                    figures[key] = value * readings.KIB
            elif not values.endswith("kB"):
                found = readings.nic(key, values)
                if found is not None:
                    counters[found[0]] = found[1:]
        if frame.uptime is None and not figures:
            self.ignored += 1
            return None
        return self._sample(frame, figures, counters, now, at)

    def _sample(
        self,
        frame: _Frame,
        figures: dict[str, int],
        counters: dict[str, tuple[int, int]],
        now: float,
        at: datetime,
    ) -> Sample:
        stamp = now if frame.uptime is None else frame.uptime
        nics = self._rates(stamp, counters)
        if self._containers is not None and now - self._containers_at > SLOW_AGE:
            self._containers = None
            self._docker_problem = self._docker_problem or "docker did not answer in time"
        return Sample(
            host=self._host,
            at=at - timedelta(seconds=self._lag(frame.uptime, now)),
            boot_id=self._boot,
            uptime=frame.uptime,
            load=frame.load,
            cores=self._cores,
            gpus=self._current_gpus(now),
            memory=readings.memory(figures, frame.some, frame.full),
            disks=self._disks,
            nics=nics,
            containers=self._containers,
            gpu_problem="" if self._gpus else self._gpu_problem,
            docker_problem="" if self._containers is not None else self._docker_problem,
        )

    def _current_gpus(self, now: float) -> tuple[Gpu, ...]:
        """The processes hang on the first GPU: a Spark has one, and its memory is the host's."""
        if self._gpus and now - self._gpus_at > self._gpu_age:
            self._gpus = {}
            self._gpu_problem = self._gpu_problem or "nvidia-smi went silent"
        if now - self._processes_at > SLOW_AGE:
            self._processes = ()
        gpus = [self._gpus[index] for index in sorted(self._gpus)]
        if gpus and self._processes:
            gpus[0] = replace(gpus[0], processes=self._processes)
        return tuple(gpus)

    def _rates(self, stamp: float, counters: dict[str, tuple[int, int]]) -> tuple[Nic, ...]:
        """A counter that went back (interface or host restarted) has no rate for one frame."""
        before, self._before = self._before, (stamp, counters)
        elapsed = 0.0 if before is None else stamp - before[0]
        nics: list[Nic] = []
        for name, (received, sent) in counters.items():
            old = before[1].get(name) if before is not None and elapsed > 0 else None
            if old is None or received < old[0] or sent < old[1]:
                nics.append(Nic(name, received, sent))
            else:
                rates = (received - old[0]) / elapsed, (sent - old[1]) / elapsed
                nics.append(Nic(name, received, sent, *rates))
        return tuple(nics)

    def _lag(self, uptime: float | None, now: float) -> float:
        """How late a frame came compared with the quickest of its stream, by the host's own clock:
        what a stalled link delivers in one burst still gets the moments at which it was true."""
        if uptime is None:
            return 0.0
        offset = now - uptime
        if self._lag_floor is None or offset < self._lag_floor:
            self._lag_floor = offset
        return offset - self._lag_floor

    _READERS = {  # noqa: RUF012 - a table of this class's own methods, never changed
        "@H": _hello,
        "@G": _gpu,
        "@g": _gpu_ended,
        "@P": _process,
        "@p": _processes_done,
        "@D": _disk,
        "@d": _disks_done,
        "@K": _container,
        "@k": _containers_done,
    }
