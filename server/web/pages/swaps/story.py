"""What a swap stops and what became of it, in sentences. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from server.swap.model import Deployment, Serving, State, SwapRecord

RESTARTED = "rb_starting"
REMOVED = frozenset({"rb_stopping", "rb_cleaning"})


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def placed(deployment: Deployment) -> str:
    return f"{deployment.spec.model} on {listed([node.host for node in deployment.spec.nodes])}"


def stops(
    model: str, layout: Sequence[Serving], most: int, evicted: Sequence[Deployment] | None = None
) -> str:
    """What starting `model` would stop. `evicted` is what a look at the hosts has decided; without
    one, only what must be so is said."""
    others = [serving.deployment for serving in layout if serving.model != model]
    if evicted is not None:
        if not evicted:
            return "It stops nothing."
        return f"It stops {listed([placed(one) for one in evicted])}."
    if not layout:
        return "Nothing is being served, so nothing is stopped."
    if not others:
        return f"{model} is being served; it is started anew only when its settings have changed."
    names = listed([placed(one) for one in others])
    if len(others) == 1:
        return f"It stops {names}." if most == 1 else f"It stops {names} if both do not fit."
    return f"Being served: {names}. It stops those that it finds no room beside."


def under_way(models: Sequence[str], busy: Mapping[str, Sequence[str]], patience: float) -> str:
    """Whom stopping these would touch. `busy`: the clients of the requests of each model."""
    clients = [client for model in models for client in busy.get(model, ())]
    if not clients:
        return "No request is under way there." if models else ""
    count = f"{len(clients)} request{'s are' if len(clients) > 1 else ' is'} under way"
    who = listed(list(dict.fromkeys(clients))[:5])
    more = len(set(clients)) - 5
    others = f" and {more} others" if more > 0 else ""
    wait = f"; {patience:.0f} s are given to finish" if patience else ""
    return f"{count} there, of {who}{others}{wait}."


def ending(record: SwapRecord) -> tuple[str, ...]:
    """What was stopped, restored and lost, once a swap is over."""
    if not record.state.final:
        return ()
    if record.state is State.UNLOADED:
        return tuple(f"{placed(gone)} was stopped." for gone in record.evicted)
    if record.state is State.SERVING:
        gone = tuple(f"{placed(one)} was stopped for it." for one in record.evicted)
        return gone or ("Nothing was stopped for it.",)
    if record.started_at is None and not record.steps:
        return ("It was taken back before it began: nothing was touched.",)
    return tuple(_way_back(record))


def _way_back(record: SwapRecord) -> Iterator[str]:
    names = {step.name for step in record.steps}
    if record.target is not None and any(
        step.name in REMOVED and step.state == "done" for step in record.steps
    ):
        yield f"The new engine of {record.target.model} was removed."
    if not record.comebacks:
        yield "Nothing was served before it, so there was nothing to go back to."
    for number, one in enumerate(record.comebacks):
        if one.spec.model in record.lost:
            yield f"{placed(one)} could not be brought back: it is not being served."
        elif number < record.restored:
            yield (
                f"{placed(one)} was started again and has answered."
                if RESTARTED in names
                else f"{placed(one)} was not stopped, and has answered."
            )
        elif record.touched:
            yield f"{placed(one)} was stopped and not started again."
        else:
            yield f"{placed(one)} was not stopped."
