"""The overview and the page of a host in a real browser."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.test_dashboard import connected, mark
from tests.e2e.running import House

pytestmark = pytest.mark.browser


def charts(page: Page) -> None:
    """Every drawing of the last hour has become a chart."""
    expect(page.locator("#curves-spark-1 canvas")).to_have_count(3)
    expect(page.locator("#curves-spark-2 canvas")).to_have_count(3)


def test_two_browsers_see_the_same_figures_move_and_each_card_is_drawn_alone(
    visitor: Visitor, house: House
) -> None:
    """By events of that host only; no list is fetched again, and the charts stay."""
    house.hosts_up()
    first, second = visitor.open(), visitor.open(width=360, height=740)
    for page in (first, second):
        connected(page)
        charts(page)
    still_there = mark(first)
    second.locator("#host-spark-2").scroll_into_view_if_needed()
    asked: list[str] = []
    first.on("request", lambda request: asked.append(request.url))
    house.sim.scenario("spark-2", page_cache_bytes=40 << 30)
    for page in (first, second):
        cache = page.locator("#host-spark-2 .legend li", has_text="cache")
        expect(cache.locator("strong")).to_have_text("40.5 GiB")
    house.sim.scenario("spark-2", page_cache_bytes=6 << 30)
    charts(first)
    still_there()
    assert any("/ui/hosts/spark-2" in url for url in asked)
    assert not any(re.search(r"/ui/hosts\?", url) for url in asked)


def test_a_chart_tells_what_was_when_one_points_at_it(visitor: Visitor, house: House) -> None:
    """The figure with its time; of the newest when nothing is pointed at."""
    house.hosts_up()
    page = visitor.open()
    connected(page)
    charts(page)
    card = page.locator("#curves-spark-1 .curve").nth(1)
    value = card.locator("[data-value]")
    expect(value).to_have_text(re.compile(r"GiB$"))
    box = card.locator(".plot").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
    expect(value).to_have_text(re.compile(r"used .* GiB.* · \d"))
    page.mouse.move(5, 5)
    expect(value).to_have_text(re.compile(r"GiB$"))


def test_a_large_chart_is_walked_by_keyboard(visitor: Visitor, house: House) -> None:
    """Arrows tell one figure after another with its time; leaving tells the newest again."""
    house.hosts_up()
    page = visitor.open()
    page.goto(f"{house.url}/hosts/spark-1")
    connected(page)
    chart = page.locator("#curves-spark-1 .curve").nth(1)
    expect(chart.locator("canvas")).to_have_count(1)
    chart.locator(".plot").focus()
    page.keyboard.press("ArrowLeft")
    expect(chart.locator("[data-value]")).to_have_text(re.compile(r"used .* GiB.* · \d"))
    page.keyboard.press("Escape")
    expect(chart.locator("[data-value]")).not_to_have_text(re.compile("·"))


def test_the_models_are_narrowed_as_one_types(visitor: Visitor) -> None:
    """And stay so when the list is drawn anew."""
    page = visitor.open(width=360, height=740)
    connected(page)
    rows = page.locator("#models .rows > li")
    assert rows.count() > 8
    page.get_by_label("Find a model").fill("fine-tune")
    expect(rows.filter(visible=True)).to_have_count(1)
    with page.expect_response(lambda got: "/ui/quick" in got.url):
        page.evaluate("htmx.trigger('#events', 'snapshot', {data: '{}'})")
    expect(rows.filter(visible=True)).to_have_count(1)
    page.get_by_label("Find a model").fill("")
    expect(rows.filter(visible=True)).to_have_count(rows.count())


def test_after_a_break_the_cards_and_the_charts_are_live_again(
    visitor: Visitor, house: House
) -> None:
    """Nothing old is shown as fresh meanwhile, and nothing is loaded anew."""
    page = visitor.open()
    connected(page)
    charts(page)
    still_there = mark(page)
    assert house.stop() == 0
    expect(page.locator("#stale")).to_be_visible()
    expect(page.locator("html")).to_have_class(re.compile(r"\bstale\b"))
    expect(page.locator("#curves-spark-1 .plot").first).to_have_css("opacity", "0.5")
    house.start()
    expect(page.locator("#stale")).to_be_hidden(timeout=15_000)
    expect(page.locator("#host-spark-1 header .badge")).to_have_text("up")
    with page.expect_response(lambda got: "/ui/hosts/spark-1" in got.url):
        pass
    expect(page.locator("#curves-spark-1 .plot").first).to_have_css("opacity", "1")
    charts(page)
    still_there()
    visitor.complaints.clear()  # refused connections


def test_without_javascript_the_page_tells_the_same(visitor: Visitor, house: House) -> None:
    """The curves are drawings, the pages are links, an act is asked about twice."""
    house.hosts_up()
    page = visitor.open(java_script_enabled=False, width=360, height=740)
    assert page.locator("#curves-spark-1 svg path").count() >= 3
    page.get_by_role("link", name="Activity").click()
    expect(page.locator("h1")).to_have_text("Activity")
    expect(page.locator(".pages a[aria-current]")).to_have_text("Activity")
    page.goto(f"{house.url}/hosts/spark-1")
    expect(page.locator("h1")).to_have_text("spark-1")
    expect(page.locator("#doctor")).to_be_visible()


def test_a_changed_host_key_is_told_and_accepted(visitor: Visitor, house: House) -> None:
    """On top of the page, with both fingerprints; asked about twice; live again after."""
    page = visitor.open()
    connected(page)
    house.sim.act("spark-2", "new-host-key")
    problem = page.locator("#problems li", has_text="host key has changed")
    expect(problem).to_be_visible()
    expect(problem.locator("dd code")).to_have_count(2)
    problem.locator("summary").click()
    problem.get_by_role("button", name="Accept the key of spark-2").click()
    expect(problem).to_have_count(0)
    expect(page.locator("#host-spark-2 header .badge")).to_have_text("up")


def test_a_lost_host_says_so_and_is_fresh_again_when_it_is_back(
    visitor: Visitor, house: House
) -> None:
    """Its card tells why and since when, its old figures are greyed, a cure stands on top, and the
    other host goes on. Nothing is loaded anew when it comes back."""
    house.hosts_up()
    page = visitor.open()
    connected(page)
    still_there = mark(page)
    card = page.locator("#host-spark-2 .host")
    figures = card.locator(".tiles dd").first
    expect(figures).to_have_text(re.compile(r"\d+ %"))
    fresh = figures.evaluate("one => getComputedStyle(one).color")
    house.sim.act("spark-2", "down")
    try:
        expect(card.locator("header .badge")).to_have_text("unknown")
        expect(card.locator(".reason").first).to_contain_text(re.compile("spark-2|SSH|connect"))
        expect(card.locator(".reason time")).to_have_text(re.compile(r"ago|now"))
        expect(figures).to_have_text(re.compile(r"\d+ %"))
        expect(figures).not_to_have_css("color", fresh)
        problem = page.locator("#problems li", has_text="spark-2")
        expect(problem).to_contain_text("Last seen")
        expect(problem).to_contain_text("Is it on, and in the network?")
        expect(problem.get_by_role("link", name="Ask the doctor")).to_be_visible()
        other = page.locator("#host-spark-1")
        house.sim.scenario("spark-1", page_cache_bytes=40 << 30)
        cache = other.locator(".legend li", has_text="cache")
        expect(cache.locator("strong")).to_have_text("40.5 GiB")
        expect(other.locator("header .badge")).to_have_text("up")
    finally:
        house.sim.scenario("spark-1", page_cache_bytes=6 << 30)
        house.sim.act("spark-2", "up")
    expect(card.locator("header .badge")).to_have_text("up")
    expect(card.locator(".reason time")).to_have_count(0)
    expect(figures).to_have_css("color", fresh)
    expect(problem).to_have_count(0)
    still_there()
