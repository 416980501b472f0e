"""The catalog as a page: each model with its state, whether it fits, where its files are. Pure.

Owns the search and the filter, which are the same with and without JavaScript.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

from server.base.units import size
from server.catalog.homes import Answer, Home, Outlook, Stored
from server.catalog.model import Model
from server.web.pages.frame import Page

Tone = Literal["good", "busy", "bad", "warn", "idle"]
Standing = Literal["shipped", "changed", "own"]

FITS: MappingProxyType[Answer, tuple[str, Tone]] = MappingProxyType(
    {
        "now": ("Fits now", "good"),
        "would": ("Would fit", "warn"),
        "cannot": ("Cannot fit", "bad"),
        "unknown": ("Fit unknown", "idle"),
    }
)
STATES: MappingProxyType[str, tuple[str, Tone]] = MappingProxyType(
    {
        "serving": ("Serving", "good"),
        "draining": ("Draining", "busy"),
        "loading": ("Loading", "busy"),
        "queued": ("Queued", "idle"),
        "available": ("Available", "idle"),
    }
)
UNDER_WAY = frozenset({"draining", "loading", "queued"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the filter asks for; empty: all."""

    q: str = ""
    state: str = ""
    fit: str = ""
    standing: str = ""
    host: str = ""

    @property
    def any(self) -> bool:
        return self != Wanted()


@dataclass(frozen=True, slots=True)
class Place:
    """The files on one host."""

    host: str
    size: str
    incomplete: bool


@dataclass(frozen=True, slots=True)
class Sheet:
    """The arithmetic for one group of hosts. `parts` are name and bytes, in words."""

    hosts: str
    label: str
    tone: Tone
    summary: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FitView:
    answer: Answer
    label: str
    tone: Tone
    summary: str
    sheets: tuple[Sheet, ...]


@dataclass(frozen=True, slots=True)
class ModelItem:
    """`action` is the word on the button, empty for none; `refused` a sentence on why not."""

    id: str
    name: str
    description: str
    source: str
    local: bool
    aliases: tuple[str, ...]
    standing: Standing
    state: str
    state_label: str
    state_tone: Tone
    action: str
    refused: str
    enabled: bool
    tags: tuple[str, ...]
    fit: FitView
    files: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class ModelTable:
    """The rows that are wanted, of `total`. `hidden` are shipped models that were removed here."""

    template: ClassVar[str] = "model/table.html"

    items: tuple[ModelItem, ...]
    total: int
    wanted: Wanted
    problems: tuple[str, ...]
    hidden: tuple[str, ...]
    homeless: bool


@dataclass(frozen=True, slots=True)
class ModelsPage(Page):
    template: ClassVar[str] = "model/page.html"

    hosts: tuple[str, ...]
    table: ModelTable

    @property
    def host_choices(self) -> tuple[tuple[str, str], ...]:
        return tuple((host, host) for host in self.hosts)


def item(
    model: Model,
    *,
    state: str,
    busy: bool,
    refused: str,
    outlook: Outlook,
    files: Sequence[Stored],
    shipped: bool,
) -> ModelItem:
    """`refused` is why it cannot be started with the settings of this moment."""
    offered = not refused and (state == "available" or (state == "serving" and busy))
    label, tone = STATES.get(state, (state, "idle"))
    if state == "available" and refused:
        label, tone = ("Disabled", "idle") if not model.enabled else ("Refused", "warn")
    return ModelItem(
        id=model.id,
        name=model.name,
        description=model.description,
        source=model.source.ref,
        local=model.source.path is not None,
        aliases=model.aliases,
        standing=standing(model, shipped=shipped),
        state=state,
        state_label=label,
        state_tone=tone,
        action=("Queue" if busy else "Swap") if offered else "",
        refused=refused,
        enabled=model.enabled,
        tags=tags(model),
        fit=fit_view(outlook),
        files=places(files),
    )


def places(files: Sequence[Stored]) -> tuple[Place, ...]:
    return tuple(Place(one.host, size(one.bytes), one.complete is False) for one in files)


def standing(model: Model, *, shipped: bool) -> Standing:
    if not shipped:
        return "own"
    return "changed" if model.origin == "override" else "shipped"


def tags(model: Model) -> tuple[str, ...]:
    """What sets it apart, in a word each."""
    found = []
    if model.nodes > 1:
        found.append(f"{model.nodes} Sparks")
    if model.pinned:
        found.append("pinned")
    if model.launcher:
        found.append(model.launcher)
    if model.swap:
        found.append(f"swap: {model.swap}")
    if model.ttl:
        found.append("unloads when idle")
    if model.variants:
        count = len(model.variants)
        found.append(f"{count} variant{'s' if count > 1 else ''}")
    return tuple(found)


def fit_view(outlook: Outlook) -> FitView:
    label, tone = FITS[outlook.answer]
    sheets = tuple(_sheet(home) for home in outlook.homes)
    return FitView(outlook.answer, label, tone, outlook.summary, sheets)


def _sheet(home: Home) -> Sheet:
    label, tone = FITS[home.answer]
    return Sheet(" + ".join(home.hosts), label, tone, home.summary, home.sheet.lines)


def chosen(items: Sequence[ModelItem], wanted: Wanted) -> tuple[ModelItem, ...]:
    """In the order of the catalog: a row never moves under the pointer."""
    words = wanted.q.lower().split()
    return tuple(one for one in items if _matches(one, wanted) and _holds(one, words))


def _matches(one: ModelItem, wanted: Wanted) -> bool:
    hosts = {place.host for place in one.files}
    return (
        wanted.state in {"", _group(one)}
        and wanted.fit in {"", one.fit.answer}
        and wanted.standing in {"", one.standing}
        and (not wanted.host or wanted.host in hosts)
    )


def _group(one: ModelItem) -> str:
    """The states a person looks for."""
    if one.state in UNDER_WAY:
        return "loading"
    if one.state == "available" and one.refused:
        return "refused" if one.enabled else "disabled"
    return one.state


def _holds(one: ModelItem, words: Sequence[str]) -> bool:
    text = " ".join((one.id, one.name, one.source, one.description, *one.aliases, *one.tags))
    return all(word in text.lower() for word in words)
