"""The swaps of the past, page by page: what was loaded, how it went, how long it took. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import ClassVar
from urllib.parse import urlencode

from server.swap.model import Past, State, SwapRecord
from server.web.pages.frame import Page
from server.web.pages.swap import PastSwap, SwapCard, past_swap

SHOWN = 25

OUTCOMES: Mapping[str, tuple[str, frozenset[State]]] = MappingProxyType(
    {
        "": ("Any", frozenset()),
        "serving": ("Loaded", frozenset({State.SERVING})),
        "rolled_back": ("Rolled back", frozenset({State.ROLLED_BACK})),
        "failed": ("Failed", frozenset({State.FAILED})),
        "cancelled": ("Cancelled", frozenset({State.CANCELLED})),
        "unloaded": ("Unloaded", frozenset({State.UNLOADED})),
    }
)
ENDS = frozenset(state for state in State if state.final)


@dataclass(frozen=True, slots=True)
class PastList:
    """`query` is the filter and place as they stand in an address. `older` and `newest` are
    addresses, empty where they lead nowhere. `live`: it is the newest page, which goes on."""

    template: ClassVar[str] = "swap/past.html"

    swaps: tuple[PastSwap, ...]
    query: str
    filtered: bool
    older: str
    newest: str
    live: bool


@dataclass(frozen=True, slots=True)
class SwapsPage(Page):
    template: ClassVar[str] = "swap/page.html"

    card: SwapCard
    past: PastList
    outcome: str
    outcomes: tuple[tuple[str, str], ...]
    model: str
    models: tuple[str, ...]


def wanted(outcome: str, model: str, before: str) -> Past:
    """An outcome that is none of ours is any."""
    states = OUTCOMES.get(outcome, OUTCOMES[""])[1]
    return Past(before, states or ENDS, model)


def past_list(  # noqa: PLR0917 - as in the address: what was found, then what was asked
    records: Sequence[SwapRecord],
    known: Sequence[str],
    outcome: str,
    model: str,
    before: str,
    now: datetime,
) -> PastList:
    """`records` are one more than are shown, where there are more. `known` models can be asked for
    again."""
    asked = {key: value for key, value in (("outcome", outcome), ("model", model)) if value}
    shown = records[:SHOWN]
    older = {**asked, "before": shown[-1].id} if len(records) > SHOWN else {}
    place = {**asked, "before": before} if before else asked
    return PastList(
        swaps=tuple(past_swap(one, known, now) for one in shown),
        query=urlencode(place),
        filtered=bool(asked),
        older=f"/swaps?{urlencode(older)}" if older else "",
        newest=f"/swaps{'?' if asked else ''}{urlencode(asked)}" if before else "",
        live=not before,
    )


def outcomes() -> tuple[tuple[str, str], ...]:
    return tuple((key, words) for key, (words, _) in OUTCOMES.items())
