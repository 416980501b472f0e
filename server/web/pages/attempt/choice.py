"""Who can be asked: models and services as the choices of a form, and what is served. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from server.base.health import Health, Verdict
from server.base.units import duration
from server.catalog.model import Catalog, Model
from server.config.model import Service
from server.gateway.listing import state_of
from server.gateway.model import SwapPolicy
from server.swap.model import Serving, SwapRecord
from server.web.pages.serving import WORDS, target

LLM = "llm"
LOADED = frozenset({"serving", "draining"})
_STATES: Mapping[str, str] = MappingProxyType(
    {
        "serving": "Loaded",
        "draining": "Being unloaded",
        "loading": "Loading",
        "queued": "Their swap is queued",
    }
)
_POLICIES: Mapping[SwapPolicy, str] = MappingProxyType(
    {
        "auto": "Not loaded: asking starts a swap",
        "ask": "Not loaded: a person has to swap them in",
        "never": "Not loaded: swap them in first",
    }
)
_WORDS = (*_STATES.values(), *_POLICIES.values())


@dataclass(frozen=True, slots=True)
class Option:
    """`value` is what `model` says in the request. `model` is the catalog's id, empty for a
    service; `policy` what asking for it does while it is not loaded."""

    value: str
    label: str
    model: str = ""
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """`kind` of the services, `llm` for models."""

    label: str
    kind: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Now:
    """What is served, and the swap under way."""

    template: ClassVar[str] = "try/now.html"

    served: tuple[str, ...]
    coming: str
    percent: int | None


def now(layout: Sequence[Serving], swaps: Sequence[SwapRecord]) -> Now:
    running = next((one for one in swaps if not one.state.final), None)
    served = tuple(dict.fromkeys(one.model for one in layout if one.accepting))
    if running is None:
        return Now(served, "", None)
    coming = f"{WORDS[running.state][0]}: {target(running)}"
    if running.eta_seconds is not None:
        coming += f", about {duration(running.eta_seconds)} left"
    return Now(served, coming, int(running.percent))


def models(
    catalog: Catalog,
    layout: Sequence[Serving],
    swaps: Sequence[SwapRecord],
    policy: Callable[[str], SwapPolicy],
) -> tuple[Group, ...]:
    """By what asking for them means, what is loaded first; each followed by its variants."""
    found: dict[str, list[Option]] = {words: [] for words in _WORDS}
    for model in catalog.models.values():
        state = state_of(model.id, layout, swaps)
        if model.enabled or state in LOADED:
            words = _STATES.get(state) or _POLICIES[policy(model.id)]
            found[words] += _model(model, policy(model.id))
    # Taken out of the catalog while it was being served: it still answers.
    orphans = dict.fromkeys(one.model for one in layout if one.model not in catalog.models)
    found[_STATES["serving"]] += [Option(name, name, name) for name in orphans]
    return tuple(Group(words, LLM, tuple(options)) for words, options in found.items())


def _model(model: Model, policy: SwapPolicy) -> Iterable[Option]:
    yield Option(model.id, model.name, model.id, policy)
    for name in model.variants:
        yield Option(f"{model.id}:{name}", f"{model.name}, {name}", model.id, policy)


def services(
    kind: str, configured: Sequence[Service], verdicts: Mapping[str, Verdict]
) -> tuple[Option, ...]:
    """One for each name that services of the kind answer to, replicas together."""
    names: dict[str, list[Service]] = {}
    for service in configured:
        if service.kind == kind:
            for name in service.models or (service.name,):
                names.setdefault(name, []).append(service)
    return tuple(
        Option(name, f"{name} ({_health([verdicts.get(one.name) for one in members])})")
        for name, members in names.items()
    )


def _health(verdicts: Sequence[Verdict | None]) -> str:
    known = {verdict.health if verdict else Health.UNKNOWN for verdict in verdicts}
    if Health.UP in known:
        return "up"
    return "down" if known == {Health.DOWN} else "state unknown"


def groups(*made: Group) -> tuple[Group, ...]:
    """Those with something to choose."""
    return tuple(one for one in made if one.options)
