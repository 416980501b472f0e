"""The routes of the first run. Thin: facts from memory, one pure decision, forms that are those of
the settings."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from server.base.clock import parse_iso
from server.base.errors import SparkError
from server.base.health import Health
from server.catalog.discovery import Found
from server.config.store import Stale
from server.web.pages.answer import from_htmx, led
from server.web.pages.fields import fields
from server.web.pages.flash import QUIET, Flash, said
from server.web.pages.form import VERSION
from server.web.pages.moment import moment
from server.web.pages.settings import host_routes, section_routes
from server.web.pages.settings import section as sections
from server.web.pages.settings.fields import FieldGroup
from server.web.pages.settings.host import HostForm, our_key
from server.web.pages.settings.host_saving import saved
from server.web.pages.settings.section import SectionForm
from server.web.pages.site import Site, draw_frame, draw_swap
from server.web.pages.welcome import view as pure
from server.web.pages.welcome.step import Facts, Step, next_step
from server.web.parts import Parts
from server.web.reply import PartsOf

HOME = "/welcome"
ENGINE_KEYS = ("launcher", "image", "model_roots", "hf_home", "port")
SHOWN = 12
StepName = Annotated[str, Query(max_length=20)]
Said = Annotated[str, Query(alias="said", max_length=20)]


class WelcomePages:
    """The routes over one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def page(self, parts: PartsOf, step: StepName = "", said_: Said = "") -> Response:
        return await self._drawn(parts, _step(step), flash=said(said_))

    async def next(self, parts: PartsOf, at: StepName = "", build: str = "") -> Response:
        card = _next(parts, self._site, _step(at))
        return self._built(self._site.pen.fragment(card), build)

    async def found(self, parts: PartsOf, build: str = "") -> Response:
        return self._built(self._site.pen.fragment(found_card(parts)), build)

    async def add(self, request: Request, parts: PartsOf) -> Response:
        given = await fields(request)
        form, status = await saved(parts, host_form(), given)
        if form is None:
            host = parts.settings.current.hosts[-1]
            parts.examining.begin(host)
            return led(request, HOME)
        if from_htmx(request):
            return self._site.pen.fragment(form, status)
        return await self._drawn(parts, None, host=form, status=status)

    async def engine(self, request: Request, parts: PartsOf) -> Response:
        given = await fields(request)
        try:
            wanted = sections.changes("engine", given)
            await parts.settings.save_section("engine", wanted, given.get(VERSION) or None)
        except SparkError as error:
            now = engine_form(parts)
            stale = isinstance(error, Stale)
            form = sections.stale(now, given) if stale else sections.refused(now, given, error)
            if from_htmx(request):
                return self._site.pen.fragment(form, error.status)
            return await self._drawn(parts, Step.ENGINE, engine=form, status=error.status)
        parts.discovery.rescan()
        return led(request, f"{HOME}?step=engine&said=saved")

    async def scan(self, request: Request, parts: PartsOf) -> Response:
        parts.discovery.rescan()
        if from_htmx(request):
            return self._site.pen.fragment(found_card(parts))
        return led(request, f"{HOME}?step=engine")

    async def _drawn(
        self,
        parts: Parts,
        wanted: Step | None,
        *,
        host: HostForm | None = None,
        engine: SectionForm | None = None,
        flash: Flash = QUIET,
        status: int = 200,
    ) -> Response:
        page = await welcome(parts, self._site, wanted, flash)
        page = replace(page, form=host or page.form, engine=engine or page.engine)
        return self._site.pen.page(page, status)

    def _built(self, answer: Response, build: str) -> Response:
        if build and build != self._site.assets.build:
            answer.headers["hx-refresh"] = "true"
        return answer


async def welcome(
    parts: Parts, site: Site, wanted: Step | None, flash: Flash = QUIET
) -> pure.WelcomePage:
    facts = facts_of(parts, site)
    settings = parts.settings.current
    now = next_step(facts)
    host = settings.host(facts.host)
    entry = None if host is None else host_routes.entry(parts, host)
    served = ", ".join(one.model for one in parts.swaps.layout())
    typing = now in {Step.HOST, Step.ENGINE} or wanted is Step.ENGINE
    return pure.WelcomePage(
        frame=draw_frame(
            parts, site, "Welcome", flash=flash, refresh=0 if typing or facts.served else 10
        ),
        steps=pure.steps(facts, pure.told(facts, entry, served), wanted),
        done=now is Step.DONE,
        next=_next(parts, site, wanted if wanted and host else now),
        host=entry,
        hosts=len(settings.hosts),
        ours=our_key(site.public_key),
        form=host_form(),
        doctor=None if host is None else host_routes.card(parts, host),
        engine=engine_form(parts),
        found=found_card(parts),
        choices=candidates(parts, site),
        swap=await draw_swap(parts, site),
        served=served,
        variable=parts.settings.variable("hosts") or "",
    )


