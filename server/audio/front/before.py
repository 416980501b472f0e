"""What is refused before a recording is taken: it may be a gigabyte that nobody will hear.

Owns the look at a caller whose request has not been read yet. It counts nothing and promises
nothing: the request is let in, and counted, where its model is known. Pure but for who is asked.
"""

from collections.abc import Iterator

from server.base.errors import InvalidRequest, ModelNotFound, NotFound
from server.gateway.keys.gate import resolved, unknown
from server.gateway.model import Caller, Operation, Route
from server.gateway.way import Crew


def look(crew: Crew, caller: Caller, operation: Operation, name: str | None) -> None:
    """`name` is the model that is asked for outside the form, None when it is not known yet.

    Raises `Forbidden`, `RateLimited`, and `ModelNotFound` where the caller's key may use no model
    that `operation` can mean, or not the one that is named."""
    crew.gatekeeper.look(caller, operation)
    if not caller.models:
        return
    if name is not None:
        if not _may_use(crew, caller, resolved(crew.router, operation, name, caller)):
            raise unknown(name)
    elif not any(_may_use(crew, caller, route) for route in _reached(crew, caller, operation)):
        raise ModelNotFound(
            f"This key may use no model that answers {operation.path}.",
            param="model",
            advice="GET /v1/models lists what can be asked for.",
        )


def _reached(crew: Crew, caller: Caller, operation: Operation) -> Iterator[Route]:
    """What a request without a name means, and what the models of the key mean."""
    for name in (None, *sorted(caller.models)):
        try:
            yield crew.router.resolve(operation, name)
        except (NotFound, InvalidRequest):
            continue  # of another kind, or gone


def _may_use(crew: Crew, caller: Caller, route: Route) -> bool:
    asked = () if route.asked is None else (route.asked,)
    names = (route.model, route.pool.partition(":")[2], *asked)
    return crew.gatekeeper.sees(caller, names)
