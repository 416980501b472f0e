"""The views of the form that adds or edits a model, of its check, and of an import. Pure.

The check is a fragment of its own: it is drawn anew while somebody types, and what was typed is
never touched by it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from server.base.clock import parse_iso
from server.base.units import size
from server.catalog.recipe_flags import Note
from server.launch.model import PlannedCommand
from server.web.checking import Check
from server.web.pages.form import FormView
from server.web.pages.frame import Page
from server.web.pages.models.drift import Change
from server.web.pages.models.entries import FitView, Place, fit_view, places
from server.web.pages.models.knobs import KnobGroup, groups
from server.web.pages.models.typed import at_field, choices
from server.web.pages.moment import Moment, moment


@dataclass(frozen=True, slots=True)
class Fault:
    """`name` is the form field, empty when no field is to blame; `what` how it is called."""

    name: str
    what: str
    message: str


@dataclass(frozen=True, slots=True)
class Command:
    """`text` may be pasted into a shell on the host: a line for each flag."""

    name: str
    host: str
    text: str


def commands_of(planned: Sequence[PlannedCommand]) -> tuple[Command, ...]:
    return tuple(Command(one.name, one.host, folded(one.shown)) for one in planned)


def folded(command: str) -> str:
    """A line for each flag of `vllm serve`, continued as a shell does. What is quoted stays as it
    is, and so does what stands before: the launcher's own words."""
    lines, start, quote, serves = [], 0, "", False
    for at, letter in enumerate(command):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == " " and (
            command.startswith("--", at + 1) if serves else command.startswith(" vllm", at)
        ):
            serves = serves or _serves(command[at:])
            if serves:
                lines.append(command[start:at])
                start = at + 1
    return " \\\n  ".join([*lines, command[start:]])


def _serves(rest: str) -> bool:
    """`vllm serve …`, or `vllm IMAGE serve …` as docker has it after its --entrypoint."""
    return "serve" in rest.split(maxsplit=3)[:3]


@dataclass(frozen=True, slots=True)
class CheckView:
    """`asked` False: the form is as it was opened, and nothing has been checked. `drift` is what
    would change for the engine that serves this model now; empty as well when none does."""

    template: ClassVar[str] = "model/check.html"
    kept: ClassVar[bool] = False

    asked: bool = False
    faults: tuple[Fault, ...] = ()
    commands: tuple[Command, ...] = ()
    refused: str = ""
    fit: FitView | None = None
    drift: tuple[Change, ...] = ()
    files: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class EntryForm:
    """`editing` is the id of the model that is changed, empty for a new one. `roots` are where
    local models may live, `hosts` the names of all hosts."""

    template: ClassVar[str] = "model/form.html"
    kept: ClassVar[bool] = False

    editing: str
    form: FormView
    knobs: tuple[KnobGroup, ...]
    roots: tuple[str, ...]
    hosts: tuple[str, ...]
    swaps: tuple[str, ...]
    launchers: tuple[str, ...]
    check: CheckView


@dataclass(frozen=True, slots=True)
class FoundModel:
    """On the hosts, and not in the catalog. `href` opens the form with it filled in."""

    ref: str
    href: str
    size: str
    hosts: str
    kind: str
    note: str
    refused: str


@dataclass(frozen=True, slots=True)
class Scan:
    host: str
    at: Moment | None
    error: str


@dataclass(frozen=True, slots=True)
class FoundList:
    template: ClassVar[str] = "model/found.html"

    models: tuple[FoundModel, ...]
    scans: tuple[Scan, ...]


@dataclass(frozen=True, slots=True)
class EditPage(Page):
    """`found` and `notes` are there for a new model only."""

    template: ClassVar[str] = "model/edit.html"
    kept: ClassVar[bool] = False

    entry: EntryForm
    found: FoundList | None = None
    understood: tuple[Note, ...] = ()
    left_out: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportPage(Page):
    template: ClassVar[str] = "model/import.html"
    kept: ClassVar[bool] = False

    form: FormView


def entry_form(
    form: FormView,
    *,
    schema: Sequence[Mapping[str, Any]],
    roots: Sequence[str],
    hosts: Sequence[str],
    editing: str = "",
    check: CheckView | None = None,
) -> EntryForm:
    values, fixed = dict(form.values), choices()
    return EntryForm(
        editing=editing,
        form=form,
        knobs=groups(schema, values, [name for name, _ in (*form.errors, *form.theirs)]),
        roots=tuple(roots),
        hosts=tuple(hosts),
        swaps=fixed["swap"],
        launchers=fixed["launcher"],
        check=check or CheckView(),
    )


def check_view(
    check: Check, typed: Sequence[tuple[str, str]] = (), drift: tuple[Change, ...] = ()
) -> CheckView:
    """`typed` are faults of the form itself, by form field."""
    faults = [Fault(name, name, text) for name, text in typed]
    faults += [Fault(at_field(param), param, text) for param, text in check.problems]
    return CheckView(
        asked=True,
        faults=tuple(faults),
        commands=commands_of(check.commands),
        refused=check.refused,
        fit=None if check.fit is None or faults else fit_view(check.fit),
        drift=drift,
        files=places(check.files),
    )


def errors_of(view: CheckView) -> tuple[tuple[tuple[str, str], ...], str]:
    """By field, all of one field together, and what no field is to blame for."""
    at: dict[str, list[str]] = {}
    for fault in view.faults:
        text = fault.message if fault.name else f"{fault.what}: {fault.message}"
        if fault.name == "env" and fault.what.startswith("env."):
            text = f"{fault.what.removeprefix('env.')} {fault.message}"
        at.setdefault(fault.name, []).append(text)
    elsewhere = "; ".join(at.pop("", []))
    return tuple((name, "; ".join(texts)) for name, texts in at.items()), elsewhere


def found_list(
    offers: Sequence[Mapping[str, Any]], scans: Sequence[Mapping[str, Any]], now: datetime
) -> FoundList:
    return FoundList(
        tuple(_offered(offer) for offer in offers), tuple(_scan(scan, now) for scan in scans)
    )


def _offered(offer: Mapping[str, Any]) -> FoundModel:
    notes = []
    if any(one["complete"] is False for one in offer["hosts"]):
        notes.append("not complete everywhere")
    if not offer["likely_served"]:
        notes.append(f"{offer['model_type']}: probably not for vLLM")
    return FoundModel(
        ref=offer["ref"],
        href=f"/models/new?{urlencode({'ref': offer['ref']})}",
        size=size(offer["bytes"]),
        hosts=", ".join(one["host"] for one in offer["hosts"]),
        kind="Hugging Face" if offer["kind"] == "hf" else "local path",
        note=", ".join(notes),
        refused=offer["refused"],
    )


def _scan(scan: Mapping[str, Any], now: datetime) -> Scan:
    at = scan.get("scanned_at")
    return Scan(
        str(scan["host"]), moment(parse_iso(at) if at else None, now), str(scan.get("error") or "")
    )
