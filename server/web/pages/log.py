"""Lines of a log as a page shows them: what they say, how they look, and nothing that acts. Pure.

The page draws the newest lines, which is all there is without JavaScript; `log.js` then reads on
from `source`. A line is text in pieces, each with classes of a fixed list.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from server.base.ansi import LOOKS
from server.swap.log import LogLine, SwapLog

Follow = Literal["swap", "poll", "still"]
"""How it goes on: when the swap's events say so, when a person wants it asked again, or not."""

Pieces = tuple[tuple[str, str], ...]
DRAWN = 200


@dataclass(frozen=True, slots=True)
class Row:
    """`at` in UTC, for a machine, and its time of day; both empty where that is not known."""

    at: str
    clock: str
    pieces: Pieces
    mark: bool


@dataclass(frozen=True, slots=True)
class LogView:
    """`name` is of what it is the log, `more` how many older lines are kept and not drawn.
    `subject` is the id of the swap whose events tell of new lines. `quiet` is said when there are
    no lines. `ask` is the form that asks the host for them, where that is a person's to decide."""

    template: ClassVar[str] = "log/view.html"

    id: str
    title: str
    name: str
    rows: tuple[Row, ...]
    quiet: str
    follow: Follow = "still"
    source: str = ""
    subject: str = ""
    download: str = ""
    more: int = 0
    ask: str = ""
    asked: bool = False
    trouble: str = ""


def rows_of(lines: Sequence[LogLine]) -> tuple[Row, ...]:
    return tuple(
        Row(line.at.isoformat(), f"{line.at:%H:%M:%S}", pieces(line), line.mark) for line in lines
    )


def plain_rows(lines: Sequence[str]) -> tuple[Row, ...]:
    """Of a container: when a line was written is not told."""
    return tuple(Row("", "", ((line, ""),), mark=False) for line in lines)


def pieces(line: LogLine) -> Pieces:
    """The text cut at its spans; a look that is none of ours is no look."""
    found: list[tuple[str, str]] = []
    at = 0
    for begin, end, look in line.spans:
        if begin > at:
            found.append((line.text[at:begin], ""))
        found.append((line.text[begin:end], classes(look)))
        at = end
    if at < len(line.text) or not found:
        found.append((line.text[at:], ""))
    return tuple(found)


def classes(look: str) -> str:
    return " ".join(f"a-{word}" for word in look.split() if word in LOOKS)


def swap_log(swap_id: str, model: str, log: SwapLog, *, ended: bool) -> LogView:
    lines = log.after(0, DRAWN)
    return LogView(
        id="log",
        title="Log of the engine",
        name=f"the engine of {model}",
        rows=rows_of(lines),
        quiet="No line was kept of it." if ended else "The engine has not written anything yet.",
        follow="still" if ended else "swap",
        source=f"/api/v1/swaps/{swap_id}/logs",
        subject=swap_id,
        download=f"/ui/swaps/{swap_id}/log.txt",
        more=max(0, log.next - log.first - len(lines)),
    )
