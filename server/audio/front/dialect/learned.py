"""What services turned out not to do, by their names, for a while. Pure: the time is an argument.

A service that is asked for something it does not do refuses, which costs a request. So a refusal is
remembered, and the same is not asked again for `SECONDS`; then it may have been updated. Owns those
facts. Refuses to know why: only what was refused counts.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from server.audio.front.dialect.traits import Traits

Fact = (
    Literal["no-verbose", "no-chunks", "no-stream"]
    | tuple[Literal["container", "format", "writes"], str]
)
"""`writes` is the one that is good: an answer was seen to be in this format."""
SECONDS = 3600.0
NAMES, FACTS = 500, 50
"""At most so many services, and so much of each."""


class Learned:
    """Facts by the name of a service, each until a moment (monotonic seconds)."""

    def __init__(self) -> None:
        self._until: dict[str, dict[Fact, float]] = {}

    def note(self, name: str, fact: Fact, now: float) -> None:
        if name not in self._until and len(self._until) >= NAMES:
            self._until.clear()
        facts = self._until.setdefault(name, {})
        if len(facts) < FACTS or fact in facts:
            facts[fact] = now + SECONDS

    def known(self, name: str, now: float) -> frozenset[Fact]:
        return frozenset(fact for fact, until in self._until.get(name, {}).items() if until > now)

    def applied(self, traits: Traits, names: Iterable[str], now: float) -> Traits:
        """`traits` less what one of these was seen not to do."""
        for name in names:
            for fact in self.known(name, now):
                traits = without(traits, fact)
        return traits


def without(traits: Traits, fact: Fact) -> Traits:
    if fact == "no-verbose":
        return replace(traits, verbose=False, formats=traits.formats & {"json", "text"})
    if fact == "no-chunks":
        return replace(traits, chunks=False)
    if fact == "no-stream":
        return replace(traits, streams=False)
    if fact[0] == "writes":
        return traits
    if fact[0] == "format":
        return replace(traits, formats=traits.formats - {fact[1]})
    return replace(traits, not_containers=traits.not_containers | {fact[1]})
