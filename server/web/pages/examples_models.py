"""What the styleguide shows of the pages of models: rows, fit sheets, the form, drift. Pure.

Made by the functions that make the real ones, as `examples` is. Refuses to look at anything.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from server.base.clock import iso
from server.base.errors import InvalidValue
from server.base.finding import Finding, Severity
from server.catalog.homes import Outlook, Spot, Stored, nowhere, outlook
from server.catalog.knobs import KNOBS
from server.catalog.model import Model, Source
from server.launch.model import PlannedCommand
from server.web.checking import Check
from server.web.pages.draw import View
from server.web.pages.examples import GIB, HOSTILE, LONG, Shown
from server.web.pages.form import fresh, outdated, refused
from server.web.pages.models.detail import (
    ModelDetail,
    ModelGone,
    Preflight,
    Running,
    preflight,
    settings_of,
)
from server.web.pages.models.drift import Change
from server.web.pages.models.editing import (
    CheckView,
    EntryForm,
    check_view,
    commands_of,
    entry_form,
    found_list,
)
from server.web.pages.models.entries import ModelItem, ModelTable, Wanted, item
from server.web.pages.models.typed import KNOB, values_of
from server.web.pages.models.uses import Use
from server.web.pages.moment import moment

FILES = (Stored("spark-1", 34 * GIB, 33 * GIB, complete=True),)
COMMAND = PlannedCommand(
    "start", "spark-1", (), "docker run --rm vllm-node vllm serve Qwen/Qwen3-32B-FP8 --port 8000"
)
DRIFT = (
    Change("changed", "--max-model-len", "--max-model-len 16384", "--max-model-len 32768"),
    Change("added", "--enable-auto-tool-choice", "", "--enable-auto-tool-choice"),
    Change("removed", "env VLLM_USE_V1", "VLLM_USE_V1=1", ""),
)


def every(now: datetime) -> tuple[Shown, ...]:
    return (
        Shown("catalog", "Models", _tables()),
        Shown("model", "One model", _details(now)),
        Shown("preflight", "Check before a swap", _preflights()),
        Shown("found", "Models found on the hosts", _found(now)),
        Shown("model-form", "The form of a model", _forms()),
        Shown("model-check", "What would run", _checks()),
    )


def _model(**changes: Any) -> Model:
    made = Model(
        "qwen3-32b",
        "Qwen3 32B FP8",
        Source(hf="Qwen/Qwen3-32B-FP8"),
        knobs=MappingProxyType({"gpu_memory_utilization": 0.6, "max_model_len": 32768}),
        aliases=("qwen",),
        description="A good model for most things.",
        provenance=MappingProxyType({"knobs.max_model_len": "override"}),
    )
    return replace(made, **changes)


def _fits(free: int | None, held: int = 0, *, files: Sequence[Stored] = FILES) -> Outlook:
    spot = Spot("spark-1", 120 * GIB, free, (("gpt-oss-20b", held),) if held else ())
    return outlook(_model(), ((spot,),), files)


def _item(model: Model | None = None, **changes: Any) -> ModelItem:
    given: dict[str, Any] = {
        "state": "available",
        "busy": False,
        "refused": "",
        "outlook": _fits(110 * GIB),
        "files": FILES,
        "shipped": True,
    }
    return item(model or _model(), **(given | changes))


def _items() -> tuple[tuple[str, ModelItem], ...]:
    broken = (Stored("spark-1", 3 * GIB, None, complete=False),)
    changed = _model(origin="override", nodes=2, pinned=True, ttl=1800)
    why = "engine.bare_venv is not set: say where vLLM is installed."
    odd = _model(name=HOSTILE, description=HOSTILE, source=Source(path=f"/srv/models/{LONG}"))
    return (
        ("it fits now", _item()),
        ("it would fit", _item(outlook=_fits(20 * GIB, 80 * GIB))),
        ("it cannot fit", _item(outlook=nowhere("It needs two Sparks, and there is one."))),
        ("nobody knows", _item(outlook=_fits(None, files=()), files=())),
        ("serving", _item(state="serving")),
        ("loading", _item(state="loading", busy=True)),
        ("to be queued", _item(busy=True)),
        ("refused, files incomplete", _item(refused=why, files=broken)),
        ("disabled", _item(_model(enabled=False), refused="It is disabled.")),
        ("changed here, with what sets it apart", _item(changed)),
        ("one's own", _item(shipped=False)),
        ("long and hostile", _item(odd, shipped=False)),
    )


def _tables() -> tuple[tuple[str, View], ...]:
    def table(*items: ModelItem, **changes: Any) -> ModelTable:
        made = ModelTable(items, max(len(items), 1), Wanted(), (), (), homeless=False)
        return replace(made, **changes)

    problem = "models.yaml: qwen: knobs.max_model_len: use a whole number"
    return (
        ("empty", table(total=0)),
        ("no host yet", table(_item(outlook=outlook(_model(), (), ())), homeless=True)),
        ("none is like that", table(total=12, wanted=Wanted(q="zebra"))),
        ("mistakes in the file", table(_item(), problems=(problem, HOSTILE))),
        ("some are hidden", table(_item(), hidden=("gpt-oss-120b", LONG))),
        *((state, table(one)) for state, one in _items()),
    )


def _detail(**changes: Any) -> ModelDetail:
    model = _model()
    commands = commands_of((COMMAND,))
    made = ModelDetail(_item(), None, commands, settings_of(model), (), (), "abc")
    return replace(made, **changes)


def _details(now: datetime) -> tuple[tuple[str, View], ...]:
    since = moment(now - timedelta(hours=2), now)
    runs = Running("spark-1", since, "up", "", 32768, ())
    ill = replace(runs, health="down", reason="HTTP 500 from /health", drift=None)
    uses = (
        Use("Served now", "on spark-1; it goes on until it is unloaded", "/"),
        Use("Key minutes", "may ask for this model only", "/settings/keys"),
        Use(f"Key {LONG}", HOSTILE, "", weighty=False),
    )
    serving = _item(state="serving")
    changed = _item(_model(origin="override"), state="serving")
    return (
        ("available, nobody uses it", _detail()),
        ("serving, used", _detail(item=serving, running=runs, uses=uses)),
        ("serving what has changed", _detail(item=changed, running=replace(runs, drift=DRIFT))),
        (
            "it does not answer, and could not be started again",
            _detail(item=_item(state="serving", refused="It is disabled."), running=ill),
        ),
        ("one's own, without a command", _detail(item=_item(shipped=False), commands=())),
        ("removed meanwhile", ModelGone("qwen3-32b")),
    )


def _preflights() -> tuple[tuple[str, View], ...]:
    found = (
        Finding("host", Severity.OK, "It answers.", "", "spark-1"),
        Finding("disk", Severity.WARNING, "40 GiB are free.", "Free some.", "spark-1"),
        Finding("image", Severity.INFO, "The image is pulled first.", "", "spark-1"),
        Finding("tools", Severity.UNKNOWN, HOSTILE, LONG, "spark-2"),
    )
    full = Finding("memory", Severity.ERROR, "20 GiB are free of 72 GiB.", "Unload.", "spark-1")
    return (
        ("not asked yet", Preflight("qwen3-32b")),
        ("ready", preflight("qwen3-32b", found)),
        ("it would be refused", preflight("qwen3-32b", (*found, full))),
        ("nothing to tell", preflight("qwen3-32b", ())),
        (
            "no host answers",
            Preflight("qwen3-32b", asked=True, trouble="spark-1 is not reachable."),
        ),
    )


def _found(now: datetime) -> tuple[tuple[str, View], ...]:
    def offer(**changes: Any) -> dict[str, Any]:
        made = {
            "ref": "Qwen/Qwen3-8B",
            "bytes": 16 * GIB,
            "kind": "hf",
            "hosts": [{"host": "spark-1", "complete": True}],
            "likely_served": True,
            "model_type": "qwen3",
            "refused": "",
        }
        return made | changes

    torn = offer(ref=f"/srv/{LONG}", kind="path", hosts=[{"host": "spark-1", "complete": False}])
    odd = offer(ref=HOSTILE, refused="Its path has letters that are not allowed.")
    looked = {"host": "spark-1", "scanned_at": iso(now - timedelta(minutes=5))}
    scans = (looked, {"host": "spark-2"}, {"host": "spark-3", "error": "not reachable"})
    return (
        ("nothing, no hosts", found_list((), (), now)),
        ("some", found_list((offer(), torn, odd), scans, now)),
    )


def _forms() -> tuple[tuple[str, View], ...]:
    values = values_of(_model())
    wrong = {**values, "id": "a b", f"{KNOB}max_model_len": "-5", "env": "HF_TOKEN"}

    def form(view: Any, editing: str = "qwen3-32b") -> EntryForm:
        schema = [knob.to_dict() for knob in KNOBS.values()]
        return entry_form(
            view,
            schema=schema,
            roots=("/srv/models",),
            hosts=("spark-1", "spark-2"),
            editing=editing,
        )

    mistake = InvalidValue("use a whole number", param=f"{KNOB}max_model_len")
    theirs = {**values, f"{KNOB}max_model_len": "65536", "description": HOSTILE}
    return (
        ("a new one", form(fresh({}), editing="")),
        ("a field is wrong", form(refused(wrong, mistake), editing="")),
        ("changed meanwhile", form(outdated(values, theirs, "4c5b6a"))),
    )


def _checks() -> tuple[tuple[str, View], ...]:
    good = Check((), _model(), (COMMAND,), "", _fits(110 * GIB), FILES)
    bad = Check((("knobs.max_model_len", "use a whole number"), ("source", HOSTILE)))
    return (
        ("nothing typed yet", CheckView()),
        ("it would run", check_view(good)),
        ("it differs from what runs", check_view(good, drift=DRIFT)),
        ("mistakes", check_view(bad, (("env", "line 1 is not NAME=value"),))),
        (
            "it could not be started",
            check_view(replace(good, refused="There is no host.", commands=(), fit=None)),
        ),
    )
