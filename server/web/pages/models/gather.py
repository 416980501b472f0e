"""From memory (and, for the last swaps and the use of a week, the database) to the views of the
models. Owns what is looked up where; what follows from it is decided by the pure modules beside it.
No host is asked."""

from dataclasses import replace

from server.base.errors import SparkError
from server.catalog.changes import version_of
from server.catalog.discovery import Found, offers
from server.catalog.model import Catalog, Model
from server.gateway.listing import state_of
from server.launch.plan import build_spec
from server.swap.model import Past, Serving
from server.web.api.views import waiting
from server.web.checking import planned
from server.web.fitting import Fitting
from server.web.pages.model import refusal_words
from server.web.pages.models.detail import ModelDetail, Running, settings_of
from server.web.pages.models.drift import Change, drift
from server.web.pages.models.editing import FoundList, commands_of, found_list
from server.web.pages.models.entries import ModelItem, ModelTable, Wanted, chosen, item
from server.web.pages.models.typed import PAGES
from server.web.pages.models.uses import DAYS, Use, uses
from server.web.pages.moment import moment
from server.web.pages.site import Site
from server.web.pages.swap import history
from server.web.parts import Parts

PAST_SWAPS = 8
SHARED_SECONDS = 1.0


class Tables:
    """The rows of the catalog, made once for all who look at the same moment: a swap makes every
    open page ask again and again. Whatever is decided counts at once; only the figures of memory
    may be as old as `SHARED_SECONDS`."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._until = 0.0
        self._items: tuple[ModelItem, ...] = ()

    def items(self, parts: Parts, site: Site) -> tuple[ModelItem, ...]:
        catalog, now = parts.catalog.snapshot(), parts.clock.monotonic()
        key = (
            catalog,
            parts.settings.current,
            tuple((one.model, one.accepting) for one in parts.swaps.layout()),
            tuple((one.id, one.state) for one in waiting(parts)),
            tuple((one.name, one.verdict.health) for one in parts.fleet.statuses()),
            tuple(scan["scanned_at"] for scan in parts.discovery.scans()),
        )
        same = bool(self._key) and all(map(_same, key, self._key))
        if not same or now >= self._until:
            self._items = tuple(_items(parts, site, catalog, list(catalog.models.values())))
            self._key, self._until = key, now + SHARED_SECONDS
        return self._items


def _same(one: object, other: object) -> bool:
    """Snapshots by identity: to compare a catalog would cost more than to draw it."""
    return one == other if isinstance(one, tuple) else one is other


def draw_table(parts: Parts, site: Site, tables: Tables, wanted: Wanted) -> ModelTable:
    catalog = parts.catalog.snapshot()
    items = tables.items(parts, site)
    return ModelTable(
        items=chosen(items, wanted),
        total=len(items),
        wanted=wanted,
        problems=tuple(map(str, catalog.problems)),
        hidden=catalog.hidden,
        homeless=not parts.settings.current.hosts,
    )


def _items(parts: Parts, site: Site, catalog: Catalog, models: list[Model]) -> list[ModelItem]:
    fitting, layout, swaps = Fitting(parts), parts.swaps.layout(), waiting(parts)
    busy = any(not swap.state.final for swap in swaps)
    hosts = bool(parts.settings.current.hosts)
    items = [
        item(
            model,
            state=state_of(model.id, layout, swaps),
            busy=busy,
            refused=refusal_words(model, site.refusal) if hosts else "",
            outlook=fitting.outlook(model),
            files=fitting.files(model),
            shipped=model.id in catalog.shipped,
        )
        for model in models
    ]
    return items if hosts else [replace(one, action="") for one in items]


async def draw_detail(parts: Parts, site: Site, model: Model) -> ModelDetail:
    catalog = parts.catalog.snapshot()
    (one,) = _items(parts, site, catalog, [model])
    commands, _ = planned(parts, model)
    now = parts.clock.now()
    past = await parts.swaps.history(PAST_SWAPS, Past(model=model.id))
    return ModelDetail(
        item=one,
        running=_running(parts, model),
        commands=commands_of(commands),
        settings=settings_of(model),
        uses=await used(parts, model),
        swaps=history(past, now).swaps,
        version=version_of(model),
    )


def _running(parts: Parts, model: Model) -> Running | None:
    serving = next((one for one in parts.swaps.layout() if one.model == model.id), None)
    if serving is None:
        return None
    return Running(
        hosts=", ".join(node.host for node in serving.deployment.spec.nodes),
        since=moment(serving.since, parts.clock.now()),
        health=serving.health.health.value,
        reason=serving.health.reason,
        context=serving.max_model_len,
        drift=_drift(parts, model, serving),
    )


def drift_of(parts: Parts, model: Model) -> tuple[Change, ...]:
    """Of an entry that is not saved yet, against the engine that serves the saved one."""
    serving = next((one for one in parts.swaps.layout() if one.model == model.id), None)
    return () if serving is None else _drift(parts, model, serving) or ()


def _drift(parts: Parts, model: Model, serving: Serving) -> tuple[Change, ...] | None:
    try:
        wanted = build_spec(model, parts.settings.current)
    except SparkError:
        return None
    return drift(serving.deployment.spec, wanted)


async def used(parts: Parts, model: Model) -> tuple[Use, ...]:
    return uses(
        model,
        settings=parts.settings.current,
        keys=parts.keys.every(),
        layout=parts.swaps.layout(),
        swaps=waiting(parts),
        usage=await parts.usage.rows(DAYS),
        now=parts.clock.now(),
    )


def draw_found(parts: Parts) -> FoundList:
    found = [Found.from_dict(row) for row in parts.discovery.found()]
    offered = offers([one for one in found if one.ref], parts.catalog.snapshot())
    return found_list(offered, parts.discovery.scans(), parts.clock.now())


def offered_body(parts: Parts, ref: str) -> dict[str, object]:
    """The form of a model that was found on the hosts, by its source; empty when it is not there
    (any more)."""
    found = [Found.from_dict(row) for row in parts.discovery.found()]
    for offer in offers([one for one in found if one.ref == ref], parts.catalog.snapshot()):
        name = offer["suggested_id"]
        free = f"{name}-model" if name in PAGES else name
        return {"id": free, "name": offer["name"], "source": offer["source"]}
    return {}
