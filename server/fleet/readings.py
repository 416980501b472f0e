"""Single readings of a host, as pure functions: text of one tool in, a frozen value out.

Owns the quirks: `[N/A]` and its relatives are None and never 0, a figure that no machine can have
is None, and a line that makes no sense yields nothing. Refuses to raise: what a host prints is
input from outside, and the worst it may do is to be ignored.
"""

import math
from collections.abc import Iterable, Sequence

import orjson

from server.fleet.model import Container, Disk, Gpu, GpuProcess, Memory

ABSENT = frozenset({"", "-", "n/a", "na", "none", "nan", "not supported", "not available"})
LIMIT = 1 << 53
UNINTERESTING_NICS = (
    "lo",
    "veth",
    "docker",
    "br-",
    "virbr",
    "cni",
    "cali",
    "flannel",
    "dummy",
    "ifb",
)
CONTAINER_ID = 64
HEX = frozenset("0123456789abcdef")

KIB = 1024
GPU_FIELDS = 6
DF_FIELDS = 6
NIC_FIELDS = 16
NIC_SENT = 8


def number(text: str) -> float | None:
    """A finite figure, or None for `[N/A]`, `[Not Supported]`, `N/A` and for nonsense."""
    text = text.strip()
    if len(text) > 32 or text.strip("[]").strip().lower() in ABSENT:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) < LIMIT else None


def count(text: str) -> int | None:
    """A whole figure that is not negative, or None."""
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return None
    value = int(text)
    return value if value < LIMIT else None


def text_or_none(text: str) -> str | None:
    text = text.strip()
    return None if text.strip("[]").strip().lower() in ABSENT else text


def gpu(line: str) -> tuple[int, Gpu] | None:
    """One line of `--query-gpu` as `script.GPU_QUERY` asks for it, with the index of the GPU.

    None when it is not one. The name may hold commas, so the figures are counted from the right.
    """
    first, _, rest = line.partition(",")
    fields = rest.rsplit(",", GPU_FIELDS - 1)
    if len(fields) != GPU_FIELDS:
        return None
    name, utilization, temperature, power, clock, driver = fields
    found = Gpu(
        name=text_or_none(name),
        utilization=number(utilization),
        temperature=number(temperature),
        power=number(power),
        clock_sm=number(clock),
        driver=text_or_none(driver),
    )
    figures = (found.utilization, found.temperature, found.power, found.clock_sm)
    known = found.driver is not None and found.driver[:1].isdigit()
    if not known and all(figure is None for figure in figures):
        return None
    return count(first) or 0, found


def gpu_process(line: str, cgroup: str) -> GpuProcess | None:
    """One line of `--query-compute-apps=pid,process_name,used_memory` (MiB) and its cgroup line."""
    first, comma, rest = line.partition(",")
    pid = count(first)
    if pid is None or not comma:
        return None
    name, comma, used = rest.rpartition(",")
    mebibytes = number(used) if comma else None
    if mebibytes is not None and mebibytes < 0:
        mebibytes = None
    return GpuProcess(
        pid=pid,
        name=name.strip(),
        used_bytes=None if mebibytes is None else int(mebibytes * KIB * KIB),
        container=container_of(cgroup),
    )


def container_of(cgroup: str) -> str | None:
    """The container id in a line of /proc/PID/cgroup, whichever cgroup driver wrote it:
    `…/docker-<id>.scope`, `…/docker/<id>`, `…/libpod-<id>.scope`, also below a nested slice."""
    for part in cgroup.strip().split("/"):
        name = part.removesuffix(".scope").rpartition("-")[2]
        if len(name) == CONTAINER_ID and HEX.issuperset(name):
            return name
    return None


