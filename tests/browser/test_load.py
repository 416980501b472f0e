"""The activity and a service's sweep in a real browser."""

import json
import threading

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.test_dashboard import connected, overflow
from tests.e2e.running import ONE, House

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
