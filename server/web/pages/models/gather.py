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


def draw_table(parts: Parts, site: Site, wanted: Wanted) -> ModelTable:
    catalog = parts.catalog.snapshot()
    items = _items(parts, site, catalog, list(catalog.models.values()))
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
