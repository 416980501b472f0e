"""The page of a service: what is known is said, what is not is unknown, acts name what they end."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from server.base.health import Verdict
from server.config.model import Link, Service
from server.fleet.acts import Act
from server.fleet.model import Container, HostStatus, ServiceStatus
from server.gateway.activity import Row
from server.web.pages.service import links_out, service_row
from server.web.pages.services.detail import (
    ServiceDetail,
    facts,
    offers,
    service_detail,
    service_log,
    times,
    uptime,
    version,
)
from tests.swap.made import T0, at
from tests.web.test_pages import Web, board, pages, sample  # noqa: F401 - fixtures

SERVICE = Service(name="kokoro", kind="tts", host="spark-2", port=8880, container="kokoro-tts")
UP = Container("c1", "kokoro-tts", "registry:5000/kokoro:v1.2", "running", "Up 3 hours (healthy)")


def host(*containers: Container, verdict: Verdict | None = None) -> HostStatus:
    last = sample(host="spark-2", containers=containers)
    return HostStatus("spark-2", verdict or Verdict.up(), last, T0)


def row(**given: Any) -> Row:
    known: dict[str, Any] = dict.fromkeys(Row.__slots__) | {
        "id": "r", "at": T0, "phase": "ended", "client": "ann", "model": "kokoro", "status": 200,
        "error": "", "cached": False, "waited": 0.0, "total": 1.0, "bytes_in": 1, "bytes_out": 1,
        "attempts": 1, "upstream": "kokoro", "address": "192.0.2.9", "route": "/v1/audio/speech",
    }  # fmt: skip
    return Row(**(known | given))


def test_a_running_container_says_image_version_and_uptime() -> None:
    """As docker on the host tells them."""
    known = facts(SERVICE, host(UP))
    assert (known.state, known.image) == ("running", "registry:5000/kokoro:v1.2")
    assert (known.version, known.uptime, known.why) == ("v1.2", "3 hours", "")


@pytest.mark.parametrize(
    "status",
    [
        None,
        HostStatus("spark-2", Verdict.unknown("no sample yet")),
        host(UP, verdict=Verdict.unknown("ssh timed out")),
        HostStatus("spark-2", Verdict.up(), sample(host="spark-2", docker_problem="no docker"), T0),
    ],
)
def test_what_a_host_does_not_tell_now_is_unknown(status: HostStatus | None) -> None:
    """Never what it was an hour ago, and why is said."""
    known = facts(SERVICE, status)
    assert {known.state, known.image, known.version, known.uptime} == {"unknown"}
    assert known.why


def test_no_such_container_is_not_unknown() -> None:
    assert facts(SERVICE, host()).state == "there is none"
    assert facts(SERVICE.model_copy(update={"container": None}), host()).container == "none"


@pytest.mark.parametrize(
    ("image", "labels", "said"),
    [
        ("kokoro:latest", (), "unknown"),
        ("kokoro", (), "unknown"),
        ("registry:5000/kokoro", (), "unknown"),
        ("a/b:2.1@sha256:abc", (), "2.1"),
        ("a/b@sha256:abc", (), "unknown"),
        ("a/b:1", (("org.opencontainers.image.version", "9.9"),), "9.9"),
    ],
)
def test_a_version_is_the_labels_or_the_tags(
    image: str, labels: tuple[tuple[str, str], ...], said: str
) -> None:
    """`latest` says nothing."""
    assert version(replace(UP, image=image, labels=labels)) == said


def test_uptime_is_only_of_what_runs() -> None:
    assert uptime(replace(UP, state="exited", status="Exited (1) 2 hours ago")) == "not running"
    assert uptime(replace(UP, state="restarting", status="Restarting")) == "unknown"


def test_times_are_of_answers_that_were_good_and_real() -> None:
    """Without the wait in our queue, which is not the service's."""
    assert times([]) == ""
    assert times([row(status=500), row(cached=True), row(error="cut_off")]) == ""
    took = [row(total=float(n) + 5, waited=5.0) for n in range(1, 101)]
    assert times(took) == "50 s in the middle, 95 % within 1 min 35 s; last 100 answers"
    assert times([row(total=0.25)]) == "250 ms in the middle, 95 % within 250 ms; last 1 answer"


