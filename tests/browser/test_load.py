"""The activity, services and their sweeps in a real browser."""

import json
import threading

import pytest
import yaml
from playwright.sync_api import expect

from tests.browser.axe import violations_in_both_themes
from tests.browser.conftest import Visitor
from tests.browser.test_dashboard import connected, mark, overflow
from tests.e2e.running import ONE, House, until

pytestmark = pytest.mark.browser


def test_a_request_is_seen_under_way_and_can_be_ended(visitor: Visitor, house: House) -> None:
    """It moves to the last requests by itself, and is not called good."""
    house.swap(ONE)
    house.sim.scenario("spark-1", token_delay=1.0)
    body = {"model": ONE, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    got: list[str] = []

    def ask() -> None:
        with house.http.stream("POST", "/v1/chat/completions", json=body, timeout=120) as answer:
            got.extend(answer.iter_text())

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    page = visitor.open(width=360, height=740)
    page.goto(f"{house.url}/activity")
    row = page.locator("#activity section").first.locator("li", has_text=ONE)
    expect(row).to_have_count(1)
    assert overflow(page) <= 0
    # In one act: a redraw between finding the button and the click would lose it.
    page.locator("#activity form").evaluate("form => form.requestSubmit()")
    expect(page.get_by_role("alert").or_(page.get_by_role("status")).first).to_contain_text("nd")
    ended = page.locator("#activity section").nth(1).locator("li", has_text=ONE).first
    expect(ended.locator(".badge")).to_contain_text("cut off")
    expect(row).to_have_count(0)
    asking.join(30)
    assert "error" in json.loads(got[-1].split("data: ")[-1])
    house.sim.scenario("spark-1", token_delay=0.01)


def test_a_sweep_from_the_form_ends_in_a_drawing_and_a_cap(visitor: Visitor, house: House) -> None:
    """Without a reload; its proposal can be used with one press."""
    page = visitor.open()
    page.goto(f"{house.url}/services/kokoro")
    connected(page)
    page.evaluate("window.marked = true")
    card = page.locator("#sweep")
    expect(card).to_contain_text("no bound")
    card.locator("form.sweep-form").evaluate(
        "form => { form.max.value = '2'; form.seconds.value = '1'; form.requestSubmit(); }"
    )
    expect(card.locator("header .badge")).to_have_text("Done", timeout=90_000)
    expect(card.locator("svg.chart .point")).to_have_count(2)
    button = card.get_by_role("button", name="at once")
    expect(button).to_be_visible()
    button.evaluate("button => button.form.requestSubmit()")
    expect(card).to_contain_text("it is set so")
    expect(card).to_contain_text("Now: at most")
    assert page.evaluate("window.marked") is True


def test_a_service_is_restarted_after_it_is_said_what_that_stops(
    visitor: Visitor, house: House
) -> None:
    """Its requests are named; how it goes is seen without a reload; the log is read on request."""
    page = visitor.open(width=360, height=740)
    page.goto(f"{house.url}/services/parakeet")
    connected(page)
    still_there = mark(page)
    card = page.locator("#service")
    expect(card.locator(".facts")).to_contain_text("parakeet-asr, running")
    card.locator("summary", has_text="Restart").click()
    box = card.locator("details[open] .confirm-box")
    expect(box).to_contain_text("the container parakeet-asr on spark-2")
    expect(box).to_contain_text("No request is under way there now.")
    assert overflow(page) <= 0
    assert violations_in_both_themes(page) == []
    box.get_by_role("button", name="Restart parakeet").click()
    expect(card).to_contain_text("Restarted")
    page.get_by_role("button", name="Read the last lines").click()
    # Once for each start of the container.
    expect(page.locator("[data-log-lines]").get_by_text("simulated asr service")).to_have_count(2)
    page.get_by_role("button", name="Follow").click()
    expect(page.locator("[data-log-said]")).to_have_text("following")
    assert overflow(page) <= 0
    still_there()


def test_a_service_is_stopped_and_started_without_javascript(
    visitor: Visitor, house: House
) -> None:
    """The same words, the same act; the page says what it is being told."""
    page = visitor.open(java_script_enabled=False)
    page.goto(f"{house.url}/services/kokoro")
    page.locator("#service summary", has_text="Stop").click()
    page.get_by_role("button", name="Stop kokoro").click()
    until(lambda: house.sim.containers("spark-2")["kokoro-tts"]["status"] == "exited", "the stop")

    def offered() -> int:
        page.reload()
        return page.get_by_role("button", name="Start kokoro").count()

    until(offered, "the page to know of it")
    expect(page.locator("#service")).to_contain_text("not running")
    page.get_by_role("button", name="Start kokoro").click()
    until(
        lambda: house.sim.containers("spark-2")["kokoro-tts"]["status"] == "running",
        "the start",
    )


def test_links_lead_elsewhere_and_say_where(visitor: Visitor, house: House) -> None:
    """From the settings, on the overview and the services; they hand nothing over."""
    body = yaml.safe_load(house.config.read_text())
    body["links"] = [{"name": "<b>Open WebUI</b>", "url": "http://192.0.2.12:3000/?a=1&b=2"}]
    house.config.write_text(yaml.safe_dump(body, sort_keys=False))
    page = visitor.open()
    for place in ("/", "/services"):
        page.goto(house.url + place)
        link = page.locator("#services a[target=_blank]")
        expect(link).to_contain_text("<b>Open WebUI</b>")
        expect(link).to_have_attribute("href", "http://192.0.2.12:3000/?a=1&b=2")
        expect(link).to_have_attribute("rel", "noopener noreferrer")
    for place in ("/services", "/swaps", "/activity"):
        page.goto(house.url + place)
        assert violations_in_both_themes(page) == []
