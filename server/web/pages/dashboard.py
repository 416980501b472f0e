"""The whole page: every fragment once, and the answer to the form that was sent last."""

from dataclasses import dataclass
from typing import ClassVar

from server.web.pages.frame import Page
from server.web.pages.host import HostList
from server.web.pages.model import ModelList
from server.web.pages.notice import NoticeList
from server.web.pages.service import ServiceList
from server.web.pages.serving import ServedList
from server.web.pages.swap import History, SwapCard


@dataclass(frozen=True, slots=True)
class Dashboard(Page):
    template: ClassVar[str] = "dashboard.html"

    served: ServedList
    notices: NoticeList
    swap: SwapCard
    models: ModelList
    history: History
    hosts: HostList
    services: ServiceList
