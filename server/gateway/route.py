"""Which pool a request means, by its route and the name it gives. Pure.

Owns what a name can be: a model of the catalog (id, alias, `model:variant`), a model that is still
served though it left the catalog, a name that services claim, a service's own name. Refuses to know
what is loaded, free or healthy: a name means the same whatever is served.

The order for an operation of the kinds K1, K2, … (`llm` is the engines and services of that kind):

    a name is given   1. a service of a kind other than `llm` claims it, kinds in order
                      2. `llm` is among the kinds: the catalog, what is served, an `llm` service
                      3. the first kind other than `llm` that has services which take any name
                      4. Spark Control itself, where the route says so
                      5. not found, with what could be asked for
    none is given     1. the first kind other than `llm` that has services
                      2. the one model that is served, where the route has no place for a name
                      3. refused

Services that claim one name are replicas: `group:<kind>:<name>`. One alone is `service:<name>`.
`kind:<kind>` are those that take any name, or all of the kind when none does.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from server.base.errors import InvalidRequest, ModelNotFound, NotFound, SparkError
from server.catalog.model import Catalog
from server.config.model import Service
from server.gateway.model import Operation, Route
from server.swap.model import Serving

LLM = "llm"
_LISTED = 12
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Known:
    """All that can be named now."""

    catalog: Catalog
    layout: Sequence[Serving] = ()
    services: Sequence[Service] = ()


def model_pool(model: str) -> str:
    return f"model:{model}"


def named_pool(service: str) -> str:
    return f"service:{service}"


def model_of(pool: str) -> str | None:
    """The model whose engines are this pool, None when it is a pool of services."""
    kind, _, name = pool.partition(":")
    return name if kind == "model" else None


def resolve(operation: Operation, name: str | None, known: Known) -> Route:
    """Raises `ModelNotFound`, `NotFound` or `InvalidRequest`, each with what could be asked for."""
    kinds = operation.kinds or _all_kinds(known)
    asked = name if name is not None else operation.service
    if asked is None:
        return _nameless(operation, kinds, known)
    for find in _steps(kinds, not operation.named and operation.service is None):
        route = find(asked, known)
        if route is not None:
            return route
    if operation.here:
        return Route(named_pool(asked), asked)
    raise _unknown(operation, kinds, asked, known)


def claims(service: Service, name: str) -> bool:
    """Whether the service answers to this name."""
    return name == service.name or name in service.models


def claimants(kind: str, name: str, services: Sequence[Service]) -> list[Service]:
    return [service for service in services if service.kind == kind and claims(service, name)]


def general(kind: str, services: Sequence[Service]) -> list[Service]:
    """Services of the kind that take any name; all of the kind when none does."""
    of_kind = [service for service in services if service.kind == kind]
    return [service for service in of_kind if not service.models] or of_kind


def claimed_pool(kind: str, name: str, services: Sequence[Service]) -> str | None:
    found = claimants(kind, name, services)
    if not found:
        return None
    return named_pool(found[0].name) if len(found) == 1 else f"group:{kind}:{name}"


Find = Callable[[str, Known], Route | None]


def _steps(kinds: Sequence[str], any_name: bool) -> Iterator[Find]:
    """The ways to find a name, in order."""
    others = [kind for kind in kinds if kind != LLM]
    yield from (_claimed(kind) for kind in others)
    if LLM in kinds:
        yield from (_catalogued, _served, _claimed(LLM))
    if any_name:
        yield from (_of_kind(kind) for kind in others)


def _claimed(kind: str) -> Find:
    def find(name: str, known: Known) -> Route | None:
        pool = claimed_pool(kind, name, known.services)
        return Route(pool, name, name) if pool else None

    return find


def _of_kind(kind: str) -> Find:
    def find(name: str, known: Known) -> Route | None:
        takes_any = any(one.kind == kind and not one.models for one in known.services)
        return Route(f"kind:{kind}", name, name) if takes_any else None

    return find


def _catalogued(name: str, known: Known) -> Route | None:
    found = known.catalog.resolve(name)
    if found is None:
        return None
    model, params = found
    if not model.enabled and all(serving.model != model.id for serving in known.layout):
        raise _disabled(name, known)
    return Route(model_pool(model.id), model.id, name, params)


def _served(name: str, known: Known) -> Route | None:
    """What is served answers to its names, unless the catalog gave them to another model."""
    for serving in known.layout:
        if name == serving.model or name in serving.names:
            return Route(model_pool(serving.model), serving.model, name)
    return None


def _nameless(operation: Operation, kinds: Sequence[str], known: Known) -> Route:
    for kind in kinds:
        if kind != LLM and any(service.kind == kind for service in known.services):
            return Route(f"kind:{kind}", kind)
    models = {serving.model for serving in known.layout}
    if LLM in kinds and operation.body == "any" and len(models) == 1:
        model = models.pop()
        return Route(model_pool(model), model)
    if LLM not in kinds:
        raise _no_service(operation, kinds)
    raise InvalidRequest(
        f"{operation.path} needs a model.",
        param="model",
        advice="GET /v1/models lists what can be asked for.",
    )


# ---- the sentences


def _unknown(operation: Operation, kinds: Sequence[str], name: str, known: Known) -> SparkError:
    wanted = [kind for kind in kinds if kind != LLM]
    if LLM not in kinds and all(service.kind not in wanted for service in known.services):
        return _no_service(operation, kinds)
    return not_found(name, _offered(kinds, known), LLM in kinds)


def _no_service(operation: Operation, kinds: Sequence[str]) -> NotFound:
    kind = kinds[0] if kinds else "other"
    called = operation.service or kind
    return NotFound(
        f"{operation.path} is answered by a service of kind {kind}, and none is set up"
        + (f" under the name {called}." if operation.service else "."),
        advice="Add it under services: in config.yaml, like "
        f"{{name: {called}, kind: {kind}, host: spark-1, port: 8001}}.",
    )


def _disabled(name: str, known: Known) -> ModelNotFound:
    return _listing(f"The model {_shown(name)} is disabled in the catalog.", _ids(known))


def not_found(name: str, offered: Sequence[str], catalog: bool = True) -> ModelNotFound:
    empty = "The catalog is empty: add a model first." if catalog else ""
    return _listing(f"The model {_shown(name)} does not exist.", offered, empty)


def _listing(what: str, offered: Sequence[str], otherwise: str = "") -> ModelNotFound:
    listed = ", ".join(offered[:_LISTED]) + (", …" if len(offered) > _LISTED else "")
    return ModelNotFound(
        f"{what} These exist: {listed}." if offered else f"{what} {otherwise}".rstrip(),
        param="model",
        advice="GET /v1/models lists what can be asked for.",
    )


def _shown(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")


def _offered(kinds: Sequence[str], known: Known) -> list[str]:
    names = _ids(known) if LLM in kinds else []
    for service in known.services:
        if service.kind in kinds:
            names += service.models or (service.name,)
    return list(dict.fromkeys(names))


def _ids(known: Known) -> list[str]:
    served = [
        serving.model for serving in known.layout if serving.model not in known.catalog.models
    ]
    return [model.id for model in known.catalog.models.values() if model.enabled] + served


def _all_kinds(known: Known) -> tuple[str, ...]:
    """What `/upstream/<name>` may mean: an engine or any service."""
    return tuple(dict.fromkeys([*(service.kind for service in known.services), LLM]))
