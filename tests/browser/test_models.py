"""The catalog in a browser: filter as one types, a model added with a mistake and then right, knobs
with the command that follows them, an edit that somebody else overtook, removal, hostile names."""

import re
from collections.abc import Iterator

import pytest
import yaml
from playwright.sync_api import Page, expect

from tests.browser.axe import violations_in_both_themes
from tests.browser.conftest import Visitor
from tests.e2e.running import ONE, House

pytestmark = pytest.mark.browser

HOSTILE = '<img src=x onerror="alert(1)"> \'"&{{ 7*7 }}'


@pytest.fixture
def root(house: House) -> Iterator[str]:
    """Where local models may live. Own models of a test are gone after it."""
    before = {model["id"] for model in house.get("/models")["models"]}
    yield yaml.safe_load(house.config.read_text())["engine"]["model_roots"][0]
    for model in house.get("/models")["models"]:
        if model["id"] not in before:
            house.http.delete(f"/api/v1/models/{model['id']}")


def at(visitor: Visitor, path: str, **options: object) -> Page:
    page = visitor.open(**options)  # type: ignore[arg-type]
    page.goto(visitor.url + path)
    return page


def refused(visitor: Visitor, status: int) -> None:
    """The browser logs an answer that refuses, as it should; here that was the point."""
    told = [one for one in visitor.complaints if f"status of {status}" in one]
    assert told
    visitor.complaints[:] = [one for one in visitor.complaints if one not in told]


