"""Which other model answers while the wanted one is being loaded. Pure.

Owns what may be bridged: chat in its four dialects, by a model that is served now or a service of
kind `llm` that takes requests. Refuses to load anything for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from server.base.errors import SparkError
from server.base.health import Health
from server.catalog.model import Catalog
from server.gateway.model import Ask, Grant, Route, Upstream
from server.gateway.route import Known, resolve

BRIDGED = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"})


def bridge(
    name: str | None, ask: Ask, known: Known, pools: Mapping[str, Sequence[Upstream]]
) -> Route | None:
    """The way to the bridge named in the settings, None when there is none for this request. The
    fields of a variant stay behind: they are meant for the model that was asked for."""
    if name is None or not ask.bridge or ask.operation.path not in BRIDGED:
        return None
    try:
        route = resolve(ask.operation, name, known)
    except SparkError:
        return None
    allowed = ask.caller.models
    if allowed and not allowed & {name, route.model}:
        return None  # this key may not use the bridge's model, also not in place of its own
    if route.pool == ask.route.pool or not _may_use(ask, route, known.catalog):
        return None
    if not any(_answers(one, ask) for one in pools.get(route.pool, ())):
        return None
    return replace(route, asked=ask.route.asked, params={})


def _answers(upstream: Upstream, ask: Ask) -> bool:
    fit = upstream.accepting and upstream.health.health is not Health.DOWN
    return fit and upstream.name not in ask.exclude


def _may_use(ask: Ask, route: Route, catalog: Catalog) -> bool:
    """A key for some models only is not answered by another one."""
    allowed = ask.caller.models
    if not allowed or route.model in allowed:
        return True
    return any(found.id == route.model for found in map(catalog.find, allowed) if found)


def bridged(grant: Grant, name: str) -> Grant:
    """The grant with what its caller is told, and with a name that the bridge knows."""
    model = grant.route.model
    return grant._replace(
        rewrite=grant.rewrite or model,
        notes=(
            *grant.notes,
            (b"x-spark-bridge", name.encode("ascii", "replace")),
            (b"x-spark-model", model.encode("ascii", "replace")),
        ),
    )
