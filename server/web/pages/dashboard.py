"""The whole page: every fragment once, and the answer to the form that was sent last."""

from dataclasses import dataclass
from typing import ClassVar

from server.web.pages.flash import Flash
from server.web.pages.host import HostList
from server.web.pages.model import ModelList
from server.web.pages.notice import NoticeList
from server.web.pages.service import ServiceList
from server.web.pages.swap import History, ServingNow, SwapCard


@dataclass(frozen=True, slots=True)
class Dashboard:
    """`now` is the server's time, by which the page counts ages."""

    template: ClassVar[str] = "dashboard.html"

    now: str
    version: str
    flash: Flash
    serving: ServingNow
    notices: NoticeList
    swap: SwapCard
    models: ModelList
    history: History
    hosts: HostList
    services: ServiceList
