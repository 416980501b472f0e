"""The routes of swaps: asking, following, cancelling, looking beforehand, the past. Thin."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, get_args
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParam

from server.base.errors import InvalidValue, ModelNotFound, SparkError
from server.catalog.model import Model
from server.launch.model import PlannedCommand
from server.swap.model import OnConflict, SwapRecord
from server.web.pages.answer import Act, answered, led, refused_page
from server.web.pages.draw import HEADERS
from server.web.pages.fields import fields
from server.web.pages.flash import QUIET, Flash, refusal
from server.web.pages.log import swap_log
from server.web.pages.serving import target
from server.web.pages.site import Site, draw_dashboard, draw_frame, draw_swap
from server.web.pages.swaps.detail import SwapDetail, SwapPage, swap_detail, title
from server.web.pages.swaps.past import (
    SHOWN,
    PastList,
    SwapsPage,
    outcomes,
    past_list,
    wanted,
)
from server.web.pages.swaps.plan import Plan, PlanPage, commands, plan
from server.web.pages.swaps.story import listed, placed, stops
from server.web.parts import Parts
from server.web.reply import PartsOf, RequesterOf

SwapId = Annotated[str, PathParam(max_length=100)]
Text = Annotated[str, Query(max_length=512)]


class SwapPages:
    """The routes over one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    # ---- looking

    async def every(
        self, parts: PartsOf, outcome: Text = "", model: Text = "", before: Text = ""
    ) -> Response:
        return await self._every(parts, QUIET, 200, outcome=outcome, model=model, before=before)

    async def past(
        self,
        parts: PartsOf,
        *,
        outcome: Text = "",
        model: Text = "",
        before: Text = "",
        build: str = "",
    ) -> Response:
        return self._site.built(
            self._site.pen.fragment(await _past(parts, outcome, model, before)), build
        )

    async def one(self, parts: PartsOf, swap_id: SwapId) -> Response:
        try:
            return await self._one(parts, swap_id)
        except SparkError as error:
            flash = replace(refusal(error), back="/swaps")
            return refused_page(parts, self._site, flash, error.status)

    async def detail(self, parts: PartsOf, swap_id: SwapId, build: str = "") -> Response:
        record = await parts.swaps.get(swap_id)
        return self._site.built(self._site.pen.fragment(_detail(parts, record)), build)

    async def log(self, parts: PartsOf, swap_id: SwapId) -> Response:
        """The whole kept log as a file."""
        record = await parts.swaps.get(swap_id)
        kept = await parts.swaps.log(record.id)
        text = "".join(
            f"{line.at.isoformat(timespec='milliseconds')} {'# ' if line.mark else ''}{line.text}\n"
            for line in kept.after(0)
        )
        named = {"content-disposition": f'attachment; filename="{record.id}.log"'}
        return Response(text, headers=HEADERS | named, media_type="text/plain; charset=utf-8")

    async def new(self, parts: PartsOf, model: Text = "") -> Response:
        return await self._new(parts, model, QUIET, 200)

    async def plan(self, parts: PartsOf, model: Text = "", build: str = "") -> Response:
        return self._site.built(
            self._site.pen.fragment(self._plan(parts, _model(parts, model))), build
        )

    # ---- asking

    async def check(self, request: Request, parts: PartsOf, who: RequesterOf) -> Response:
        """Looked at beside the page, which tells how it goes: nothing is touched."""
        given = await fields(request)
        name = given.get("model", "")[:512]

        async def act() -> Flash:
            model = _model(parts, name)
            parts.rehearsing.begin(model.id, requested_by=who)
            return QUIET  # the page itself says that it looks

        home = f"/swaps/new?model={quote(name, safe='')}"
        redraw = partial(self._new, parts, name)
        return await answered(request, parts, self._site, act, home=home, redraw=redraw)

    async def swap(self, request: Request, parts: PartsOf, who: RequesterOf) -> Response:
        """From a button anywhere: one press. A form may say that the swap's page comes next."""
        place = ""

        async def act() -> Flash:
            nonlocal place
            given = await fields(request)
            record = await _request(parts, given, who)
            if given.get("then") == "follow":
                place = f"/swaps/{quote(record.id, safe='')}"
            return _accepted(parts, record)

        answer = await self._from_anywhere(request, parts, act)
        return led(request, place) if place else answer

    async def unload(self, request: Request, parts: PartsOf, who: RequesterOf) -> Response:
        async def act() -> Flash:
            given = await fields(request)
            model = given.get("model") or None
            return _accepted(parts, await parts.swaps.unload(model, requested_by=who))

        return await self._from_anywhere(request, parts, act)

    async def _from_anywhere(self, request: Request, parts: Parts, act: Act) -> Response:
        async def overview(flash: Flash, status: int) -> Response:
            return self._site.pen.page(await draw_dashboard(parts, self._site, flash), status)

        return await answered(request, parts, self._site, act, anchor="swap", redraw=overview)

    async def cancel(
        self, request: Request, parts: PartsOf, who: RequesterOf, swap_id: SwapId
    ) -> Response:
        async def act() -> Flash:
            record = await parts.swaps.cancel(swap_id, requested_by=who)
            return Flash("info", f"Cancelling the swap to {target(record)}.")

        home = f"/swaps/{quote(swap_id, safe='')}"
        return await answered(request, parts, self._site, act, home=home)

    # ---- pages

    async def _every(
        self,
        parts: Parts,
        flash: Flash,
        status: int,
        *,
        outcome: str = "",
        model: str = "",
        before: str = "",
    ) -> Response:
        going = parts.swaps.current() is not None
        page = SwapsPage(
            frame=draw_frame(
                parts, self._site, "Swaps", nav="swaps", flash=flash, refresh=5 if going else 0
            ),
            card=await draw_swap(parts, self._site),
            past=await _past(parts, outcome, model, before),
            outcome=outcome,
            outcomes=outcomes(),
            model=model,
            models=tuple(parts.catalog.snapshot().models),
        )
        return self._site.pen.page(page, status)

    async def _one(self, parts: Parts, swap_id: str) -> Response:
        record = await parts.swaps.get(swap_id)
        kept = await parts.swaps.log(record.id)
        ended, name = record.state.final, target(record)
        refresh = 0 if ended else 5
        frame = draw_frame(parts, self._site, title(record), nav="swaps", refresh=refresh)
        log = swap_log(record.id, name, kept, ended=ended)
        return self._site.pen.page(SwapPage(frame, _detail(parts, record), log))

    async def _new(self, parts: Parts, name: str, flash: Flash, status: int) -> Response:
        catalog = parts.catalog.snapshot()
        found = catalog.find(name) if name else None
        drawn = self._plan(parts, found) if found else _nothing(name)
        heading = f"Swap to {found.id}" if found else "Swap"
        refresh = 3 if drawn.checking else 0
        page = PlanPage(
            frame=draw_frame(parts, self._site, heading, nav="swaps", flash=flash, refresh=refresh),
            plan=drawn,
            models=tuple((one.id, one.name) for one in catalog.models.values() if one.enabled),
            commands=commands(await _commands(parts, found) if found else ()),
        )
        return self._site.pen.page(page, status)

    def _plan(self, parts: Parts, model: Model) -> Plan:
        engine = parts.settings.current.engine
        clients: dict[str, list[str]] = {}
        for row in parts.activity.in_flight():
            if row.phase == "running":
                clients.setdefault(row.model, []).append(row.client)
        return plan(
            model,
            self._site.refusal(model),
            parts.rehearsals.now(model.id) if parts.rehearsals else None,
            layout=parts.swaps.layout(),
            current=parts.swaps.current(),
            queue=parts.swaps.queue(),
            clients=clients,
            now=parts.clock.now(),
            most=engine.max_models,
            patience=engine.drain_seconds,
        )