def facts_of(parts: Parts, site: Site) -> Facts:
    settings = parts.settings.current
    statuses = {status.name: status for status in parts.fleet.statuses()}
    reached = [name for name, one in statuses.items() if one.verdict.health is Health.UP]
    name = pure.furthest([host.name for host in settings.hosts], reached)
    host = settings.host(name)
    if host is None:
        return Facts(served=bool(parts.swaps.layout()))
    examination = None if parts.examinations is None else parts.examinations.of(host)
    return Facts(
        host=name,
        key_changed=parts.hostkeys.refused(name) is not None,
        reached=name in reached,
        fit=pure.fit(statuses.get(name), examination),
        startable=len(_startable(parts, site)),
        found=len({(one.kind, one.ref) for one in _found(parts)}),
        served=bool(parts.swaps.layout()),
    )


def host_form() -> HostForm:
    """The first fields alone: what is about several hosts can wait."""
    form = host_routes.new_form()
    first = replace(form.fields, action="/ui/welcome/host", groups=form.fields.groups[:1])
    return replace(form, fields=first)


def engine_form(parts: Parts) -> SectionForm:
    """The few settings of the engine that a first model needs."""
    whole = section_routes.opened(parts, "engine")
    known = {field.name: field for group in whole.groups for field in group.fields}
    chosen = FieldGroup("", tuple(known[key] for key in ENGINE_KEYS))
    return replace(
        whole, action="/ui/welcome/engine", submit="Save and look for models", groups=(chosen,)
    )


def found_card(parts: Parts) -> pure.FoundCard:
    now = parts.clock.now()
    names = _names_by_ref(parts)
    by_ref: dict[str, list[str]] = {}
    for one in _found(parts):
        by_ref.setdefault(one.ref, []).append(one.host)
    models = tuple(
        pure.found_model(ref, hosts, names.get(ref, "")) for ref, hosts in sorted(by_ref.items())
    )
    scans = tuple(
        pure.Scan(
            str(scan["host"]),
            moment(parse_iso(scan["scanned_at"]), now) if scan.get("scanned_at") else None,
            str(scan.get("error") or ""),
        )
        for scan in parts.discovery.scans()
    )
    return pure.FoundCard(scans, models[:SHOWN], max(0, len(models) - SHOWN))


def candidates(parts: Parts, site: Site) -> tuple[pure.Candidate, ...]:
    """Those whose files lie on a host first."""
    here = {one.ref for one in _found(parts)}
    models = parts.catalog.snapshot().models
    listed = [
        pure.Candidate(
            key, models[key].name, models[key].source.ref, models[key].source.ref in here
        )
        for key in _startable(parts, site)
    ]
    return tuple(sorted(listed, key=lambda one: not one.here)[:SHOWN])


def _next(parts: Parts, site: Site, at: Step | None) -> pure.NextCard:
    facts = facts_of(parts, site)
    host = parts.settings.current.host(facts.host)
    looked = None if host is None or not parts.examinations else parts.examinations.of(host)
    looking = looked is not None and looked.running
    return pure.next_card(at or next_step(facts), facts, looking=looking)


def _startable(parts: Parts, site: Site) -> list[str]:
    if not parts.settings.current.hosts:
        return []
    models = parts.catalog.snapshot().models.values()
    return [model.id for model in models if model.enabled and site.refusal(model) is None]


def _found(parts: Parts) -> list[Found]:
    return [Found.from_dict(row) for row in parts.discovery.found()]


def _names_by_ref(parts: Parts) -> Mapping[str, str]:
    return {model.source.ref: model.id for model in parts.catalog.snapshot().models.values()}


def _step(name: str) -> Step | None:
    return Step(name) if name in {step.value for step in Step} else None


def add(router: APIRouter, site: Site) -> None:
    pages = WelcomePages(site)
    for path, endpoint, method in (
        (HOME, pages.page, "GET"),
        ("/ui/welcome/next", pages.next, "GET"),
        ("/ui/welcome/found", pages.found, "GET"),
        ("/ui/welcome/host", pages.add, "POST"),
        ("/ui/welcome/engine", pages.engine, "POST"),
        ("/ui/welcome/scan", pages.scan, "POST"),
    ):
        router.add_api_route(path, endpoint, methods=[method], response_class=Response)
