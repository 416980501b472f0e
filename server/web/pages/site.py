"""What the pages stand on beside the parts of the API, and the views made from memory."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fastapi import Response

from server import __version__
from server.base.clock import iso
from server.base.errors import NotFound
from server.config.model import Host
from server.fleet.model import HostStatus
from server.ssh.model import Refusal
from server.swap.model import SwapRecord
from server.web.api.views import waiting
from server.web.fitting import stored
from server.web.pages.assets import Assets
from server.web.pages.dashboard import Dashboard, QuickModels, quick_models
from server.web.pages.draw import Pen, View
from server.web.pages.flash import QUIET, Flash
from server.web.pages.frame import Frame
from server.web.pages.host import HostCard, HostList, host_card, host_list, unseen
from server.web.pages.model import Refusal as CannotStart
from server.web.pages.model import model_list
from server.web.pages.notice import NoticeBoard, NoticeList, notice_list
from server.web.pages.problem import ProblemList, problem_list
from server.web.pages.service import Load, ServiceList, service_list
from server.web.pages.serving import MINUTE, ServedList, ServingNow, served_list, serving_now
from server.web.pages.swap import History, SwapCard, history, swap_card
from server.web.parts import Parts

PAST = 8


@dataclass(frozen=True, slots=True)
class Site:
    """`refusal` says why a model could not be started with the settings of this moment."""

    pen: Pen
    assets: Assets
    notices: NoticeBoard
    public_key: str
    refusal: CannotStart

    def built(self, answer: Response, build: str) -> Response:
        """A page of another build is told to load anew: its scripts and styles are not these."""
        if build and build != self.assets.build:
            answer.headers["hx-refresh"] = "true"
        return answer


def draw_frame(
    parts: Parts, site: Site, title: str, *, nav: str = "", flash: Flash = QUIET, refresh: int = 0
) -> Frame:
    """What stands around a page. Takes a new build of the assets when there is one."""
    site.assets.refresh()
    return Frame(
        title=title,
        nav=nav,
        now=iso(parts.clock.now()) or "",
        version=__version__,
        flash=flash,
        serving=_serving(parts),
        refresh=refresh,
    )


def _serving(parts: Parts) -> ServingNow:
    names = {model.id: model.name for model in parts.catalog.snapshot().models.values()}
    return serving_now(parts.swaps.layout(), parts.swaps.current(), names, parts.clock.now())


async def draw_serving(parts: Parts, site: Site) -> ServingNow:
    return _serving(parts)


async def draw_served(parts: Parts, site: Site) -> ServedList:
    return served_list(_serving(parts), parts.activity.recent(MINUTE))


async def draw_swap(parts: Parts, site: Site) -> SwapCard:
    current, queue = parts.swaps.current(), parts.swaps.queue()
    last: SwapRecord | None = None
    if current is None and not queue:
        ended = await parts.swaps.history(1)
        last = ended[0] if ended else None
    most = parts.settings.current.engine.max_models
    return swap_card(current, queue, last, parts.swaps.layout(), parts.clock.now(), most=most)


async def draw_models(parts: Parts, site: Site) -> QuickModels:
    catalog = parts.catalog.snapshot()
    hosts = len(parts.settings.current.hosts)
    swaps = waiting(parts)
    layout = parts.swaps.layout()
    models = model_list(catalog, layout, swaps, site.refusal, hosts=hosts)
    return quick_models(models, {stored(row)[0] for row in parts.discovery.found()})


async def draw_history(parts: Parts, site: Site) -> History:
    return history(await parts.swaps.history(PAST), parts.clock.now())


async def draw_hosts(parts: Parts, site: Site) -> HostList:
    settings = parts.settings.current
    statuses = {status.name: status for status in parts.fleet.statuses()}
    return host_list(
        settings.hosts,
        statuses,
        _refused(parts),
        {name: parts.fleet.trend(name) for name in statuses},
        now=parts.clock.now(),
        stale_seconds=settings.fleet.stale_seconds,
        public_key=site.public_key,
    )


def draw_host(parts: Parts, host: Host, *, lean: bool = True) -> HostCard:
    """One host. Costs the same however many there are."""
    return host_card(
        host,
        _status(parts, host.name),
        parts.hostkeys.refused(host.name),
        parts.clock.now(),
        parts.settings.current.fleet.stale_seconds,
        lean=lean,
    )


def _status(parts: Parts, name: str) -> HostStatus:
    try:
        return parts.fleet.status(name)
    except NotFound:
        return unseen(name)  # in the settings since a moment ago


async def draw_problems(parts: Parts, site: Site) -> ProblemList:
    hosts = [draw_host(parts, host) for host in parts.settings.current.hosts]
    services = (await draw_services(parts, site)).services
    return problem_list(hosts, services, _serving(parts).models)


def _refused(parts: Parts) -> dict[str, Refusal]:
    found = {host.name: parts.hostkeys.refused(host.name) for host in parts.settings.current.hosts}
    return {name: one for name, one in found.items() if one is not None}


async def draw_services(parts: Parts, site: Site) -> ServiceList:
    settings = parts.settings.current
    acts = {one.service: one for one in (parts.acts.running() if parts.acts else ())}
    return service_list(
        settings.services,
        {status.name: status for status in parts.fleet.services()},
        parts.clock.now(),
        Load(parts.admission(), acts),
        settings.links,
    )


async def draw_notices(parts: Parts, site: Site) -> NoticeList:
    return notice_list(parts.settings.problems, site.notices.newest(), parts.clock.now())


FRAGMENTS: Mapping[str, Callable[[Parts, Site], Awaitable[View]]] = MappingProxyType(
    {
        "serving": draw_serving,
        "served": draw_served,
        "problems": draw_problems,
        "notices": draw_notices,
        "swap": draw_swap,
        "quick": draw_models,
        "history": draw_history,
        "hosts": draw_hosts,
        "services": draw_services,
    }
)
"""What a page fetches again when an event says so."""


async def draw_dashboard(parts: Parts, site: Site, flash: Flash) -> Dashboard:
    return Dashboard(
        frame=draw_frame(parts, site, "Overview", nav="overview", flash=flash, refresh=10),
        served=await draw_served(parts, site),
        problems=await draw_problems(parts, site),
        notices=await draw_notices(parts, site),
        swap=await draw_swap(parts, site),
        models=await draw_models(parts, site),
        history=await draw_history(parts, site),
        hosts=await draw_hosts(parts, site),
        services=await draw_services(parts, site),
    )
