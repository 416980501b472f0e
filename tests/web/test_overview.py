"""The overview's own views: problems, curves, what a model is doing; and that a sample of one host
costs the same however many look at it."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from server.base.health import Verdict
from server.fleet.model import Disk, Gpu, GpuProcess, HostStatus, Memory
from server.fleet.trend import NOTHING, POINTS, STEP, Curves, Trend
from server.gateway.activity import Activity
from server.gateway.model import Passage, Used
from server.web.api.views import target
from server.web.pages.curve import CHARTS, SMALL, curve_card, halved, path, written
from server.web.pages.examples import every
from server.web.pages.host import memory_bar
from server.web.pages.problem import problem_list
from server.web.pages.serving import Load, load
from tests.fleet.test_trend import sample as sampled
from tests.gateway.made import serving
from tests.web.made import Web
from tests.web.test_pages import GIB, board, pages, sample, see, text  # noqa: F401

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
GPU, MEMORY = SMALL[0], SMALL[1]


# ---- curves


def curves(*gpu: float | None) -> Curves:
    return replace(NOTHING, channels=(("gpu", gpu),))


def test_a_curve_is_broken_where_nothing_is_known() -> None:
    """And one place alone is a dot."""
    drawn = path([10.0, None, 20.0, 30.0], 100.0)
    assert drawn.count("M") == 2
    assert drawn.count("L") == 1
    assert path([None, None], 100.0) == ""


def test_the_newest_is_at_the_right_edge() -> None:
    """Soon after a start the little that is known does not fill the whole."""
    assert path([1.0, 2.0], 2.0).startswith("M213 ")
    assert "L240 " in path([1.0, 2.0], 2.0)
    assert path([1.0] * 120, 2.0).startswith("M0 ")


def test_neighbours_share_a_place() -> None:
    """Unknown beside known is known."""
    assert halved([1.0, 3.0, None, 5.0, None, None, 7.0]) == [2.0, 5.0, None, 7.0]


def test_a_card_says_in_words_what_it_draws() -> None:
    """For those who cannot see it; nothing known is not zero."""
    card = curve_card(GPU, curves(10.0, 90.0, 41.2), None)
    assert card.words == "GPU in the last hour: at most 90 %, last 41 %."
    assert card.top == 100.0
    assert curve_card(GPU, NOTHING, None).words == "GPU: nothing is known of the last hour."
    assert curve_card(GPU, curves(5.0, None), None).now == "–"


def test_scales_are_honest() -> None:
    """Percent to a hundred, memory to all of it, the rest to what was seen but not magnified."""
    by_key = {chart.key: chart for chart in CHARTS}
    assert curve_card(MEMORY, NOTHING, 128 * GIB).top == 128 * GIB
    assert curve_card(by_key["load"], NOTHING, None).top == 1.0
    idle = replace(NOTHING, channels=(("power", (4.0,)),))
    assert curve_card(by_key["power"], idle, None).top == 20.0


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (None, "W", "–"),
        (0.0, "W", "0 W"),
        (4.25, "W", "4.2 W"),
        (41.6, "%", "42 %"),
        (float(GIB), "B", "1.0 GiB"),
        (2048.0, "B/s", "2.0 KiB/s"),
        (1.25, "", "1.2"),
    ],
)
def test_figures_are_written_with_their_units(value: float | None, unit: str, words: str) -> None:
    """As the script on the page writes them."""
    assert written(value, unit) == words


async def test_the_trend_is_small_and_answered_from_memory(pages: Web) -> None:  # noqa: F811
    """An hour is 240 places, however many samples."""
    trend = Trend()
    for second in range(0, 4000, 5):
        trend.add(sampled(second, gpus=(Gpu(utilization=second % 100),)))
    pages.fleet.kept = [replace(sampled(second), host="spark-1") for second in (0, 15, 30)]
    got = (await pages.client.get("/api/v1/hosts/spark-1/trend")).json()
    assert (got["host"], got["step"], len(got["gpu"])) == ("spark-1", STEP, 3)
    assert len(trend.curves().of("gpu")) <= POINTS
    assert (await pages.client.get("/api/v1/hosts/nowhere/trend")).status_code == 404


# ---- memory


def test_processes_are_named_and_the_small_ones_share_a_part() -> None:
    """By container where there is one; several of one container are one."""
    memory = Memory(total=1000, available=100, free=50, reclaimable=50)
    processes = [
        GpuProcess(1, "/usr/bin/python3", 300, "engine"),
        GpuProcess(2, "/usr/bin/python3", 100, "engine"),
        *(GpuProcess(n, f"/opt/tool-{n}", n) for n in range(10, 14)),
    ]
    labels = [(one.kind, one.label, one.amount) for one in memory_bar(memory, processes).segments]
    assert labels == [
        ("gpu1", "engine", 400),
        ("gpu2", "tool-13", 13),
        ("gpu3", "tool-12", 12),
        ("gpu4", "2 others", 21),
        ("other", "other", 454),
        ("cache", "cache", 50),
        ("free", "free", 50),
    ]


# ---- load


def passage(**fields: object) -> Passage:
    made = Passage("id", NOW, 0.0, "/v1/chat/completions", model="tiny")
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_tokens_count_for_the_part_of_the_answer_that_lies_in_the_minute() -> None:
    """An answer that began before is not counted whole; without tokens there is no figure."""
    whole = passage(admitted=90.0, first_token=90.0, ended=100.0, used=Used(1, 120))
    half = passage(admitted=20.0, first_token=20.0, ended=60.0, used=Used(1, 400))
    assert load([whole], 40.0, 100.0) == Load(0, 0, 2.0)
    assert load([half], 40.0, 100.0) == Load(0, 0, round(200 / 60, 1))
    assert load([passage(ended=99.0)], 40.0, 100.0).tokens is None
    assert load([passage(), passage(admitted=1.0)], 40.0, 100.0) == Load(1, 1, None)


def test_recent_goes_back_no_further_than_what_is_kept() -> None:
    """With a full ring the rate is taken over the time it covers."""
    clock = iter(range(1000))
    activity = Activity(lambda: 100.0, kept=2)
    for ended in (50.0, 80.0, 95.0):
        one = passage(ended=ended, arrived=float(next(clock)))
        activity.began(one)
        activity.ended(one)
    activity.began(passage())
    recent = activity.recent(60)
    assert (recent.since, recent.now) == (80.0, 100.0)
    assert [one.ended for one in recent.passages] == [None, 95.0]


async def test_what_a_model_is_doing_stands_beside_it(pages: Web) -> None:  # noqa: F811
    """From memory; nothing asked of the engine."""
    pages.swaps.served = serving("tiny")
    waiting, running = passage(request_id="1"), passage(request_id="2", admitted=1.0)
    for one in (waiting, running, passage(request_id="3", model="large")):
        pages.parts.activity.began(one)
    got = await text(pages, "served")
    assert "1 in flight</a> · 1 waiting" in got
    assert "– tokens/s" in got


# ---- problems


async def test_each_problem_stands_on_top_with_its_cure(pages: Web) -> None:  # noqa: F811
    """And is gone when it is over: a state, not an event."""
    pages.fleet.hosts["spark-2"] = HostStatus("spark-2", Verdict.unknown("not seen yet"))
    assert "<li" not in await text(pages, "problems")
    full = Disk("/srv", "/dev/x", 100 * GIB, 98 * GIB, 2 * GIB)
    ill = sample(disks=(full,), docker_problem="the docker daemon does not run")
    see(pages, Verdict.up(), ill)
    got = await text(pages, "problems")
    assert "/srv is 98 % full: 2.0 GiB free." in got
    assert "sudo systemctl start docker" in got
    assert 'href="/hosts/spark-1"' in got
    see(pages, Verdict.up(), sample(containers=()))
    assert "<li" not in await text(pages, "problems")


async def test_a_host_that_is_not_seen_says_since_when(pages: Web) -> None:  # noqa: F811
    """Grey: it is not known to be broken. Its services are not told beside it."""
    see(pages, Verdict.unknown("SSH timed out"), sample(), age=40)
    got = await text(pages, "problems")
    assert '<li class="trouble idle">' in got
    assert re.search(r"Last seen <time[^>]*>4\d s ago", got)
    assert "Ask the doctor" in got


async def test_a_changed_key_is_accepted_where_it_is_told(pages: Web) -> None:  # noqa: F811
    """Only the one that was shown."""
    host = pages.parts.settings.current.hosts[0]
    keys = pages.parts.hostkeys
    keys.pin(target(host), "ssh-ed25519 AAAA")
    with pytest.raises(Exception, match="key"):
        keys.check(target(host), "ssh-ed25519 BBBB")  # type: ignore[attr-defined]
    shown = keys.refused("spark-1")
    assert shown is not None
    form = "/ui/hosts/spark-1/accept-key"
    wrong = await pages.client.post(
        form, data={"fingerprint": "SHA256:x"}, headers={"HX-Request": "true"}
    )
    assert wrong.status_code >= 400
    assert keys.refused("spark-1") is not None
    done = await pages.client.post(form, data={"fingerprint": shown.new})
    assert done.status_code == 303
    assert keys.refused("spark-1") is None


def test_worst_first_and_nothing_unknown_counts_as_broken() -> None:
    """The examples of the styleguide, in one list."""
    views = {one.key: dict(one.views) for one in every(NOW)}
    problems = views["problems"]
    assert problems["none"] == problem_list((), (), ())
    tones = [
        one.tone for one in problems["a host that is not seen, a service that is down"].problems
    ]  # type: ignore[attr-defined]
    assert tones == ["bad", "idle"]


# ---- one host at a time


async def test_a_sample_of_one_host_is_drawn_alone_and_once_for_all_who_look(
    pages: Web,  # noqa: F811
) -> None:
    """Twenty viewers get the same text, which was drawn once; the other host is not in it."""
    see(pages, Verdict.up(), sample(gpus=(Gpu(utilization=41.0),)))
    status = pages.fleet.hosts["spark-1"]
    pages.fleet.hosts["spark-1"] = replace(status, seen_at=NOW + timedelta(days=1))
    answers = {(await pages.client.get("/ui/hosts/spark-1")).text for _ in range(20)}
    assert len(answers) == 1
    (got,) = answers
    assert "41 %" in got
    assert "spark-2" not in got


async def test_a_host_has_a_page_with_its_curves_and_the_doctor(pages: Web) -> None:  # noqa: F811
    """Opening it asks the host nothing."""
    see(pages, Verdict.up(), sample())
    got = (await pages.client.get("/hosts/spark-1")).text
    assert got.count('<figure class="curve"') == len(CHARTS)
    assert 'id="doctor"' in got
    assert 'data-sampled="spark-1"' in got
    assert (await pages.client.get("/hosts/nowhere")).status_code == 404
