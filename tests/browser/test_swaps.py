"""Swaps in a real browser: looked at beforehand, followed with the log, cancelled, repeated."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.axe import violations_in_both_themes
from tests.browser.conftest import Visitor
from tests.browser.test_dashboard import connected, mark, overflow
from tests.e2e.running import ONE, THREE, TWO, House

pytestmark = pytest.mark.browser

HOSTILE = "\n".join(
    [
        '<img src=x onerror="window.hacked = 1"><script>window.hacked = 1</script>{{ 7*7 }}',
        "\x1b[31;1mloud\x1b[0m plain \x1b]0;title\x07\x1b[2J\x1b[1;1H",
        "left \u202eright\u202c \u200bhidden",
        "long " + "x" * (1 << 20),
        "token hf_ABCDEFGHIJKL0123456789",
    ]
)


def follow(page: Page, house: House, swap_id: str) -> Locator:
    """The page of a swap; its log."""
    page.goto(f"{house.url}/swaps/{swap_id}")
    connected(page)
    return page.locator("[data-log-lines]")


def state(page: Page, words: str) -> None:
    expect(page.locator("#swap-detail > header .badge")).to_have_text(words)


def newest(house: House) -> str:
    found: str = house.get("/swaps", limit=1)["swaps"][0]["id"]
    return found


def test_a_swap_is_looked_at_asked_for_and_followed_with_its_log(
    visitor: Visitor, house: House
) -> None:
    """Before anything is touched it says what it stops; two browsers see the same lines."""
    house.swap(ONE)
    page, other = visitor.open(), visitor.open(width=360, height=740)
    page.goto(f"{house.url}/swaps/new?model={TWO}")
    connected(page)
    plan = page.locator("#plan")
    expect(plan).to_contain_text(f"It stops {ONE} on spark-1.")
    plan.get_by_role("button", name=re.compile("^Check")).click()
    expect(plan.locator(".findings li.ok").first).to_contain_text("spark-1 answers")
    assert newest(house) == house.get("/swaps", limit=1)["swaps"][0]["id"]
    assert house.served() == ONE
    assert violations_in_both_themes(page) == []
    house.sim.scenario("spark-1", load_seconds=4)
    plan.get_by_role("button", name="Swap now").click()
    page.wait_for_url(re.compile(r"/swaps/swap-"))
    still_there = mark(page)
    lines = page.locator("[data-log-lines]")
    expect(lines).to_contain_text("Loading safetensors checkpoint shards")
    log = follow(other, house, newest(house))
    expect(log).to_contain_text("Loading safetensors checkpoint shards")
    assert overflow(other) <= 0
    state(page, "Loaded")
    for one in (lines, log):
        expect(one).to_contain_text("Application startup complete")
        expect(one.locator(".mark").last).to_contain_text("serving")
    expect(page.locator("#swap-detail")).to_contain_text(f"{ONE} on spark-1 was stopped for it.")
    assert lines.locator(".text").all_inner_texts() == log.locator(".text").all_text_contents()
    still_there()
    for one in (page, other):
        assert violations_in_both_themes(one) == []


def test_a_log_is_searched_paused_and_left_where_it_is_read(visitor: Visitor, house: House) -> None:
    """Neither a new line nor the refreshed card moves what somebody reads."""
    house.swap(ONE)
    house.sim.scenario("spark-1", load_seconds=6, says="\n".join(f"note {n}" for n in range(120)))
    page = visitor.open()
    asked = house.ask(TWO)
    lines = follow(page, house, asked)
    expect(lines).to_contain_text("note 119")
    page.get_by_label("Search in the log").fill("NOTE 11")
    expect(page.locator("[data-log-said]")).to_contain_text(re.compile(r"^11 of \d+ lines"))
    expect(lines.locator("mark").first).to_have_text("note 11")
    expect(lines.get_by_text("note 20", exact=True)).to_be_hidden()
    page.get_by_label("Search in the log").fill("")
    expect(page.locator("[data-log-said]")).to_have_text("")
    lines.evaluate("place => { place.scrollTop = 0; }")
    expect(page.get_by_role("button", name="Newest")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("[data-log-said]")).to_have_text("paused")
    before = lines.locator(".log-line").count()
    state(page, "Loaded")
    assert lines.locator(".log-line").count() == before
    page.get_by_role("button", name="Resume").click()
    expect(lines).to_contain_text("Application startup complete")
    assert lines.evaluate("place => place.scrollTop") == 0
    page.get_by_role("button", name="Newest").click()
    expect(lines.locator(".log-line").last).to_be_in_viewport()
    with page.expect_download() as told:
        page.get_by_role("link", name="Download").click()
    text = told.value.path().read_text()
    assert "note 0" in text
    assert "Application startup complete" in text
    house.sim.scenario("spark-1", says="")


def test_a_hostile_log_is_inert(visitor: Visitor, house: House) -> None:
    """Markup is text, colours are classes, a turned direction is seen, a megabyte is cut."""
    house.swap(TWO)
    house.sim.scenario("spark-1", says=HOSTILE)
    page = visitor.open(width=360, height=740)
    asked = house.ask(ONE)
    lines = follow(page, house, asked)
    state(page, "Loaded")
    expect(lines.get_by_text("<img src=x onerror=")).to_have_count(1)
    expect(lines.locator(".a-red.a-bold")).to_have_text("loud")
    expect(lines).to_contain_text("left \\u202eright\\u202c \\u200bhidden")
    expect(lines).not_to_contain_text("ABCDEFGHIJKL")
    assert max(len(text) for text in lines.locator(".text").all_text_contents()) <= 2000
    plain = visitor.open(java_script_enabled=False)
    plain.goto(page.url)
    expect(plain.locator("[data-log-lines] .a-red.a-bold")).to_have_text("loud")
    for one in (page, plain):
        assert one.locator("[data-log-lines] img, [data-log-lines] script").count() == 0
    assert page.evaluate("window.hacked") is None
    assert overflow(page) <= 0
    house.sim.scenario("spark-1", says="")


def test_a_failure_tells_cause_advice_and_what_was_rolled_back(
    visitor: Visitor, house: House
) -> None:
    """Seen live to its end; the log shows both engines; once more is one press."""
    house.swap(ONE)
    house.sim.scenario("spark-1", fail="oom", only=TWO)
    page = visitor.open()
    lines = follow(page, house, house.ask(TWO))
    state(page, "Rolled back")
    card = page.locator("#swap-detail")
    expect(card).to_contain_text("The GPU ran out of memory")
    expect(card).to_contain_text("Lower gpu_memory_utilization")
    expect(card).to_contain_text(f"{ONE} on spark-1 was started again and has answered.")
    expect(lines.locator(".mark")).to_have_text(
        [
            re.compile(f"starting the engine: {TWO} on spark-1"),
            re.compile("removing the engine that failed"),
            re.compile(f"starting the previous model again: {ONE} on spark-1"),
            re.compile("the previous model is serving again"),
        ]
    )
    house.sim.scenario("spark-1", fail="none", only="")
    page.goto(f"{house.url}/swaps?outcome=rolled_back")
    connected(page)
    first = page.locator("#past li").first
    expect(first).to_contain_text(TWO)
    expect(first).to_contain_text("ran out of memory")
    assert violations_in_both_themes(page) == []
    first.get_by_role("button", name=f"Load {TWO} again").click()
    page.wait_for_url(re.compile(r"/swaps/swap-"))
    state(page, "Loaded")
    assert house.served() == TWO


def test_a_swap_is_cancelled_on_its_page_and_a_waiting_one_removed(
    visitor: Visitor, house: House
) -> None:
    """What is under way is named before something else takes its place."""
    house.swap(ONE)
    house.sim.scenario("spark-1", fail="hang")
    asked = house.ask(TWO)
    page = visitor.open(width=360, height=740)
    follow(page, house, asked)
    state(page, "Loading")
    page.goto(f"{house.url}/swaps/new?model={THREE}")
    connected(page)
    expect(page.locator("#plan")).to_contain_text(f"{TWO} (loading)")
    page.get_by_role("button", name="Queue the swap").click()
    page.wait_for_url(re.compile(r"/swaps/swap-"))
    state(page, "Waiting")
    expect(page.locator("#swap-detail")).to_contain_text("1 before it in the queue")
    page.get_by_role("button", name=f"Cancel the swap to {THREE}").click()
    state(page, "Cancelled")
    expect(page.locator("#swap-detail")).to_contain_text("nothing was touched")
    follow(page, house, asked)
    house.sim.scenario("spark-1", fail="none")
    page.get_by_role("button", name=f"Cancel the swap to {TWO}").click()
    state(page, "Cancelled")
    expect(page.locator("#swap-detail")).to_contain_text(f"{ONE} on spark-1 was started again")
    assert house.served() == ONE


def test_without_javascript_a_swap_is_looked_at_asked_for_and_its_lines_are_seen(
    visitor: Visitor, house: House
) -> None:
    """Pages that load themselves anew; the newest lines are in them."""
    house.swap(ONE)
    page = visitor.open(java_script_enabled=False)
    page.goto(f"{house.url}/swaps/new?model={TWO}")
    page.get_by_role("button", name=re.compile("^Check")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Swap to {TWO}")
    expect(page.locator("#plan .findings li.ok").first).to_be_visible()
    page.get_by_role("button", name="Swap now").click()
    page.wait_for_url(re.compile(r"/swaps/swap-"))
    house.ended(newest(house))
    page.reload()
    state(page, "Loaded")
    expect(page.locator("[data-log-lines]")).to_contain_text("Application startup complete")
    page.goto(f"{house.url}/swaps/swap-none")
    expect(page.get_by_text("There is no swap")).to_be_visible()
    expect(page.locator("main a[href='/swaps']")).to_be_visible()
    visitor.complaints.clear()  # the browser's own line about the status 404


def test_what_would_be_refused_is_said_beforehand(visitor: Visitor, house: House) -> None:
    """Starting it anyway is asked about twice, and names what it stops."""
    house.swap(ONE)
    page = visitor.open(width=360, height=740)
    listed = {model["name"]: model["id"] for model in house.get("/models")["models"]}
    broken = listed["A copy with a missing shard (simulated)"]
    page.goto(f"{house.url}/swaps/new?model={broken}")
    connected(page)
    page.get_by_role("button", name=re.compile("^Check")).click()
    expect(page.locator("#plan .findings li.error").first).to_contain_text("incomplete")
    expect(page.get_by_role("button", name="Swap now")).to_have_count(0)
    page.locator("#plan summary", has_text="Start anyway").click()
    box = page.locator("#plan .confirm-box")
    expect(box).to_contain_text(f"It stops {ONE} on spark-1.")
    expect(box.get_by_role("button", name=f"Start {broken} anyway")).to_be_in_viewport()
    assert overflow(page) <= 0
    page.set_viewport_size({"width": 1280, "height": 900})
    assert overflow(page) <= 0
    assert house.served() == ONE


def test_a_log_goes_on_after_the_server_was_restarted(visitor: Visitor, house: House) -> None:
    """Heard anew by the swap that was taken up: no line twice, none missing, no reload."""
    house.swap(ONE)
    house.sim.scenario("spark-1", load_seconds=20, says="before the restart")
    page = visitor.open()
    lines = follow(page, house, house.ask(TWO))
    still_there = mark(page)
    expect(lines).to_contain_text("before the restart")
    assert house.stop() == 0
    expect(page.locator("#stale")).to_be_visible()
    house.start()
    connected(page)
    state(page, "Loaded")
    expect(lines.get_by_text("Application startup complete")).to_have_count(1)
    expect(lines.get_by_text("before the restart")).to_have_count(1)
    still_there()
    visitor.complaints.clear()  # the browser's own lines about the lost connection
    house.sim.scenario("spark-1", says="")
