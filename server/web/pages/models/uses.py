"""Who uses a model: what would notice if it were gone or changed. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from server.catalog.model import Catalog, Model
from server.config.model import Settings
from server.gateway.keys.model import Key
from server.gateway.usage.model import Place, Sums
from server.swap.model import Serving, SwapRecord

DAYS = 7


@dataclass(frozen=True, slots=True)
class Use:
    """`weighty` where something stops working when the model goes."""

    who: str
    what: str
    href: str = ""
    weighty: bool = True


def uses(
    model: Model,
    *,
    settings: Settings,
    keys: Sequence[Key],
    layout: Sequence[Serving],
    swaps: Sequence[SwapRecord],
    usage: Mapping[Place, Sums],
    now: datetime,
) -> tuple[Use, ...]:
    """Most pressing first."""
    catalog = Catalog({model.id: model})
    found = [
        *_served(model, layout, swaps),
        *_settings(model, catalog, settings),
        *_keys(catalog, keys, now),
        *_requests(model, keys, usage),
    ]
    return tuple(found)


def _served(model: Model, layout: Sequence[Serving], swaps: Sequence[SwapRecord]) -> Iterable[Use]:
    for serving in layout:
        if serving.model == model.id:
            hosts = ", ".join(node.host for node in serving.deployment.spec.nodes)
            yield Use("Served now", f"on {hosts}; it goes on until it is unloaded", "/")
    for swap in swaps:
        if swap.model == model.id and not swap.state.final:
            yield Use("A swap", f"to it is {swap.state.value}", f"/swaps/{swap.id}")
    if model.pinned:
        yield Use("Pinned", "it is never unloaded for a program's sake", weighty=False)


def _means(catalog: Catalog, name: str | None) -> bool:
    return bool(name) and catalog.resolve(name or "") is not None


def _settings(model: Model, catalog: Catalog, settings: Settings) -> Iterable[Use]:
    gateway = settings.gateway
    if _means(catalog, gateway.default_model):
        yield Use("gateway.default_model", "the model to return to when others are idle", _GATEWAY)
    if _means(catalog, gateway.bridge):
        yield Use("gateway.bridge", "answers while other models are being loaded", _GATEWAY)
    for service in settings.services:
        names = [name for name in service.models if _means(catalog, name)]
        if names:
            yield Use(
                f"Service {service.name}",
                f"answers to {', '.join(names)} as well",
                f"/services/{service.name}",
                weighty=False,
            )
    for host in model.hosts:
        if settings.host(host) is None:
            yield Use("Hosts", f"it names {host}, which is not configured", weighty=False)


_GATEWAY = "/settings/gateway"


def _keys(catalog: Catalog, keys: Sequence[Key], now: datetime) -> Iterable[Use]:
    active = [key for key in keys if key.state(now) == "active"]
    for key in active:
        names = [name for name in key.draft.models if _means(catalog, name)]
        if names:
            only = len(names) == len(key.draft.models)
            what = "may ask for this model only" if only else "is allowed to ask for it by name"
            yield Use(f"Key {key.name}", what, "/settings/keys")
    free = sum(not key.draft.models for key in active)
    if free:
        yield Use(
            f"{free} key{'s' if free > 1 else ''}", "may ask for any model", "/settings/keys", False
        )


def _requests(model: Model, keys: Sequence[Key], usage: Mapping[Place, Sums]) -> Iterable[Use]:
    """Requests of the last days, by key."""
    names = {key.id: key.name for key in keys}
    by_key: dict[str, Sums] = {}
    for place, sums in usage.items():
        if place.model == model.id:
            by_key.setdefault(place.key_id, Sums()).add(sums)
    for key_id, sums in sorted(by_key.items(), key=lambda one: -one[1].requests):
        if sums.requests:
            tokens = sums.prompt_tokens + sums.completion_tokens
            yield Use(
                names.get(key_id, key_id),
                f"{sums.requests:,} requests, {tokens:,} tokens in the last {DAYS} days",
                f"/activity?model={model.id}",
            )
