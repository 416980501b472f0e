"""From what is served and what is configured to the pools that the admission hands out. Pure.

Owns which upstream is in which pool, where it is reached and under which names it knows its models.
Refuses to judge: health is the fleet's and the swap's, being full is the admission's.
"""

from collections.abc import Iterable, Mapping, Sequence

from server.base.health import Verdict
from server.catalog.model import Catalog
from server.config.model import Host, Service, Settings
from server.gateway.client.here import address
from server.gateway.model import Upstream
from server.gateway.operations import HERE
from server.gateway.route import LLM, claimants, general, model_pool, named_pool
from server.swap.model import Serving

Pools = Mapping[str, tuple[Upstream, ...]]

_HERE_AT_ONCE = 2
"""What is answered here takes a thread and a part of a core each."""
_UNSEEN = Verdict.unknown("not probed yet")


def pools(
    catalog: Catalog,
    layout: Sequence[Serving],
    settings: Settings,
    verdicts: Mapping[str, Verdict],
) -> Pools:
    """All pools. A model of the catalog that is not loaded has one without upstreams: it holds who
    waits. `verdicts` are the fleet's, by service."""
    made: dict[str, list[Upstream]] = {
        model_pool(model.id): [] for model in catalog.models.values() if model.enabled
    }
    for serving in layout:
        made.setdefault(model_pool(serving.model), []).append(engine(serving))
    hosts = {host.name: host for host in settings.hosts}
    reached = {
        each.name: service(each, hosts[each.host], verdicts.get(each.name, _UNSEEN))
        for each in settings.services
        if each.host in hosts
    }
    for name, members in _groups(settings.services):
        made[name] = [reached[each.name] for each in members if each.name in reached]
    for name in HERE:
        made.setdefault(named_pool(name), [here(name)])
    return {name: tuple(upstreams) for name, upstreams in made.items()}


def engine(serving: Serving) -> Upstream:
    """An engine knows its model by all the names it was started with, and bounds itself."""
    host = serving.deployment.engine.host
    return Upstream(
        name=f"{serving.model}@{host}",
        kind=LLM,
        base_url=serving.base_url,
        host=host,
        models=serving.names,
        health=serving.health,
        accepting=serving.accepting,
        engine=True,
    )


def service(each: Service, host: Host, health: Verdict) -> Upstream:
    address = f"[{host.address}]" if ":" in host.address else host.address
    return Upstream(
        name=each.name,
        kind=each.kind,
        base_url=f"{each.scheme}://{address}:{each.port}{(each.path_prefix or '').rstrip('/')}",
        host=each.host,
        cap=each.cap,
        models=each.models,
        health=health,
        model_sent=each.model_sent,
    )


def here(name: str) -> Upstream:
    """Ourselves."""
    return Upstream(name, "here", address(name), "", cap=_HERE_AT_ONCE)


def _groups(services: Sequence[Service]) -> Iterable[tuple[str, list[Service]]]:
    for each in services:
        yield named_pool(each.name), [each]
    for kind in dict.fromkeys(each.kind for each in services):
        yield f"kind:{kind}", general(kind, services)
        names = [
            name for each in services if each.kind == kind for name in (each.name, *each.models)
        ]
        for name in dict.fromkeys(names):
            members = claimants(kind, name, services)
            if len(members) > 1:
                yield f"group:{kind}:{name}", members


def rewritten(asked: str | None, model: str, upstream: Upstream) -> str | None:
    """The name to put into the body, None when the upstream knows the one in it.

    A service is sent what its settings say. An engine that does not know the name (a variant, an
    alias younger than it) is called by its model's id. A service that was asked for by its own
    name is called by the first name it claims.
    """
    if upstream.model_sent is not None:
        return upstream.model_sent
    if asked is None or asked in upstream.models or not upstream.models:
        return None
    return model if model in upstream.models else upstream.models[0]