async def _past(parts: Parts, outcome: str, model: str, before: str) -> PastList:
    records = await parts.swaps.history(SHOWN + 1, wanted(outcome, model, before))
    known = [one.id for one in parts.catalog.snapshot().models.values() if one.enabled]
    return past_list(records, known, outcome, model, before, parts.clock.now())


def _detail(parts: Parts, record: SwapRecord) -> SwapDetail:
    queue = [one.id for one in parts.swaps.queue()]
    going = 1 if parts.swaps.current() is not None else 0
    ahead = queue.index(record.id) + going if record.id in queue else 0
    entry = parts.catalog.snapshot().models.get(record.model or "")
    return swap_detail(
        record,
        parts.swaps.layout(),
        ahead,
        parts.clock.now(),
        known=entry is not None and entry.enabled,
        most=parts.settings.current.engine.max_models,
    )


async def _commands(parts: Parts, model: Model) -> Sequence[PlannedCommand]:
    try:
        return await parts.swaps.command(model.id)
    except SparkError:  # the plan says why it cannot be started
        return ()


async def _request(parts: Parts, given: dict[str, str], who: str) -> SwapRecord:
    model = given.get("model", "")
    if not model or len(model) > 512:
        raise InvalidValue("model: choose one of the models", param="model")
    return await parts.swaps.request(
        model,
        on_conflict=_on_conflict(given.get("on_conflict", "queue")),
        force=given.get("force") == "yes",
        requested_by=who,
    )


