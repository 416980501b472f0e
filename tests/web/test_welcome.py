"""The first run: which step is next follows from facts alone, and each can be taken up."""

from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path

import pytest

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.base.errors import HostKeyChanged
from server.base.finding import Finding, Severity
from server.base.health import Verdict
from server.config.model import Host
from server.fleet.examination import Examination
from server.fleet.model import HostStatus
from server.ssh.hostkeys import fingerprint
from server.ssh.model import Target
from server.web.pages.notice import NoticeBoard
from server.web.pages.routes import make_site, routes
from server.web.pages.welcome.step import ORDER, Facts, Step, next_step, way
from server.web.pages.welcome.view import fit, furthest
from tests.gateway.made import serving
from tests.swap.made import T0
from tests.web.forms import form_of, words_of
from tests.web.made import OFFERED, Web, web
from tests.web.test_hosts import sample

ROOT = Path(__file__).resolve().parents[2]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 spark-control"


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[Web]:
    """Nothing configured yet."""
    board = NoticeBoard(EventBus(), SystemClock())
    site = make_site(
        ROOT / "templates", tmp_path / "dist", notices=board, public_key=KEY, refusal=lambda _: None
    )
    async with web(tmp_path, config="", pages=[routes(site)]) as made:
        yield made


async def looked(pages: Web) -> None:
    """The doctor has looked at every host."""
    for host in pages.parts.settings.current.hosts:
        await pages.parts.examining.examine(host)


# ---- the decision


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        (Facts(), Step.HOST),
        (Facts("a"), Step.DOCTOR),
        (Facts("a", key_changed=True, reached=True, fit=True), Step.HOST_KEY),
        (Facts("a", reached=True), Step.DOCTOR),
        (Facts("a", reached=True, fit=True), Step.ENGINE),
        (Facts("a", reached=True, fit=True, startable=1), Step.ENGINE),
        (Facts("a", reached=True, fit=True, found=3), Step.ENGINE),
        (Facts("a", reached=True, fit=True, startable=1, found=1), Step.MODEL),
        (Facts("a", served=True), Step.DONE),
    ],
)
def test_the_next_step_follows_from_the_facts(facts: Facts, step: Step) -> None:
    """In the order in which they build on each other; what is served settles everything."""
    assert next_step(facts) is step


def test_one_step_is_open_and_every_step_has_a_state() -> None:
    """Whatever the facts are and whichever step is asked for; our key stands beside the form."""
    flags = product((False, True), repeat=4)
    for host, wanted in product(("", "a"), (None, *Step)):
        for changed, reached, good, served in flags:
            facts = Facts(host, changed, reached, good, int(good), int(good), served)
            shown = way(facts, wanted)
            assert [step for step, _ in shown] == list(ORDER)
            opened = {step for step, state in shown if state == "now"}
            meant = wanted if host and wanted else next_step(facts)
            assert opened - {Step.KEY} == {meant} - {Step.DONE, Step.KEY}
            assert (Step.KEY in opened) == (not host or meant is Step.KEY)


def test_what_an_engine_needs_decides_and_not_every_finding() -> None:
    """A warning can wait; without a look the samples tell; unknown counts as not yet."""
    host = Host(name="a", address="x")
    up = HostStatus("a", Verdict.up(), sample("a"), T0)
    fine = Finding("ssh", Severity.OK, "It answers.")
    full = Finding("disk", Severity.ERROR, "Only 1 GiB.")
    bare = Finding("docker", Severity.ERROR, "docker is not installed.")
    assert fit(up, Examination(host, T0, T0, (fine, full)))
    assert not fit(up, Examination(host, T0, T0, (fine, bare)))
    assert not fit(up, Examination(host, T0, None, (fine,)))
    assert not fit(up, None)  # its sample says that docker is missing
    assert not fit(HostStatus("a", Verdict.unknown("x")), Examination(host, T0, T0, (fine,)))
    assert not fit(None, None)


def test_the_host_that_answers_is_the_one_it_is_about() -> None:
    """Else the first one."""
    assert furthest(["a", "b"], ["b"]) == "b"
    assert furthest(["a", "b"], []) == "a"
    assert furthest([], []) == ""


# ---- the page


