"""What every page has around it: name, navigation, what is served now, the answer to a form. Pure.

A page is a frozen dataclass that derives from `Page`, so that its first field is `frame`; its
template extends `frame.html` and fills the block `main` (and, where wanted, `actions` beside the
heading and `scripts`). To add one: write the view beside a pure function that makes it, write the
template, add a routes module with `add(router, site)` whose GET answers
`site.pen.page(ModelPage(frame=draw_frame(parts, site, "Models", nav="models"), …))`, and call that
`add` in `routes.py` before `/ui/{part}`. Where the page stands in the navigation is the key of an
entry of `NAV`. Forms are answered by `answer.answered`, fields are kept by `form.FormView`.
Refuses to know of requests: `answer.py` and the routes do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from server.web.pages.flash import Flash
from server.web.pages.serving import ServingNow


@dataclass(frozen=True, slots=True)
class Entry:
    """`icon` is a name of `static/src/icons.txt`."""

    key: str
    label: str
    href: str
    icon: str


NAV: Sequence[Entry] = (
    Entry("overview", "Overview", "/", "layout-dashboard"),
    Entry("models", "Models", "/models", "boxes"),
    Entry("swaps", "Swaps", "/swaps", "arrow-left-right"),
    Entry("services", "Services", "/services", "plug"),
    Entry("try", "Try it", "/try", "message-square"),
    Entry("activity", "Activity", "/activity", "activity"),
    Entry("settings", "Settings", "/settings", "settings"),
)


@dataclass(frozen=True, slots=True)
class Frame:
    """`title` is the page's own name, `nav` the key of its entry (empty for none). `now` is the
    server's time, by which the page counts ages. `refresh` is after how many seconds a page
    without JavaScript loads itself anew: 0, never, wherever somebody may be typing."""

    title: str
    nav: str
    now: str
    version: str
    flash: Flash
    serving: ServingNow
    refresh: int = 0

    @property
    def entries(self) -> Sequence[Entry]:
        return NAV


@dataclass(frozen=True, slots=True)
class Page:
    """Base of every page's view. Not kept by the pen: it holds the time."""

    template: ClassVar[str] = "frame.html"
    kept: ClassVar[bool] = False

    frame: Frame
