"""What the styleguide shows: a view for each state of each component. Pure.

Made by the functions that make the real ones, from values that a cluster could send: also long
ones, hostile ones, and none at all. Refuses to look at anything: the time is an argument.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from server.base.health import Verdict
from server.config.model import Host, Service
from server.fleet.model import (
    Container,
    Disk,
    Gpu,
    GpuProcess,
    HostStatus,
    Memory,
    Nic,
    Sample,
    ServiceStatus,
)
from server.fleet.trend import CHANNELS, NOTHING, STEP, Curves
from server.ssh.model import Refusal, Target
from server.swap.model import State, StepRecord, SwapError, SwapRecord
from server.web.pages.draw import View
from server.web.pages.flash import Flash
from server.web.pages.host import HostCard, host_card, host_curves, unseen
from server.web.pages.moment import moment
from server.web.pages.notice import Notice, NoticeList
from server.web.pages.problem import problem_list
from server.web.pages.service import ServiceRow, service_list, service_row
from server.web.pages.serving import Load, Served, ServedList, ServingNow
from server.web.pages.swap import History, history, swap_card

GIB = 1 << 30
HOSTILE = '<img src=x onerror="alert(1)"> {{ 7*7 }} \x1b[31mred\u202egnp.exe'
LONG = "a-fine-tune-with-a-name-that-somebody-wrote-in-one-go-and-never-read-again-v2-final-final"
KEYS = ("SHA256:cJ6AyISHokEeHuTfufIqhhSS0gxHZRUMDHlKvXD4FHw", "SHA256:CcCKY/wrEaUM+I629sBixyeWSgyC")


@dataclass(frozen=True, slots=True)
class Shown:
    """One component: `views` by the words of their state."""

    key: str
    title: str
    views: tuple[tuple[str, View], ...]


def every(now: datetime) -> tuple[Shown, ...]:
    return (
        Shown("serving", "What is served, in the header", _serving(now)),
        Shown("served", "Served now", _served(now)),
        Shown("problems", "Problems", _problems(now)),
        Shown("hosts", "A host", _hosts(now)),
        Shown("curves", "The last hour", _curves()),
        Shown("swap", "A swap", _swaps(now)),
        Shown("history", "Swaps that ended", _history(now)),
        Shown("services", "Services", _services(now)),
        Shown("flash", "The answer to a form", _flashes()),
        Shown("notices", "Notices", _notices(now)),
    )


# ---- hosts


def _host(name: str = "spark-1") -> Host:
    return Host(name=name, address="192.0.2.11", labels=("llm",))


def _sample(now: datetime, **changes: Any) -> Sample:
    held = (GpuProcess(4711, "VLLM::EngineCore", 61 * GIB, "spark-control-engine"),)
    made = Sample(
        host="spark-1",
        at=now,
        boot_id="one",
        uptime=90_000.0,
        load=(1.2, 0.9, 0.8),
        cores=20,
        gpus=(Gpu("NVIDIA GB10", 87.0, 71.0, 62.4, 2405.0, "580.95", held),),
        memory=Memory(128 * GIB, 50 * GIB, 31 * GIB, 20 * GIB, 19 * GIB, 0, 0, 0.2, 0.0),
        disks=(Disk("/", "/dev/nvme0n1p2", 3600 * GIB, 1400 * GIB, 2200 * GIB),),
        nics=(Nic("enP7s7", 1, 1, 1.2e6, 3.4e5),),
        containers=(Container("1", "spark-control-engine", "vllm-node", "running", "Up 3 hours"),),
    )
    return replace(made, **changes)


def _card(now: datetime, verdict: Verdict, last: Sample | None, age: float = 0) -> HostCard:
    seen = now - timedelta(seconds=age) if last else None
    return host_card(_host(), HostStatus("spark-1", verdict, last, seen), None, now, 10)


def _hosts(now: datetime) -> tuple[tuple[str, View], ...]:
    tight = Disk("/", "/dev/nvme0n1p2", 1000 * GIB, 960 * GIB, 40 * GIB)
    many = tuple(GpuProcess(n, f"worker-{n}", n * 6 * GIB) for n in range(1, 7))
    evil = (Container("1", HOSTILE, HOSTILE, "running", HOSTILE),)
    loud = (Gpu(processes=(GpuProcess(1, LONG, 9 * GIB), GpuProcess(2, HOSTILE, 4 * GIB))),)
    pressed = replace(_sample(now).memory, pressure_some=34.0, swap_total=GIB, swap_free=GIB // 4)
    return (
        ("up", _card(now, Verdict.up(), _sample(now))),
        ("not looked at yet", host_card(_host(), unseen("spark-1"), None, now, 10)),
        (
            "not seen for a while",
            _card(now, Verdict.unknown("no sample for 40 s"), _sample(now), 40),
        ),
        ("down", _card(now, Verdict.down("it is shutting down"), _sample(now), 70)),
        (
            "nothing but a login",
            _card(
                now,
                Verdict.up(),
                Sample("spark-1", now, None, None, None, None, (), Memory(), (), (), None),
            ),
        ),
        (
            "many processes, little memory, a full disk",
            _card(
                now,
                Verdict.up(),
                _sample(
                    now,
                    gpus=(Gpu("GB10", 99, 86, 91, 2600, processes=many),),
                    disks=(tight,),
                    memory=pressed,
                ),
            ),
        ),
        (
            "long and hostile names",
            _card(now, Verdict.up(), _sample(now, gpus=loud, containers=evil)),
        ),
    )


def _wave(length: int, gaps: range = range(0)) -> Curves:
    """A saw that is easy to tell from a mistake."""
    line = tuple(None if n in gaps else 10.0 + n * 7 % 80 for n in range(length))
    wide = tuple(None if one is None else one * GIB for one in line)
    rows = {"used": wide, "held": tuple(None if one is None else one * 0.8 for one in wide)}
    return Curves(1_795_273_380, STEP, tuple((name, rows.get(name, line)) for name in CHANNELS))


def _curves() -> tuple[tuple[str, View], ...]:
    total = 128 * GIB
    return (
        ("an hour", host_curves("", _wave(240), total)),
        ("with a gap", host_curves("", _wave(240, range(90, 150)), total)),
        ("just begun", host_curves("", _wave(4), total)),
        ("nothing known", host_curves("", NOTHING, None)),
    )


def _problems(now: datetime) -> tuple[tuple[str, View], ...]:
    target = Target("spark-1", "192.0.2.11", 22, "ubuntu")
    moved = Refusal(target, *KEYS, "ssh-ed25519 AAAA")
    changed = host_card(_host(), unseen("spark-1"), moved, now, 10)
    full = Disk("/", "/dev/nvme0n1p2", 1000 * GIB, 960 * GIB, 40 * GIB)
    ill = _sample(
        now, disks=(full,), containers=None, docker_problem="the docker daemon does not run"
    )
    lost = _card(now, Verdict.unknown("SSH timed out"), _sample(now), 40)
    engine = replace(_one(now), health="down", reason="HTTP 500 from /health")
    silent = _service(now, Verdict.down("connection refused"))
    odd = replace(silent, name=LONG, reason=HOSTILE)
    return (
        ("none", problem_list((), (), ())),
        ("a changed host key", problem_list((changed,), (), ())),
        ("docker, disk, engine", problem_list((_card(now, Verdict.up(), ill),), (), (engine,))),
        ("a host that is not seen, a service that is down", problem_list((lost,), (silent,), ())),
        ("long and hostile", problem_list((), (odd,), ())),
    )


# ---- serving


def _one(now: datetime) -> Served:
    since = moment(now - timedelta(hours=2), now)
    return Served("qwen3-32b", "Qwen3 32B FP8", "spark-1", since, "up", "", True, 32768)


def _serving(now: datetime) -> tuple[tuple[str, View], ...]:
    one = _one(now)
    return (
        ("one", ServingNow((one,), "")),
        ("nothing", ServingNow((), "")),
        ("a swap under way", ServingNow((one,), "Loading: gpt-oss-20b, 41 %", "swap-1", 41)),
        ("draining", ServingNow((replace(one, accepting=False),), "")),
        ("it does not answer", ServingNow((replace(one, health="down", reason="HTTP 500"),), "")),
        (
            "two, long names",
            ServingNow((one, replace(one, model=LONG, hosts="spark-1, spark-2")), ""),
        ),
        ("hostile", ServingNow((replace(one, model=HOSTILE, name=HOSTILE),), "")),
    )


def _served(now: datetime) -> tuple[tuple[str, View], ...]:
    one, busy = _one(now), Load(2, 1, 41.3)
    ill = replace(one, health="down", reason="HTTP 500 from /health")
    return (
        ("one that works", ServedList(((one, busy),), busy=False)),
        ("nothing", ServedList((), busy=False)),
        ("two, one of them ill", ServedList(((one, busy), (ill, Load(0, 4, None))), busy=False)),
        ("while a swap is under way", ServedList(((one, Load(0, 0, None)),), busy=True)),
        (
            "long and hostile",
            ServedList(((replace(one, name=HOSTILE, model=LONG), busy),), busy=False),
        ),
    )


# ---- swaps


def _record(now: datetime, state: State, **changes: Any) -> SwapRecord:
    began = now - timedelta(seconds=95)
    made = SwapRecord("swap-1", "gpt-oss-20b", "queued", state, began, "browser 192.0.2.50")
    steps = (
        StepRecord("stopping", "spark-1", "done", began, 4.2),
        StepRecord("loading", "spark-1", "done" if state.final else "running", began),
    )
    ended = now if state.final else None
    return made.with_(steps=steps, started_at=began, finished_at=ended, **changes)


def _failed(now: datetime, state: State) -> SwapRecord:
    error = SwapError(
        "out_of_memory",
        "gpt-oss-20b ran out of memory on spark-1.",
        "The KV cache did not fit beside the weights.",
        "Lower gpu_memory_utilization to 0.7, or max_model_len.",
        "torch.OutOfMemoryError: CUDA out of memory\n" + HOSTILE,
    )
    return _record(now, state, error=error)


def _swaps(now: datetime) -> tuple[tuple[str, View], ...]:
    loading = _record(now, State.LOADING, stage="shard 3 of 9", percent=41.0, eta_seconds=75.0)
    waiting = _record(now, State.QUEUED).with_(id="swap-2", model=LONG)
    back = _failed(now, State.ROLLED_BACK)
    return (
        ("none yet", swap_card(None, (), None, (), now)),
        ("under way, another waits", swap_card(loading, (waiting,), None, (), now)),
        ("served", swap_card(None, (), _record(now, State.SERVING), (), now)),
        ("rolled back", swap_card(None, (), back, (), now)),
        ("failed", swap_card(None, (), _failed(now, State.FAILED), (), now)),
        ("cancelled", swap_card(None, (), _record(now, State.CANCELLED), (), now)),
    )


def _history(now: datetime) -> tuple[tuple[str, View], ...]:
    ended = [_record(now, State.SERVING), _failed(now, State.FAILED), _record(now, State.CANCELLED)]
    odd = _record(now, State.SERVING).with_(model=HOSTILE)
    return (("none", History(())), ("some", history([*ended, odd], now)))


# ---- the rest


def _service(now: datetime, verdict: Verdict, latency: float | None = None) -> ServiceRow:
    service = Service(name="parakeet", kind="asr", host="spark-2", port=8001)
    return service_row(service, ServiceStatus("parakeet", verdict, now, latency), now)


def _services(now: datetime) -> tuple[tuple[str, View], ...]:
    rows = (
        _service(now, Verdict.up(), 0.012),
        _service(now, Verdict.down("connection refused")),
        _service(now, Verdict.unknown("spark-2 is not seen")),
        replace(_service(now, Verdict.up(), 0.5), name=LONG),
    )
    return (
        ("none", service_list((), {}, now)),
        ("up, down, unknown, long", replace(service_list((), {}, now), services=rows)),
    )


def _flashes() -> tuple[tuple[str, View], ...]:
    return (
        ("said", Flash("info", "Asked for qwen3-32b.")),
        ("refused", Flash("error", "A swap is under way.", "Cancel it, or wait for it.")),
        ("hostile", Flash("error", HOSTILE, LONG)),
    )


def _notices(now: datetime) -> tuple[tuple[str, View], ...]:
    told: Sequence[Notice] = (
        Notice("info", "spark-2 is sampled again.", "", moment(now, now)),
        Notice("warning", "Memory is short on spark-1.", "Unload a model.", moment(now, now)),
        Notice("error", "The engine died and was started again.", HOSTILE, moment(now, now)),
    )
    return (
        ("none", NoticeList((), ())),
        (
            "some, and mistakes in config.yaml",
            NoticeList(("line 3: hosts is not a list",), tuple(told)),
        ),
    )
