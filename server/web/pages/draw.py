"""From a view to HTML: the one template environment, and the headers that every page carries.

Everything a template prints goes through `shown`: what could move the cursor, turn the direction
of the text or hide in it is made visible, and then HTML is escaped. Log lines, container names and
model names come from elsewhere.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Any, ClassVar, Protocol

from fastapi import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from server.base.redact import escape_controls, strip_ansi
from server.base.units import duration, size
from server.web.pages.assets import Assets

DASH = "–"
KEPT = 128
"""Drawn fragments that are kept: several browsers ask for the same one at the same moment."""

# No inline script or style: what a hostile name could inject would not run. Bars are drawn as SVG.
POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": POLICY,
    # Not no-referrer: that makes browsers send `Origin: null` with a form, which is nobody's.
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cross-origin-resource-policy": "same-origin",
}
DRAWN = "x-spark-fragment"
"""Marks HTML that was drawn here: the page swaps in nothing else, such as a proxy's error page."""


class View(Protocol):
    """A frozen dataclass; equal views draw the same HTML."""

    template: ClassVar[str]


class Pen:
    """Draws views. Owns the template environment."""

    def __init__(self, templates: Path, assets: Assets) -> None:
        self._assets = assets
        self._kept: OrderedDict[tuple[str, View], Markup] = OrderedDict()
        self._environment = Environment(
            loader=FileSystemLoader(templates),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=shown,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters |= {"size": size, "duration": duration, "dash": dash}
        self._environment.globals |= {"draw": self.draw, "asset": assets.url}

    def prepare(self) -> None:
        """Compile every template. Meant for a thread: on the loop the first page of each kind
        would stop every stream for as long as that takes."""
        for name in self._environment.list_templates():
            self._environment.get_template(name)

    def draw(self, view: View) -> Markup:
        """The HTML of one view. Kept by view and build of the assets: nothing else decides it. A
        view whose class says `kept = False` holds what a person said, and is not kept."""
        if not getattr(view, "kept", True):
            return self._rendered(view)
        key = (self._assets.build, view)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._rendered(view)
            self._kept[key] = kept
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return kept

    def _rendered(self, view: View) -> Markup:
        return Markup(  # noqa: S704 - autoescaped by the environment above
            self._environment.get_template(view.template).render(
                view=view, build=self._assets.build
            )
        )

    def page(self, view: View, status: int = 200) -> Response:
        return self._answer(view, status, {})

    def fragment(self, view: View, status: int = 200) -> Response:
        return self._answer(view, status, {DRAWN: view.template.removesuffix(".html")})

    def _answer(self, view: View, status: int, more: dict[str, str]) -> Response:
        return Response(
            str(self.draw(view)), status, HEADERS | more, media_type="text/html; charset=utf-8"
        )


def shown(value: Any) -> Any:
    """Text on its way into a template: no terminal sequences, no invisible letters."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return escape_controls(strip_ansi(value), keep="\n\t")
    return value


def dash(value: float | None, unit: str = "", digits: int = 0) -> str:
    """A figure, or a dash where there is none: unknown is never 0."""
    return DASH if value is None else f"{value:.{digits}f}{unit}"
