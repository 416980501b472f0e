"""One model: all that is known of it, the commands that start it, who uses it, its swaps. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from server.base.finding import Finding, Severity
from server.base.redact import redact
from server.base.units import duration
from server.catalog.knobs import KNOBS
from server.catalog.model import Model, Origin
from server.web.pages.frame import Page
from server.web.pages.models.drift import Change
from server.web.pages.models.editing import Command
from server.web.pages.models.entries import ModelItem
from server.web.pages.models.uses import Use
from server.web.pages.moment import Moment
from server.web.pages.swap import PastSwap


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that was set. `origin` is `shipped` or `own`, `help` what it does."""

    name: str
    value: str
    origin: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """It is served: where, since when, and what would change with a start now. `drift` is None
    when the entry cannot be started any more, so that there is nothing to compare with."""

    hosts: str
    since: Moment | None
    health: str
    reason: str
    context: int | None
    drift: tuple[Change, ...] | None


@dataclass(frozen=True, slots=True)
class ModelDetail:
    """`running` None: it is not served."""

    template: ClassVar[str] = "model/detail.html"

    item: ModelItem
    running: Running | None
    commands: tuple[Command, ...]
    settings: tuple[Setting, ...]
    uses: tuple[Use, ...]
    swaps: tuple[PastSwap, ...]
    version: str


@dataclass(frozen=True, slots=True)
class ModelGone:
    """The page of a model was open while somebody removed it."""

    template: ClassVar[str] = "model/gone.html"

    model: str


@dataclass(frozen=True, slots=True)
class FindingView:
    severity: str
    message: str
    advice: str
    host: str


@dataclass(frozen=True, slots=True)
class Preflight:
    """`asked` False: nobody asked yet. `trouble` is why the hosts could not be asked."""

    template: ClassVar[str] = "model/preflight.html"
    kept: ClassVar[bool] = False

    model: str
    asked: bool = False
    ok: bool = False
    findings: tuple[FindingView, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class ModelPage(Page):
    template: ClassVar[str] = "model/one.html"

    detail: ModelDetail
    preflight: Preflight


def preflight(model: str, findings: Sequence[Finding]) -> Preflight:
    """Errors first, what is fine last; each as it was found."""
    order = {severity: number for number, severity in enumerate(_ORDER)}
    ordered = sorted(findings, key=lambda one: order[one.severity])
    return Preflight(
        model=model,
        asked=True,
        ok=not any(one.severity is Severity.ERROR for one in findings),
        findings=tuple(
            FindingView(one.severity.value, one.message, one.advice, one.host or "")
            for one in ordered
        ),
    )


_ORDER = (Severity.ERROR, Severity.WARNING, Severity.UNKNOWN, Severity.INFO, Severity.OK)


def settings_of(model: Model) -> tuple[Setting, ...]:
    """What was set, and where it comes from. What was left alone is not listed."""
    source = model.source.ref + (f" at {model.source.revision}" if model.source.revision else "")
    plain = (
        ("source", source, "What is loaded."),
        ("nodes", str(model.nodes), "Sparks that it runs on together."),
        ("aliases", ", ".join(model.aliases), "Other names programs may ask for it by."),
        ("hosts", ", ".join(model.hosts), "Only these may take it."),
        ("launcher", model.launcher or "", "What starts it."),
        ("image", model.image or "", "Container image."),
        ("ttl", duration(model.ttl) if model.ttl else "", "Unloaded when idle for so long."),
        ("pinned", "yes" if model.pinned else "", "Never unloaded for a program's sake."),
        ("swap", model.swap or "", "What a request does while it is not loaded."),
    )
    rows = [_setting(model, name, value, text) for name, value, text in plain if value]
    for name, value in model.knobs.items():
        text = " ".join(value) if isinstance(value, tuple) else _word(value)
        rows.append(_setting(model, f"knobs.{name}", text, KNOBS[name].help))
    for name, value in model.env.items():
        rows.append(_setting(model, f"env.{name}", redact(value), "Environment of the engine."))
    for name, fields in model.variants.items():
        what = ", ".join(f"{key} = {value}" for key, value in fields.items())
        rows.append(_setting(model, f"variants.{name}", what, f"Asked for as {model.id}:{name}."))
    return tuple(rows)


def _word(value: object) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _setting(model: Model, name: str, value: str, text: str) -> Setting:
    group = "variants" if name.startswith("variants.") else name
    origin: Origin = model.provenance.get(group, "default")
    words = {"override": "own", "shipped": "shipped", "default": ""}
    shown = name.removeprefix("knobs.")
    return Setting(shown, value, words[origin], text)
