"""The overview: every fragment once, and the answer to the form that was sent last."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from server.web.pages.frame import Page
from server.web.pages.host import HostList
from server.web.pages.model import ModelList, ModelRow
from server.web.pages.notice import NoticeList
from server.web.pages.problem import ProblemList
from server.web.pages.service import ServiceList
from server.web.pages.serving import ServedList
from server.web.pages.swap import History, SwapCard

FEW = 8


@dataclass(frozen=True, slots=True)
class QuickModels:
    """The catalog as a list to press in. `near` can be started as it is; the `rest` is folded."""

    template: ClassVar[str] = "overview/models.html"

    list: ModelList
    near: tuple[ModelRow, ...]
    rest: tuple[ModelRow, ...]


def quick_models(models: ModelList, found: Collection[str]) -> QuickModels:
    """What is in use or lies on a host first, both in catalog order; `found` are sources. When
    nothing is known to lie there, the first few stand for all."""
    near = [one for one in models.models if one.state != "available" or one.source in found]
    near = near or list(models.models[:FEW])
    named = {one.id for one in near}
    rest = [one for one in models.models if one.id not in named]
    return QuickModels(models, tuple(near), tuple(rest))


@dataclass(frozen=True, slots=True)
class Dashboard(Page):
    template: ClassVar[str] = "dashboard.html"

    problems: ProblemList
    notices: NoticeList
    swap: SwapCard
    served: ServedList
    models: QuickModels
    history: History
    hosts: HostList
    services: ServiceList