def fits(page: Page) -> bool:
    """Nothing sticks out sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_the_catalog_is_filtered_as_one_types(root: str, visitor: Visitor) -> None:
    """Without a reload; the address follows and shows the same."""
    page = at(visitor, "/models")
    rows = page.locator("#catalog li.card")
    total = rows.count()
    page.get_by_label("Search").press_sequentially("qwen3-0.6")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(f"{visitor.url}/models?q=qwen3-0.6")
    page.reload()
    expect(rows).to_have_count(1)
    page.get_by_label("Search").fill("")
    expect(rows).to_have_count(total)
    page.get_by_label("Entry").select_option("own")
    expect(page.locator("#row-qwen3-32b")).to_have_count(0)


def test_a_model_is_added_with_a_mistake_and_then_right(root: str, visitor: Visitor) -> None:
    """The mistake is told at its field while one types, and again when the form is sent; what was
    typed stays, the command follows, and the new model has its page."""
    page = at(visitor, "/models/new")
    page.get_by_label("A directory on the hosts").check()
    page.get_by_label("Id", exact=True).fill("my tune")
    page.get_by_label("Path").fill(f"{root}/my-tune")
    wrong = page.locator("#f-id-error")
    expect(wrong).to_contain_text("must be 1 to 64 letters")
    expect(page.get_by_label("Id", exact=True)).to_have_attribute("aria-invalid", "true")
    page.get_by_role("button", name="Add the model").click()
    expect(page.get_by_role("alert")).to_contain_text("One field is not right")
    expect(page.get_by_label("Path")).to_have_value(f"{root}/my-tune")
    page.get_by_label("Id", exact=True).fill("my-tune")
    expect(wrong).to_have_count(0)
    command = page.locator("#model-check pre")
    expect(command).to_contain_text("--served-model-name my-tune")
    page.get_by_label("max_model_len").fill("4096")
    expect(command).to_contain_text("--max-model-len 4096")
    page.get_by_role("button", name="Add the model").click()
    expect(page).to_have_url(f"{visitor.url}/models/my-tune?said=added")
    expect(page.get_by_role("heading", level=1)).to_have_text("my-tune")
    refused(visitor, 422)


def test_an_edit_that_was_overtaken_is_told_so_and_loses_nothing(
    root: str, visitor: Visitor, house: House
) -> None:
    """Both values stand beside each other; sent again, mine is saved."""
    body = {"id": "shared", "source": {"path": f"{root}/shared"}, "knobs": {"max_model_len": 1024}}
    house.post("/models", body, status=201)
    page = at(visitor, "/models/shared/edit")
    page.get_by_label("max_model_len").fill("2048")
    house.http.put("/api/v1/models/shared/knobs", json={"max_model_len": 512, "seed": 7})
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("This was changed meanwhile")
    expect(page.get_by_label("max_model_len")).to_have_value("2048")
    expect(page.locator("#f-knob-max_model_len-theirs")).to_have_text("Saved now: 512")
    assert house.get("/models/shared")["knobs"]["max_model_len"] == 512
    page.get_by_role("button", name="Save over the newer one").click()
    expect(page).to_have_url(f"{visitor.url}/models/shared?said=saved")
    assert house.get("/models/shared")["knobs"] == {"max_model_len": 2048}
    refused(visitor, 409)


def test_a_model_is_removed_after_its_users_were_named(
    root: str, visitor: Visitor, house: House
) -> None:
    """A slip changes nothing: the id has to be typed."""
    house.post("/models", {"id": "old", "source": {"path": f"{root}/old"}}, status=201)
    key = house.post("/keys", {"name": "minutes", "models": ["old"]}, status=201)
    page = at(visitor, "/models/old")
    page.get_by_text("Remove", exact=True).first.click()
    box = page.locator(".confirm-box", has_text="These use it")
    expect(box).to_contain_text("Key minutes")
    box.get_by_label("Type old to remove it").fill("odl")
    box.get_by_role("button", name="Remove").click()
    expect(page.locator("#flash")).to_contain_text("type old to remove it")
    page.get_by_text("Remove", exact=True).first.click()
    box.get_by_label("Type old to remove it").fill("old")
    box.get_by_role("button", name="Remove").click()
    expect(page).to_have_url(re.compile(rf"^{re.escape(visitor.url)}/models(\?said=removed)?$"))
    expect(page.locator("#row-old")).to_have_count(0)
    house.http.delete(f"/api/v1/keys/{key['id']}")
    refused(visitor, 422)


def test_a_hostile_name_is_inert_wherever_it_is_shown(
    root: str, visitor: Visitor, house: House
) -> None:
    """On the list, its page, the form and the overview: text and nothing else."""
    body = {"id": "odd", "name": HOSTILE, "description": HOSTILE}
    house.post("/models", body | {"source": {"path": f"{root}/odd"}}, status=201)
    for path in ("/models", "/models/odd", "/models/odd/edit", "/"):
        page = at(visitor, path)
        shown = page.get_by_text(HOSTILE).or_(page.locator("input[name=name]"))
        expect(shown.first).to_be_attached()  # the overview has it in a list that opens
        assert page.locator("img[src=x]").count() == 0


def test_a_model_is_added_without_javascript(root: str, visitor: Visitor, house: House) -> None:
    """The same form, sent as browsers always have."""
    page = at(visitor, "/models/new", java_script_enabled=False)
    page.locator("#f-id").fill("no-script")
    page.get_by_label("A directory on the hosts").check()
    page.locator("#f-path").fill("/etc/models")
    page.get_by_role("button", name="Add the model").click()
    expect(page.locator("#f-path-error")).to_contain_text("must lie under")
    refused(visitor, 422)
    page.locator("#f-path").fill(f"{root}/no-script")
    page.get_by_role("button", name="Add the model").click()
    expect(page).to_have_url(f"{visitor.url}/models/no-script?said=added")
    assert house.get("/models/no-script")["source"]["path"] == f"{root}/no-script"


def test_a_changed_knob_is_seen_against_the_running_engine_until_it_is_loaded_anew(
    root: str, visitor: Visitor, house: House
) -> None:
    """While one types, on the page of the model, and gone with the next swap."""
    house.swap(ONE)
    before = house.get(f"/models/{ONE}")["knobs"]
    page = at(visitor, f"/models/{ONE}/edit")
    page.get_by_label("max_model_len").fill("1024")
    expect(page.locator("#model-check .drift")).to_contain_text("--max-model-len 1024")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#model .drift")).to_contain_text("--max-model-len 1024")
    page.get_by_role("button", name="Load it anew").click()
    expect(page.locator("#model")).to_contain_text("It runs just as the entry says")
    house.http.put(f"/api/v1/models/{ONE}/knobs", json=before)


def test_a_model_that_is_gone_says_so_on_a_page_that_was_open(
    root: str, visitor: Visitor, house: House
) -> None:
    """Two browsers see the same truth, without a reload."""
    house.post("/models", {"id": "brief", "source": {"path": f"{root}/brief"}}, status=201)
    one, every = at(visitor, "/models/brief"), at(visitor, "/models")
    for page in (one, every):
        expect(page.locator("html[data-live=yes]")).to_have_count(1)
    house.http.delete("/api/v1/models/brief")
    expect(one.locator("#model")).to_contain_text("not in the catalog any more")
    expect(every.locator("#row-brief")).to_have_count(0)


def test_every_page_of_the_catalog_fits_a_phone_and_is_accessible(
    root: str, visitor: Visitor, house: House
) -> None:
    """No rule of axe is broken in either theme, and nothing sticks out of a phone."""
    house.swap(ONE)
    for path, width in (
        ("/models", 360),
        (f"/models/{ONE}", 1280),
        ("/models/new", 360),
        ("/models/import", 1280),
    ):
        page = at(visitor, path, width=width)
        if path == f"/models/{ONE}":
            page.get_by_role("button", name="Check now").click()
            expect(page.locator("#preflight .findings")).to_be_visible()
        if path == "/models/new":
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            page.locator("#f-id").fill("no good")
            expect(page.locator("#f-id-error")).to_be_visible()
        assert violations_in_both_themes(page) == [], path
        page.set_viewport_size({"width": 360, "height": 740})
        assert fits(page), path
