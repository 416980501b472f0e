"""The overview: every fragment once, and the answer to the form that was sent last."""

from dataclasses import dataclass
from typing import ClassVar

from server.web.pages.frame import Page
from server.web.pages.host import HostList
from server.web.pages.model import ModelList
from server.web.pages.notice import NoticeList
from server.web.pages.problem import ProblemList
from server.web.pages.service import ServiceList
from server.web.pages.serving import ServedList
from server.web.pages.swap import History, SwapCard


@dataclass(frozen=True, slots=True)
class QuickModels:
    """The catalog as a list to press in."""

    template: ClassVar[str] = "overview/models.html"

    list: ModelList


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
