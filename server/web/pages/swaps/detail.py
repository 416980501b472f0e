"""One swap, whole: what it does now, every step, every finding, how it ended, its log. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from server.swap.model import Serving, SwapRecord
from server.web.pages.frame import Page
from server.web.pages.log import LogView
from server.web.pages.serving import target
from server.web.pages.swap import Finding, Running, finding, running
from server.web.pages.swaps.story import ending, placed, stops

MODES = {
    "replace": "The old engine goes first, then the new one is loaded.",
    "beside": "It is loaded beside what is being served.",
    "overlap": "It is loaded first; the old engine goes when the new one has answered.",
}


@dataclass(frozen=True, slots=True)
class SwapDetail:
    """`place` is where it runs, in the queue when it waits. `fine` are the findings without
    trouble. `again` is what asking for it once more would stop; empty where that is not offered."""

    template: ClassVar[str] = "swap/detail.html"

    swap: Running
    place: str
    mode: str
    stopping: str
    ending: tuple[str, ...]
    fine: tuple[Finding, ...]
    serving: str | None
    again: str


@dataclass(frozen=True, slots=True)
class SwapPage(Page):
    template: ClassVar[str] = "swap/one.html"

    detail: SwapDetail
    log: LogView


def swap_detail(
    record: SwapRecord,
    layout: Sequence[Serving],
    ahead: int,
    now: datetime,
    *,
    known: bool,
    most: int,
) -> SwapDetail:
    """`ahead` is how many swaps come before it; `known` whether its model can be asked for."""
    shown = running(record, now)
    hosts = [node.host for node in record.target.nodes] if record.target else []
    waits = record.state.value == "queued"
    place = f"{ahead} before it in the queue" if waits and ahead else ", ".join(hosts)
    going = ", ".join(placed(one) for one in record.evicted)
    offered = record.state.final and known and record.model is not None
    return SwapDetail(
        swap=shown,
        place=place,
        mode=MODES[record.mode] if record.target and record.findings else "",
        stopping=going,
        ending=ending(record),
        fine=tuple(
            finding(one) for one in record.findings if one.get("severity") in {"ok", "info"}
        ),
        serving=", ".join(serving.model for serving in layout) or None,
        again=stops(record.model, layout, most) if offered and record.model else "",
    )


def title(record: SwapRecord) -> str:
    return "Unload" if record.model is None else f"Swap to {target(record)}"
