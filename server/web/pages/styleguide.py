"""`/styleguide`: every component in every state, drawn by the same fragments as anywhere else.

The examples are views made here by the functions that make the real ones: empty, on their way,
fine, in trouble, out of date, with long names and with hostile ones. Owns the page and nothing that
is true: no example comes from the cluster, and none is live.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from types import MappingProxyType
from typing import ClassVar

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from server.base.errors import InvalidValue
from server.web.pages import examples, examples_models, examples_settings, examples_work
from server.web.pages.draw import View
from server.web.pages.form import FormView, fresh, outdated, refused
from server.web.pages.frame import Page
from server.web.pages.moment import Moment, moment
from server.web.pages.site import Site, draw_frame
from server.web.reply import PartsOf

_NAMED = re.compile(
    r'(?P<lead>\s(?:id|for|list|form|aria-labelledby|aria-describedby)=")(?P<names>[^"]+)"'
)
_LANDMARK = re.compile(
    r'(?P<lead><(?:section|aside|nav)\b[^>]*?|<div\b(?=[^>]*role="region")[^>]*?)'
    r'\saria-label(?:ledby)?="[^"]*"'
)
_POINTED = re.compile(r'(?P<lead>\s(?:href|hx-target|data-copy)="#)(?P<name>[\w-]+)"')
# A form that is sent from here leads back here; htmx is kept off by the page.
_ACTS = re.compile(r'\smethod="post"|(?P<lead>\s(?:form)?action=")[^"]*"')


@dataclass(frozen=True, slots=True)
class Drawn:
    state: str
    html: Markup


@dataclass(frozen=True, slots=True)
class Section:
    key: str
    title: str
    examples: tuple[Drawn, ...]


@dataclass(frozen=True, slots=True)
class Styleguide(Page):
    """`forms` are one form as opened, refused and out of date, on the first of the pages; `soon` a
    moment to write. `here` is which of `ROOMS` this is."""

    template: ClassVar[str] = "styleguide/page.html"

    sections: tuple[Section, ...]
    forms: tuple[tuple[str, FormView], ...]
    soon: Moment | None
    here: str

    @property
    def rooms(self) -> tuple[tuple[str, str], ...]:
        return tuple((place, room.label) for place, room in ROOMS.items())


@dataclass(frozen=True, slots=True)
class Room:
    """One page of examples: all on one would be slow to draw and to look over."""

    label: str
    title: str
    every: Callable[[datetime], Sequence[examples.Shown]]


ROOMS = MappingProxyType(
    {
        "/styleguide": Room("Common", "Styleguide", examples.every),
        "/styleguide/models": Room("Models", "Styleguide: models", examples_models.every),
        "/styleguide/work": Room(
            "Swaps, logs, services", "Styleguide: swaps and services", examples_work.every
        ),
        "/styleguide/settings": Room("Settings", "Styleguide: settings", examples_settings.every),
    }
)


def forms() -> tuple[tuple[str, FormView], ...]:
    good = {"name": "spark-3", "port": "22", "launcher": "docker", "notes": "", "on": "yes"}
    bad = {**good, "name": "spark 3", "port": "twenty-two", "on": ""}
    wrong = InvalidValue("port: use a whole number", param="port")
    whole = InvalidValue("The disk is full.", advice="Free some.")
    return (
        ("as opened", fresh(good, "1f2e3d")),
        ("a field is wrong", refused(bad, wrong)),
        (
            "the whole is wrong",
            refused(bad, whole),
        ),
        ("changed meanwhile", outdated(good, {**good, "port": "2222"}, "4c5b6a")),
    )


def apart(html: str, number: int) -> Markup:
    """Several of one fragment on one page: each has ids of its own, and no form acts. Pure."""

    def names(match: re.Match[str]) -> str:
        each = " ".join(f"{name}-{number}" for name in match["names"].split())
        return f'{match["lead"]}{each}"'

    places = (f"Example {number}{f', part {part}' if part > 1 else ''}" for part in count(1))
    text = _LANDMARK.sub(lambda match: f'{match["lead"]} aria-label="{next(places)}"', html)
    text = _NAMED.sub(names, text)
    text = _POINTED.sub(lambda match: f'{match["lead"]}{match["name"]}-{number}"', text)
    text = _ACTS.sub(lambda match: f'{match["lead"]}/styleguide"' if match["lead"] else "", text)
    return Markup(text)  # noqa: S704 - what the pen has drawn and escaped


def sections(
    draw: Callable[[View], Markup], shown: Sequence[examples.Shown]
) -> tuple[Section, ...]:
    number = 0
    made = []
    for one in shown:
        drawn = []
        for state, view in one.views:
            number += 1
            drawn.append(Drawn(state, apart(draw(view), number)))
        made.append(Section(one.key, one.title, tuple(drawn)))
    return tuple(made)


def add(router: APIRouter, site: Site) -> None:
    async def page(parts: PartsOf, request: Request) -> Response:
        now, here = parts.clock.now(), request.url.path
        room = ROOMS[here]
        frame = draw_frame(parts, site, room.title)
        made = sections(site.pen.draw, room.every(now))
        ago = moment(now - timedelta(minutes=4), now)
        return site.pen.page(Styleguide(frame, made, forms(), ago, here))

    for place in ROOMS:
        router.add_api_route(place, page, methods=["GET"], response_class=Response)