async def test_without_hosts_the_first_run_begins(empty: Web) -> None:
    """The overview leads there; our key and the form stand ready."""
    led = await empty.client.get("/")
    assert (led.status_code, led.headers["location"]) == (303, "/welcome")
    page = await empty.client.get("/welcome")
    assert KEY in words_of(page.text)
    assert form_of(page.text, "/ui/welcome/host")["user"] == "ubuntu"


async def test_each_step_is_taken_up_where_the_facts_are(empty: Web) -> None:
    """Host, key, doctor, engine, model, done: without JavaScript and without a stored step."""
    action = "/ui/welcome/host"
    given = form_of((await empty.client.get("/welcome")).text, action)
    given |= {"name": "spark-1", "address": "192.0.2.11"}
    asked = await empty.client.post(action, data=given)
    assert fingerprint(OFFERED["192.0.2.11"]) in words_of(asked.text)
    trusted = form_of(asked.text, action) | {"trust": "yes"}
    added = await empty.client.post(action, data=trusted)
    assert (added.status_code, added.headers["location"]) == (303, "/welcome")
    await looked(empty)
    page = words_of((await empty.client.get("/welcome")).text)
    assert "spark-1 is not known to be reached" in page
    empty.fleet.hosts["spark-1"] = HostStatus("spark-1", Verdict.up(), sample("spark-1"), T0)
    engine = "/ui/welcome/engine"
    empty.discovery.models = ()
    page = await empty.client.get("/welcome")
    assert "No model has been found" in words_of(page.text)
    saved = await empty.client.post(
        engine, data=form_of(page.text, engine) | {"model_roots": "/srv/models"}
    )
    assert saved.headers["location"] == "/welcome?step=engine&said=saved"
    assert empty.discovery.rescans == 1
    wrong = await empty.client.post(engine, data=form_of(page.text, engine) | {"port": "x"})
    assert wrong.status_code in {409, 422}
    empty.discovery.models = ({"host": "spark-1", "source": {"hf": "Acme/Tiny"}, "bytes": 1},)
    page = await empty.client.get("/welcome")
    assert "Tiny Acme/Tiny" in words_of(page.text)
    assert form_of(page.text, "/ui/swaps")["model"] in {"tiny", "large"}
    empty.swaps.served = serving("tiny")
    assert "tiny is being served" in words_of((await empty.client.get("/welcome")).text)


async def test_a_changed_key_is_a_step_of_its_own(empty: Web) -> None:
    """Both fingerprints, and the press that replaces."""
    await empty.parts.settings.add_host(Host(name="spark-1", address="192.0.2.11"))
    at = Target("spark-1", "192.0.2.11", 22, "ubuntu")
    empty.parts.hostkeys.pin(at, OFFERED["192.0.2.11"])
    with pytest.raises(HostKeyChanged):
        empty.parts.hostkeys.check(at, OFFERED["192.0.2.12"])  # type: ignore[attr-defined]
    page = await empty.client.get("/welcome")
    assert fingerprint(OFFERED["192.0.2.12"]) in words_of(page.text)
    assert "/ui/settings/hosts/spark-1/accept-key" in page.text


async def test_the_page_is_told_when_the_next_step_may_be_taken(empty: Web) -> None:
    """A small fragment says so: what somebody types is left alone."""
    await empty.parts.settings.add_host(Host(name="spark-1", address="192.0.2.11"))
    waits = await empty.client.get("/ui/welcome/next?at=doctor")
    assert "It does not answer yet" in words_of(waits.text)
    empty.fleet.hosts["spark-1"] = HostStatus("spark-1", Verdict.up(), sample("spark-1"), T0)
    empty.parts.examining.begin(empty.parts.settings.current.hosts[0])
    await looked(empty)
    goes = await empty.client.get("/ui/welcome/next?at=doctor")
    assert "Go on: Load the first model" in words_of(goes.text)


async def test_what_lies_on_a_host_is_text(empty: Web) -> None:
    """A directory may be called anything."""
    await empty.parts.settings.add_host(Host(name="spark-1", address="192.0.2.11"))
    hostile = "/srv/<script>alert(1)</script>\x1b[31m"
    empty.discovery.models = ({"host": "spark-1", "source": {"path": hostile}, "bytes": 1},)
    for path in ("/welcome?step=engine", "/ui/welcome/found"):
        page = (await empty.client.get(path)).text
        assert "<script>alert" not in page
        assert "\x1b" not in page
        assert "&lt;script&gt;alert(1)" in page