def test_an_act_names_the_container_and_the_requests_it_ends() -> None:
    """What runs can be stopped, what is stopped can be started."""
    restart, stop = offers(SERVICE, ["ann", "bob", "ann"], "running")
    assert "the container kokoro-tts on spark-2" in restart.question
    assert "3 requests are under way, of ann and bob: they fail." in stop.question
    assert [one.verb for one in offers(SERVICE, [], "exited")] == ["start"]
    assert [one.verb for one in offers(SERVICE, [], "unknown")] == ["restart", "stop", "start"]
    assert offers(SERVICE.model_copy(update={"container": None}), [], "unknown") == ()


def test_while_it_is_told_one_thing_nothing_else_is_offered() -> None:
    """And how the last one failed stays in sight."""
    act = Act("kokoro", "restart", "spark-2", "kokoro-tts", "ann", T0)
    shown = service_row(SERVICE, ServiceStatus("kokoro", Verdict.up(), since=T0), at(3))

    def drawn(one: Act) -> ServiceDetail:
        return service_detail(
            SERVICE, shown, host(UP), under_way=(), ended=(row(),), act=one, now=at(3)
        )

    running = drawn(act)
    assert running.told is not None
    assert (running.offers, running.told.running) == ((), True)
    failed = drawn(replace(act, ended_at=at(1), error="no docker", advice="look"))
    assert failed.told is not None
    assert failed.told.words == "It could not be told to restart"
    assert len(failed.offers) == 2


def test_the_log_is_asked_for_by_a_person() -> None:
    """A page that is opened reads nothing; nothing written is not nothing asked."""
    assert service_log(SERVICE).quiet == "Nobody has asked for it yet."
    assert service_log(SERVICE, ()).quiet == "The container has not written anything."
    assert service_log(SERVICE.model_copy(update={"container": None})).ask == ""


def test_a_link_says_where_it_leads() -> None:
    """A name can say anything."""
    (link,) = links_out([Link(name="Open WebUI", url="http://spark-2:3000/x")])
    assert (link.place, link.url) == ("spark-2:3000", "http://spark-2:3000/x")


async def test_the_pages_are_drawn_and_a_get_asks_no_host(pages: Web) -> None:  # noqa: F811
    """Health with reason and since; one that is not there answers with a page."""
    now = pages.parts.clock.now()
    down = Verdict.down("it answers 500")
    since = now - timedelta(minutes=5)
    pages.fleet.probes = (ServiceStatus("parakeet", down, now, None, "", since),)
    text = (await pages.client.get("/services/parakeet")).text
    assert "it answers 500" in text
    assert "5 min ago" in text
    assert "Nobody has asked for it yet." in text
    assert (await pages.client.get("/services")).status_code == 200
    assert pages.logs.asked == []
    missing = await pages.client.get("/services/none")
    assert missing.status_code == 404
    assert "There is no service" in missing.text


async def test_a_service_is_told_by_a_form_and_its_log_read(pages: Web) -> None:  # noqa: F811
    """A plain browser is led back; the lines are in the page."""
    told = await pages.client.post("/ui/services/parakeet/restart")
    assert (told.status_code, told.headers["location"]) == (303, "/services/parakeet")
    text = (await pages.client.get("/services/parakeet")).text
    assert "Being told to restart" in text
    assert (await pages.client.post("/ui/services/parakeet/explode")).status_code == 422
    refused = await pages.client.post("/ui/services/kokoro/stop")
    assert refused.status_code == 409
    assert "has no container" in refused.text
    read = await pages.client.post("/ui/services/parakeet/log")
    assert "<!doctype html>" in read.text
    assert ">one</span>" in read.text
    piece = await pages.client.post("/ui/services/parakeet/log", headers={"HX-Request": "true"})
    assert "<!doctype" not in piece.text
    assert piece.headers["x-spark-fragment"] == "log/view"
    assert pages.logs.asked == [("spark-2", "parakeet-asr", 300, "audio")] * 2