def _model(parts: Parts, name: str) -> Model:
    found = parts.catalog.snapshot().find(name) if name else None
    if found is None:
        raise ModelNotFound(
            f"The catalog has no model {name[:100]!r}.", param="model", advice="Choose another one."
        )
    return found


def _nothing(name: str) -> Plan:
    """No model was chosen, or there is none of that name."""
    refused = f"The catalog has no model {name[:100]!r}." if name else ""
    return Plan(
        "", "", refused, serves=False, stops="", touches="", busy="", checking="", checked=None,
        trouble="", advice="", findings=(), blocked=False, barred=False, hosts="",
    )  # fmt: skip


def _accepted(parts: Parts, record: SwapRecord) -> Flash:
    """One press was enough, so it is said at once what it stops: there is time to cancel."""
    layout = parts.swaps.layout()
    if record.model is None:
        going = [one for one in layout if record.unloads in {None, one.model}]
        names = listed([placed(one.deployment) for one in going])
        return Flash("info", "Asked to unload the model.", f"It stops {names}." if names else "")
    if record.target is None or any(one.model == record.model for one in layout):
        return Flash("info", f"Asked for {target(record)}.")
    most = parts.settings.current.engine.max_models
    return Flash("info", f"Asked for {target(record)}.", stops(record.model, layout, most))


def _on_conflict(value: str) -> OnConflict:
    choices: tuple[OnConflict, ...] = get_args(OnConflict)
    found = next((one for one in choices if one == value), None)
    if found is None:
        raise InvalidValue(f"on_conflict: use {', '.join(choices)}", param="on_conflict")
    return found


def add(router: APIRouter, site: Site) -> None:
    """To be added before `/ui/{part}`, which takes what is left."""
    pages = SwapPages(site)
    for path, endpoint, method in (
        ("/swaps", pages.every, "GET"),
        ("/swaps/new", pages.new, "GET"),
        ("/swaps/{swap_id}", pages.one, "GET"),
        ("/ui/swaps/past", pages.past, "GET"),
        ("/ui/swaps/plan", pages.plan, "GET"),
        ("/ui/swaps/{swap_id}", pages.detail, "GET"),
        ("/ui/swaps/{swap_id}/log.txt", pages.log, "GET"),
        ("/ui/swaps", pages.swap, "POST"),
        ("/ui/swaps/check", pages.check, "POST"),
        ("/ui/swaps/{swap_id}/cancel", pages.cancel, "POST"),
        ("/ui/unload", pages.unload, "POST"),
    ):
        router.add_api_route(path, endpoint, methods=[method], response_class=Response)