def disk(line: str) -> Disk | None:
    """One line of `df -PB1`. None for its header and for anything else."""
    fields = line.split(None, DF_FIELDS - 1)
    if len(fields) != DF_FIELDS:
        return None
    device, total, used, available, _, mount = fields
    sizes = count(total), count(used), count(available)
    if sizes[0] is None or sizes[1] is None or not mount.startswith("/"):
        return None
    # `available` is negative on a filesystem that root filled beyond the reserve.
    return Disk(mount, device, sizes[0], sizes[1], sizes[2] or 0)


def once_per_device(disks: Iterable[Disk]) -> tuple[Disk, ...]:
    """The first of each filesystem. Memory and overlay filesystems share a device name without
    being the same, so for them the mount point counts too."""
    seen: dict[tuple[str, str], Disk] = {}
    for found in disks:
        real = found.device.startswith("/") or ":" in found.device
        seen.setdefault((found.device, "" if real else found.mount), found)
    return tuple(seen.values())


def container(line: str) -> Container | None:
    """One line of `docker ps --format '{{json .}}'`."""
    try:
        body = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict):
        return None
    identity, names = body.get("ID"), body.get("Names")
    if not isinstance(identity, str) or not isinstance(names, str) or not identity or not names:
        return None
    status = _text(body.get("Status"))
    state = _text(body.get("State")) or ("running" if status.startswith("Up") else "exited")
    return Container(
        id=identity,
        name=names.split(",")[0],
        image=_text(body.get("Image")),
        state=state,
        status=status,
        labels=labels(_text(body.get("Labels"))),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def labels(text: str) -> tuple[tuple[str, str], ...]:
    """docker's `a=b,c=d`. A comma inside a value cannot be told from a separator: a piece without
    `=` is taken as the rest of the value before it."""
    found: list[tuple[str, str]] = []
    for piece in text.split(",") if text else ():
        key, equals, value = piece.partition("=")
        if equals:
            found.append((key, value))
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]},{piece}")
    return tuple(found)


def memory(figures: dict[str, int], some: float | None, full: float | None) -> Memory:
    """From /proc/meminfo in bytes. `reclaimable` is page cache and slab that the kernel gives
    back: shared memory is counted in `Cached` but stays."""
    cached, slab = figures.get("Cached"), figures.get("SReclaimable", 0)
    buffers, shared = figures.get("Buffers", 0), figures.get("Shmem", 0)
    return Memory(
        total=figures.get("MemTotal"),
        available=figures.get("MemAvailable"),
        free=figures.get("MemFree"),
        cached=cached,
        reclaimable=None if cached is None else max(0, cached + buffers + slab - shared),
        swap_total=figures.get("SwapTotal"),
        swap_free=figures.get("SwapFree"),
        pressure_some=some,
        pressure_full=full,
    )


def pressure(line: str) -> float | None:
    """`some avg10=0.12 avg60=…` -> 0.12."""
    for field in line.split():
        if field.startswith("avg10="):
            return number(field[6:])
    return None


def triple(fields: Sequence[str]) -> tuple[float, float, float] | None:
    values = [number(field) for field in fields[:3]]
    one, five, fifteen = values if len(values) == 3 else (None, None, None)
    if one is None or five is None or fifteen is None:
        return None
    return one, five, fifteen


def nic(name: str, values: str) -> tuple[str, int, int] | None:
    """One line of /proc/net/dev: name, bytes received, bytes sent. Virtual ones are left out."""
    name = name.strip()
    if not name or name.startswith(UNINTERESTING_NICS):
        return None
    fields = values.split()
    if len(fields) != NIC_FIELDS:
        return None
    received, sent = count(fields[0]), count(fields[NIC_SENT])
    return None if received is None or sent is None else (name, received, sent)


def docker_problem(status: int, complaint: str) -> str:
    """A sentence for people on why docker could not be asked."""
    if status in {126, 127}:
        return "docker is not installed"
    if "permission denied" in complaint.lower():
        return "the SSH user may not use docker (permission denied)"
    if "cannot connect" in complaint.lower():
        return "the docker daemon does not run"
    return f"docker says: {complaint}" if complaint else f"docker ended with status {status}"
