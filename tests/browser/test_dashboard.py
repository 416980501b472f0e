"""The dashboard in a real browser, over the app and a simulated cluster."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.e2e.running import ONE, THREE, TWO, House

pytestmark = pytest.mark.browser

NAMES = {ONE: "Qwen3 0.6B (simulated)", TWO: "Llama 3.1 8B fine-tune (simulated)"}
HOSTILE = '<img src=x onerror="window.hacked=1"> {{ 7*7 }} &amp; </p><hr>'


def badge(page: Page, text: str) -> None:
    expect(page.locator("#swap > header .badge")).to_have_text(text)


def connected(page: Page) -> None:
    """The event stream is open. (To wait for a function needs eval, which the policy forbids.)"""
    expect(page.locator("html")).to_have_attribute("data-live", "yes")


def press(page: Page, verb: str, model: str) -> None:
    page.get_by_role("button", name=f"{verb} {NAMES[model]}", exact=True).click()


def unloaded(house: House) -> None:
    """Nothing is served, whichever test ran before."""
    if house.served():
        house.ended(house.post("/unload")["id"])


def mark(page: Page) -> Callable[[], None]:
    """Call the answer to see that the page was not loaded anew since."""
    page.evaluate("window.marked = true")

    def still_there() -> None:
        assert page.evaluate("window.marked") is True, "the page was loaded anew"

    return still_there


def overflow(page: Page) -> int:
    found: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return found


def test_the_page_shows_hosts_models_and_services(visitor: Visitor) -> None:
    """Figures with units; every control has a name of its own."""
    page = visitor.open()
    host = page.locator("#host-spark-1")
    expect(host.locator("header .badge")).to_have_text("up")
    expect(host.locator(".tiles")).to_contain_text("°C")
    expect(host.locator(".memory .label")).to_contain_text("GiB available of")
    assert "free" in (host.locator(".memory svg").get_attribute("aria-label") or "")
    expect(page.locator("#models")).to_contain_text(NAMES[ONE])
    expect(page.locator("#services")).to_contain_text("parakeet")
    names = [
        button.get_attribute("aria-label") or button.inner_text()
        for button in page.get_by_role("button").all()
    ]
    assert all(names)
    assert len(names) == len(set(names))


def test_a_swap_is_pressed_and_followed_live_to_serving(visitor: Visitor, house: House) -> None:
    """Percent, stage and steps move by events alone; nothing is loaded anew."""
    unloaded(house)
    house.sim.scenario("spark-1", load_seconds=2)
    page = visitor.open()
    connected(page)
    still_there = mark(page)
    press(page, "Swap", ONE)
    badge(page, "Loading")
    expect(page.locator("#swap .percent")).to_have_text(re.compile(r"[1-9]\d? %"))
    expect(page.locator("#swap .steps li.running").first).to_be_visible()
    expect(page.locator("#serving .next")).to_contain_text(ONE)
    expect(page.get_by_role("button", name=f"Queue {NAMES[TWO]}")).to_be_visible()
    badge(page, "Serving")
    expect(page.locator("#serving strong")).to_have_text(ONE)
    expect(page.locator("#models li.serving")).to_contain_text(NAMES[ONE])
    expect(page.locator("#history")).to_contain_text(ONE)
    expect(page.locator("#served summary", has_text="Unload")).to_be_visible()
    still_there()
    assert house.served() == ONE


def test_a_failed_swap_shows_cause_advice_log_and_what_serves(
    visitor: Visitor, house: House
) -> None:
    """The rollback is seen live; trying again is one press away."""
    house.swap(ONE)
    page = visitor.open()
    connected(page)
    house.sim.scenario("spark-1", fail="oom")
    press(page, "Swap", TWO)
    badge(page, "Rolling back")
    house.sim.scenario("spark-1", fail="none")
    badge(page, "Rolled back")
    card = page.locator("#swap")
    expect(card).to_contain_text("ran out of memory")
    expect(card).to_contain_text("What to do")
    expect(card.locator("dd").last).to_have_text(ONE)
    card.get_by_text("End of the engine's log").click()
    expect(card.locator(".tail pre")).to_contain_text("vLLM")
    expect(page.locator("#serving strong")).to_have_text(ONE)
    card.get_by_role("button", name=f"Try {TWO} again").click()
    badge(page, "Serving")
    expect(page.locator("#serving strong")).to_have_text(TWO)


def test_a_swap_is_cancelled_and_two_browsers_see_the_same(visitor: Visitor, house: House) -> None:
    """What one person starts, another sees and ends."""
    house.swap(ONE)
    first, second = visitor.open(), visitor.open(width=360, height=740)
    connected(first)
    connected(second)
    house.sim.scenario("spark-1", fail="hang")
    press(first, "Swap", TWO)
    badge(second, "Loading")
    press(second, "Queue", ONE)
    expect(first.locator("#swap .queue")).to_contain_text(ONE)
    first.get_by_role("button", name=f"Take {ONE} out of the queue").click()
    expect(second.locator("#swap .queue")).to_have_count(0)
    house.sim.scenario("spark-1", fail="none")
    second.get_by_role("button", name=f"Cancel the swap to {TWO}").click()
    for page in (first, second):
        badge(page, "Cancelled")
        expect(page.locator("#serving strong")).to_have_text(ONE)
    assert house.served() == ONE


def test_without_javascript_the_forms_work(visitor: Visitor, house: House) -> None:
    """POST, redirect, page; an error is in the page too."""
    unloaded(house)
    page = visitor.open(java_script_enabled=False)
    press(page, "Swap", TWO)
    assert page.url.endswith("/#swap")
    expect(page.locator("#swap .route")).to_contain_text(TWO)
    (swap,) = house.get("/swaps", limit=1)["swaps"]
    assert swap["model"] == TWO
    house.ended(swap["id"])
    page.goto(house.url)
    badge(page, "Serving")
    page.locator("#served summary", has_text="Unload").click()
    page.get_by_role("button", name=f"Unload {TWO}").click()
    expect(page.locator("#swap .route")).to_contain_text("nothing")
    house.ended(house.get("/swaps", limit=1)["swaps"][0]["id"])


def test_an_error_of_a_form_is_shown_in_the_page(visitor: Visitor, house: House) -> None:
    """In words, with what to do; the rest of the page stays."""
    page = visitor.open()
    connected(page)
    still_there = mark(page)
    # In one breath: an update of the page between the two would bring the form anew.
    page.locator(f"#models form:has(input[value='{THREE}'])").evaluate(
        "form => { form.querySelector('input').value = 'nowhere'; form.requestSubmit(); }"
    )
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("nowhere")
    expect(page.locator("#models")).to_contain_text(NAMES[ONE])
    still_there()
    visitor.complaints.clear()  # the browser's own line about the status 404


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_horizontal_scrolling(visitor: Visitor, house: House, scheme: str) -> None:
    """360 px, also with an error and its log on the page."""
    house.sim.scenario("spark-1", fail="load")
    house.swap(THREE)
    page = visitor.open(width=360, height=740, color_scheme=scheme)
    expect(page.locator("#swap .log")).to_have_count(1)
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert overflow(page) <= 0
    page.set_viewport_size({"width": 1920, "height": 1080})
    assert overflow(page) <= 0


def test_hostile_names_are_inert(visitor: Visitor, house: House) -> None:
    """Markup is text and templates are text, also when an event brings them."""
    overrides: Path = house.sim.dir / "models.override.yaml"
    text = overrides.read_text()
    page = visitor.open()
    connected(page)
    source = json.dumps(house.sim.model(ONE))
    entry = f"  - {{id: hostile, name: {json.dumps(HOSTILE)}, source: {{path: {source}}}}}\n"
    overrides.write_text(text + entry)
    expect(page.locator("#models a[href='/models/hostile'] strong")).to_have_text(HOSTILE)
    assert page.locator("img[onerror]").count() == 0
    assert page.evaluate("window.hacked") is None
    overrides.write_text(text)
    expect(page.locator("#models")).not_to_contain_text("onerror=")


def test_a_refresh_leaves_focus_and_open_details_alone(visitor: Visitor) -> None:
    """A fragment is morphed, not replaced: a keyboard keeps its place."""
    page = visitor.open()
    connected(page)
    host = page.locator("#host-spark-2")
    summary = host.locator("summary").first
    summary.focus()
    page.keyboard.press("Enter")
    expect(host.locator("details").first).to_have_attribute("open", "")
    for _ in range(2):
        with page.expect_response(lambda got: "/ui/hosts" in got.url):
            pass
    expect(summary).to_be_focused()
    expect(host.locator("details").first).to_have_attribute("open", "")


def test_a_page_says_that_it_is_stale_and_connects_again(visitor: Visitor, house: House) -> None:
    """The server is stopped and started again; the page is not loaded anew."""
    unloaded(house)
    page = visitor.open()
    connected(page)
    still_there = mark(page)
    note = page.locator("#stale")
    expect(note).to_be_hidden()
    assert house.stop() == 0
    expect(note).to_be_visible()
    expect(note).to_contain_text("out of date")
    press(page, "Swap", ONE)
    expect(page.get_by_role("alert")).to_contain_text("could not be reached")
    house.start()
    expect(note).to_be_hidden(timeout=15_000)
    expect(page.locator("#host-spark-1 header .badge")).to_have_text("up")
    press(page, "Swap", ONE)
    expect(page.locator("#serving strong")).to_have_text(ONE)
    still_there()
    visitor.complaints.clear()  # refused connections


def test_settings_written_by_hand_appear_and_mistakes_are_told(
    visitor: Visitor, house: House
) -> None:
    """Without a reload: the hosts, what can be started, and what is wrong with the file."""
    text = house.sim.config.read_text()
    page = visitor.open()
    connected(page)
    pair = page.get_by_role("button", name="Swap Qwen3 30B over two Sparks (simulated)")
    expect(pair).to_be_visible()
    house.sim.config.write_text(text + "nonsense: 1\n")
    expect(page.locator("#notices")).to_contain_text("nonsense")
    house.sim.config.write_text("hosts: []\n")
    expect(page.locator("#hosts")).to_contain_text("There are no hosts yet")
    expect(pair).to_be_hidden()
    house.sim.config.write_text(text)
    expect(page.locator("#host-spark-1 header .badge")).to_have_text("up")
    expect(pair).to_be_visible()
    expect(page.locator("#notices")).not_to_contain_text("nonsense")
    # A card may have been asked for just as its host went.
    visitor.complaints[:] = [one for one in visitor.complaints if "404 (Not Found)" not in one]
