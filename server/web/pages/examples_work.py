"""What the styleguide shows of swaps, logs and services: one of each, planned, past, told. Pure.

Made by the functions that make the real ones, as `examples` is. Refuses to look at anything.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from server.base.errors import InvalidValue
from server.base.finding import Finding, Severity
from server.base.health import Verdict
from server.catalog.model import Model, Source
from server.config.model import Link, Service
from server.fleet.acts import Act
from server.fleet.model import Container, HostStatus, Memory, Sample, ServiceStatus
from server.gateway.activity import Row
from server.launch.model import Engine, LaunchSpec, Node
from server.swap.events import Placement
from server.swap.log import SwapLog
from server.swap.model import Deployment, Serving, State, StepRecord, SwapError, SwapRecord
from server.swap.rehearsals import Rehearsal
from server.web.pages.draw import View
from server.web.pages.examples import HOSTILE, LONG, Shown
from server.web.pages.log import swap_log
from server.web.pages.service import service_list, service_row
from server.web.pages.services.detail import service_detail, service_log
from server.web.pages.swaps.detail import swap_detail
from server.web.pages.swaps.past import SHOWN, past_list
from server.web.pages.swaps.plan import plan

MODEL = Model("gpt-oss-20b", "GPT-OSS 20B", Source(hf="openai/gpt-oss-20b"))


def every(now: datetime) -> tuple[Shown, ...]:
    return (
        Shown("swap-detail", "One swap", _details(now)),
        Shown("plan", "A swap before it is asked for", _plans(now)),
        Shown("past", "Past swaps", _past(now)),
        Shown("log", "A log", _logs(now)),
        Shown("service", "One service", _services(now)),
        Shown("service-rows", "A service in the list", _rows(now)),
    )


# ---- swaps


def _runs(model: str = "qwen3-32b") -> Deployment:
    spec = LaunchSpec(
        model=model,
        served_names=(model,),
        source=f"Qwen/{model}",
        local_path=False,
        launcher="docker",
        nodes=(Node("spark-1", "192.0.2.11"),),
        image="vllm-node",
        container="spark-control-engine",
        port=8000,
        argv=("vllm", "serve", f"Qwen/{model}"),
        env=(),
        mounts=(),
        options=(),
        fingerprint="f",
    )
    engine = Engine(
        "docker", "spark-1", spec.container, "c0ffee", "2026-01-01", "s", model, "f", running=True
    )
    return Deployment(spec, engine)


def _layout(now: datetime) -> tuple[Serving, ...]:
    return (Serving("qwen3-32b", ("qwen3-32b",), "http://192.0.2.11:8000", now, _runs()),)


def _record(now: datetime, state: State, **changes: Any) -> SwapRecord:
    began = now - timedelta(seconds=95)
    made = SwapRecord("swap-1", "gpt-oss-20b", "queued", state, began, "browser 192.0.2.50")
    found = (
        Finding("memory", Severity.OK, "96 GiB will be free.", "", "spark-1"),
        Finding("disk", Severity.WARNING, "40 GiB are free.", "Free some.", "spark-1"),
    )
    steps = (
        StepRecord("stopping", "spark-1", "done", began, 4.2),
        StepRecord("loading", "spark-1", "done" if state.final else "running", began),
    )
    return made.with_(
        steps=steps,
        findings=tuple(MappingProxyType(one.to_dict()) for one in found),
        evicted=(_runs(),),
        target=_runs("gpt-oss-20b").spec,
        started_at=began,
        finished_at=now if state.final else None,
        **changes,
    )


def _failed(now: datetime, state: State) -> SwapRecord:
    error = SwapError(
        "out_of_memory",
        "gpt-oss-20b ran out of memory on spark-1.",
        "The KV cache did not fit beside the weights.",
        "Lower gpu_memory_utilization to 0.7, or max_model_len.",
        "torch.OutOfMemoryError: CUDA out of memory\n" + HOSTILE,
    )
    return _record(now, state, error=error)


def _details(now: datetime) -> tuple[tuple[str, View], ...]:
    def detail(record: SwapRecord, ahead: int = 0) -> View:
        return swap_detail(record, _layout(now), ahead, now, known=True, most=1)

    loading = _record(now, State.LOADING, stage="shard 3 of 9", percent=41.0, eta_seconds=75.0)
    cancelling = loading.with_(cancelled_by=LONG, stage=HOSTILE)
    return (
        ("it waits", detail(_record(now, State.QUEUED), 2)),
        ("loading", detail(loading)),
        ("being cancelled", detail(cancelling)),
        ("loaded", detail(_record(now, State.SERVING))),
        ("rolled back", detail(_failed(now, State.ROLLED_BACK).with_(restored=1))),
        ("failed", detail(_failed(now, State.FAILED))),
        ("cancelled", detail(_record(now, State.CANCELLED, cancelled_by="key minutes"))),
        ("unloaded", detail(_record(now, State.UNLOADED).with_(model=None, target=None))),
    )


def _plans(now: datetime) -> tuple[tuple[str, View], ...]:
    began = now - timedelta(seconds=8)
    asked = Rehearsal(MODEL.id, "browser", began)
    fine = Finding("memory", Severity.OK, "96 GiB will be free.", "", "spark-1")
    odd = Finding("tools", Severity.UNKNOWN, HOSTILE, LONG, "spark-2")
    full = Finding("memory", Severity.ERROR, "20 GiB are free of 72 GiB.", "Unload.", "spark-1")
    outside = Finding("outside_roots", Severity.ERROR, "Its files lie elsewhere.", "", "spark-1")
    ended = replace(asked, ended_at=now, placement=Placement(_runs(MODEL.id).spec, (_runs(),)))

    def planned(look: Rehearsal | None, error: InvalidValue | None = None, **more: Any) -> View:
        given: dict[str, Any] = {
            "layout": _layout(now),
            "current": None,
            "queue": (),
            "clients": {"qwen3-32b": ["minutes", LONG]},
            "now": now,
            "most": 1,
            "patience": 30.0,
        }
        return plan(MODEL, error, look, **(given | more))

    broken = InvalidValue("engine.bare_venv is not set.", advice="Say where vLLM is installed.")
    lost = replace(ended, placement=None, error="spark-1 is not reachable.", advice="Is it on?")
    busy = _record(now, State.LOADING)
    return (
        ("not looked at yet, nothing served", planned(None, layout=())),
        ("looking", planned(asked)),
        ("all is well", planned(replace(ended, findings=(fine, odd)))),
        ("it would be refused", planned(replace(ended, findings=(full, fine)))),
        ("even by force", planned(replace(ended, findings=(outside,)))),
        ("another one is under way", planned(ended, current=busy)),
        ("no host answers", planned(lost)),
        ("it cannot be started", planned(None, broken)),
    )


def _past(now: datetime) -> tuple[tuple[str, View], ...]:
    known = ("gpt-oss-20b",)
    odd = _record(now, State.SERVING).with_(model=HOSTILE, requested_by=LONG)
    some = [
        _record(now, State.SERVING),
        _failed(now, State.FAILED),
        _failed(now, State.ROLLED_BACK),
        _record(now, State.CANCELLED),
        _record(now, State.UNLOADED).with_(model=None, target=None),
        odd,
    ]
    many = [_record(now, State.SERVING)] * (SHOWN + 1)
    return (
        ("none yet", past_list((), known, "", "", "", now)),
        ("none of this kind", past_list((), known, "failed", "", "", now)),
        ("each end", past_list(some, known, "", "", "", now)),
        ("a page between", past_list(many, known, "serving", "", "swap-9", now)),
    )


# ---- logs


def _logs(now: datetime) -> tuple[tuple[str, View], ...]:
    log = SwapLog("run")
    log.mark("Starting gpt-oss-20b on spark-1", now)
    log.hear("INFO: loading \x1b[32mshard 3\x1b[0m of 9", now)
    log.hear("\x1b[33mWARNING\x1b[0m: " + LONG * 4, now)
    log.hear("\x1b[1;31mERROR\x1b[0m: " + HOSTILE, now)
    held = Service(name="parakeet", kind="asr", host="spark-2", port=8001, container="parakeet")
    bare = Service(name="parakeet", kind="asr", host="spark-2", port=8001)
    live = swap_log("swap-1", "gpt-oss-20b", log, ended=False)
    return (
        ("nothing written yet", swap_log("swap-1", "gpt-oss-20b", SwapLog("run"), ended=False)),
        ("live, older lines kept", replace(live, more=1800)),
        ("ended", swap_log("swap-1", "gpt-oss-20b", log, ended=True)),
        ("ended, none kept", swap_log("swap-1", "gpt-oss-20b", SwapLog("run"), ended=True)),
        ("of a container, not asked for", service_log(held)),
        ("of a container, read", service_log(held, ("Listening on 8001", HOSTILE))),
        ("of a container, refused", service_log(held, trouble="spark-2 is not reachable.")),
        ("no container named", service_log(bare)),
    )


# ---- services


def _service(**changes: Any) -> Service:
    given: dict[str, Any] = {
        "name": "parakeet",
        "kind": "asr",
        "host": "spark-2",
        "port": 8001,
        "container": "parakeet",
    }
    return Service(**(given | changes))


def _passage(now: datetime, **changes: Any) -> Row:
    made = Row(
        id="r-1",
        at=now - timedelta(minutes=1),
        phase="ended",
        client="minutes",
        address="192.0.2.50",
        model="parakeet",
        asked="parakeet",
        route="/v1/audio/transcriptions",
        upstream="parakeet",
        host="spark-2",
        status=200,
        error="",
        stream=False,
        cached=False,
        waited=0.1,
        first_byte=0.4,
        first_token=None,
        total=2.4,
        prompt_tokens=None,
        tokens=None,
        tokens_per_second=None,
        audio_seconds=61.0,
        audio_source="decoded",
        bytes_in=1_000_000,
        bytes_out=900,
        attempts=1,
    )
    return replace(made, **changes)


def _detail(
    now: datetime,
    verdict: Verdict,
    service: Service | None = None,
    act: Act | None = None,
    state: str = "running",
) -> View:
    held = service or _service()
    status = ServiceStatus(held.name, verdict, now, 0.012 if verdict == Verdict.up() else None)
    image = "ghcr.io/example/parakeet:1.4.0"
    there = Container("1", "parakeet", image, state, "Up 3 hours" if state == "running" else "")
    last = Sample("spark-2", now, None, None, None, None, (), Memory(), (), (), (there,))
    seen = HostStatus("spark-2", Verdict.up(), last, now)
    rows = (_passage(now), _passage(now, status=502, error="upstream_error", client=HOSTILE))
    return service_detail(
        held,
        service_row(held, status, now),
        seen,
        under_way=(_passage(now, phase="running", status=0),),
        ended=rows if verdict == Verdict.up() else (),
        act=act,
        now=now,
    )


def _services(now: datetime) -> tuple[tuple[str, View], ...]:
    up, down = Verdict.up(), Verdict.down("connection refused")
    began = now - timedelta(seconds=8)
    acting = Act("parakeet", "restart", "spark-2", "parakeet", "browser", began)
    done = replace(acting, ended_at=now)
    wrong = replace(done, error="docker: no such container", advice=HOSTILE)
    return (
        ("up", _detail(now, up)),
        ("down, its container has ended", _detail(now, down, state="exited")),
        ("unknown", _detail(now, Verdict.unknown("spark-2 is not seen"))),
        ("being restarted", _detail(now, down, act=acting)),
        ("restarted", _detail(now, up, act=done)),
        ("it could not be restarted", _detail(now, down, act=wrong)),
        (
            "no container named, long names",
            _detail(now, up, _service(container=None, name="a" * 60)),
        ),
    )


def _rows(now: datetime) -> tuple[tuple[str, View], ...]:
    link = Link(name="Its page", url="http://192.0.2.12:3000/")
    states = (
        ("up, with a link", Verdict.up(), _service(links=(link,))),
        ("down", Verdict.down("connection refused"), _service()),
        ("unknown", Verdict.unknown("spark-2 is not seen"), _service()),
    )
    return (
        *(
            (state, service_list((one,), {one.name: ServiceStatus(one.name, verdict, now)}, now))
            for state, verdict, one in states
        ),
        ("not probed yet", service_list((_service(),), {}, now)),
    )
