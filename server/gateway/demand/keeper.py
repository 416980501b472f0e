"""What becomes of models that nobody asks for. Pure.

Owns two rules, both only while no swap is under way:

    a model with `ttl`, not pinned, unused for that long          Unload
    the default is not loaded, nobody waits for another model,
    and what is loaded in its place has been unused for
    `default_after_seconds` (or `ttl` unloaded it)                ReturnToDefault

A model is unused from its load or from the end of its last request, whichever is later. After an
unload by a person nothing returns by itself: the memory was wanted. A default that its own `ttl`
unloaded does not return either.
"""

from collections.abc import Iterator

from server.gateway.demand.model import Action, Facts, Loaded, ReturnToDefault, Rules, Unload


def keep(facts: Facts, rules: Rules, *, wanted: bool) -> Iterator[Action]:
    """`wanted`: somebody waits for a model that may be loaded."""
    expired = next((each for each in facts.layout if _expired(each)), None)
    if expired is not None:
        yield Unload(expired.model)
    elif not wanted and rules.default_model and _returns(rules.default_model, facts, rules):
        yield ReturnToDefault(rules.default_model)


def _expired(each: Loaded) -> bool:
    return not each.pinned and not each.busy and 0 < each.ttl <= each.unused_seconds


def _returns(default: str, facts: Facts, rules: Rules) -> bool:
    evicted = facts.evicts.get(default, frozenset())
    if evicted is None or default in facts.blocked:
        return False
    if any(each.model == default for each in facts.layout):
        return False
    if facts.parted is not None and not evicted:
        model, seconds = facts.parted
        return model != default and seconds >= rules.default_after_seconds
    others = [each for each in facts.layout if each.model in evicted] or facts.layout
    return bool(others) and all(
        each.unused_seconds >= rules.default_after_seconds for each in others
    )
