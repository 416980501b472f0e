"""The settings and the first run in a browser: from an empty data directory to the first model, a
host added, a key replaced, an API key made and revoked, two people at one form."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Visitor
from tests.e2e.running import House, until

MODEL = "Qwen/Qwen3-32B-FP8"


@pytest.fixture
def newcomer(running: House, tmp_path: Path) -> Iterator[House]:
    """A second app beside the first: nothing configured, and a key that the Sparks know."""
    ssh = tmp_path / "data" / "ssh"
    ssh.mkdir(mode=0o700, parents=True)
    shutil.copy2(running.sim.key, ssh / "id_ed25519")
    house = House(running.sim, tmp_path / "data")
    house.start()
    yield house
    house.stop()
    house.http.close()


@pytest.fixture
def guest(browser: Browser, newcomer: House) -> Iterator[Visitor]:
    made = Visitor(browser, newcomer.url)
    yield made
    for context in made.contexts:
        context.close()
    assert unexpected(made) == []


@pytest.fixture
def people(browser: Browser, house: House) -> Iterator[Visitor]:
    """Who opens a page of the settings, and not the overview first: that one draws charts."""
    made = Visitor(browser, f"{house.url}/settings/log")
    yield made
    for context in made.contexts:
        context.close()
    assert unexpected(made) == []


def unexpected(visitor: Visitor) -> list[str]:
    """Browsers complain of every answer that is an error: a form that is refused is one."""
    return [one for one in visitor.complaints if "status of 4" not in one and "of 503" not in one]


def fill_host(page: Page, house: House, name: str = "spark-1") -> None:
    at = house.sim.hosts["spark-1"]
    page.get_by_label("Name").fill(name)
    page.get_by_label("Address").first.fill(at.address)
    page.get_by_label("Port").fill(str(at.port))


def test_the_first_run_leads_from_nothing_to_the_first_model(
    guest: Visitor, newcomer: House
) -> None:
    """With mistakes on the way; it may be left and is taken up where the facts are."""
    page = guest.open()
    expect(page).to_have_url(f"{newcomer.url}/welcome")
    expect(page.locator("#step-key")).to_contain_text("authorized_keys")
    page.get_by_label("Name").fill("Spark 1!")
    page.get_by_label("Address").first.fill("127.0.0.1")
    page.get_by_label("Port").fill("1")
    page.get_by_role("button", name="Look at its key").click()
    expect(page.get_by_text("Is not a valid name")).to_be_visible()
    expect(page.get_by_label("Address").first).to_have_value("127.0.0.1")
    page.get_by_label("Name").fill("spark-1")
    page.get_by_role("button", name="Look at its key").click()
    expect(page.get_by_role("alert")).to_contain_text("nothing listens there")
    fill_host(page, newcomer)
    page.get_by_role("button", name="Look at its key").click()
    expect(page.get_by_text("Is this its key?")).to_be_visible()
    shown = page.locator(".host-key code").first.inner_text()
    assert shown.startswith("SHA256:")
    assert newcomer.get("/hosts")["hosts"] == []
    page.get_by_role("button", name="Trust this key and save").click()
    expect(page.locator("#step-host")).to_contain_text("spark-1: ubuntu at")
    # Which step that is depends on how quick the doctor was.
    onwards = page.get_by_role("link", name=re.compile("Go on: (How models|Load)"))
    expect(onwards).to_be_visible()
    assert newcomer.get("/hosts")["hosts"][0]["name"] == "spark-1"
    page.goto(f"{newcomer.url}/models")  # left, and taken up again
    page.goto(f"{newcomer.url}/welcome?step=engine")
    expect(page.locator("#step-host-key")).to_contain_text(shown)
    page.get_by_label("Model roots").fill(str(newcomer.sim.dir / "srv" / "models"))
    page.get_by_role("button", name="Save and look for models").click()
    expect(page.locator("#welcome-found")).to_contain_text(newcomer.sim.model("qwen3-0.6b"))
    page.get_by_role("link", name=re.compile("Go on: Load")).click()
    page.locator("#step-model li", has_text=MODEL).get_by_role("button").click()
    expect(page.locator("#swap")).to_contain_text("qwen3-32b")
    page.get_by_role("link", name="Go on: What now").click(timeout=60_000)
    expect(page.get_by_role("heading", name="qwen3-32b is being served")).to_be_visible()
    newcomer.post("/unload")
    until(lambda: newcomer.served() is None, "the model to be unloaded")


def test_the_first_run_works_without_javascript_on_a_phone(
    browser: Browser, newcomer: House
) -> None:
    """Every step is a form or a link; nothing is wider than the phone."""
    guest = Visitor(browser, newcomer.url)
    page = guest.open(width=360, java_script_enabled=False)
    fill_host(page, newcomer)
    page.get_by_role("button", name="Look at its key").click()
    expect(page.get_by_text("Is this its key?")).to_be_visible()
    page.get_by_role("button", name="Trust this key and save").click()
    until(lambda: newcomer.get("/hosts")["hosts"][0]["health"] == "up", "the host to be seen")

    def looked() -> bool:
        page.goto(f"{newcomer.url}/welcome")
        return page.locator("#step-engine").get_attribute("class") != "later"

    until(looked, "the doctor to have looked")
    if page.get_by_role("button", name="Save and look for models").count():
        page.get_by_role("button", name="Save and look for models").click()
        expect(page.get_by_text("Saved.", exact=True)).to_be_visible()
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360
    guest.contexts[0].close()


def test_a_host_is_added_looked_at_and_removed(people: Visitor, house: House) -> None:
    """A mistake keeps what was typed; the findings come in by themselves; the question names it."""
    page = people.open()
    page.goto(f"{house.url}/settings/hosts/new")
    fill_host(page, house, "spark-1")
    page.get_by_label("Labels").fill("llm, far")
    page.get_by_role("button", name="Look at its key").click()
    expect(page.get_by_text("There is a host named 'spark-1' already")).to_be_visible()
    expect(page.get_by_label("Labels")).to_have_value("llm, far")
    page.get_by_label("Name").fill("spark-9")
    page.get_by_role("button", name="Look at its key").click()  # its key is pinned already
    expect(page).to_have_url(re.compile("/settings/hosts/spark-9"))
    doctor = page.locator("#doctor")
    expect(doctor).to_contain_text("Tested")
    expect(doctor).to_contain_text("It answers over SSH")
    page.get_by_role("button", name="Test again").click()
    expect(doctor).to_contain_text("Tested now")
    page.locator("summary", has_text="Remove spark-9").click()
    expect(page.get_by_text("Spark Control forgets spark-9")).to_be_visible()
    page.get_by_role("button", name="Remove spark-9").click()
    expect(page).to_have_url(re.compile(r"/settings/hosts\?said=removed"))
    assert [one["name"] for one in house.get("/hosts")["hosts"]] == ["spark-1", "spark-2"]


def test_a_changed_host_key_is_replaced_on_purpose(people: Visitor, house: House) -> None:
    """Both fingerprints are shown; after the press the host is seen again."""
    house.sim.act("spark-2", "new-host-key")
    house.sim.act("spark-2", "cut")
    house.sim.act("spark-2", "restore")

    def change() -> dict[str, str] | None:
        found: dict[str, str] | None = house.get("/hosts/spark-2")["host_key_change"]
        return found

    changed = until(change, "the changed key to be noticed")
    page = people.open()
    page.goto(f"{house.url}/settings/hosts/spark-2")
    block = page.locator("#key-spark-2")
    expect(block).to_contain_text(changed["pinned"])
    expect(block).to_contain_text(changed["offered"])
    block.get_by_role("button", name="Replace the trusted key").click()
    expect(page.get_by_text("The key is accepted.")).to_be_visible()
    house.hosts_up()
    expect(block).to_have_count(0)


def test_an_api_key_is_seen_once_and_revoked(people: Visitor, house: House) -> None:
    """What was shown works at the gateway until it is revoked."""
    page = people.open()
    page.goto(f"{house.url}/settings/keys/new")
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Create the key").click()
    text = page.locator(".shown-key pre").inner_text()
    assert text.startswith("sk-spark-")
    expect(page.get_by_role("button", name="Copy API key laptop")).to_be_visible()
    headers = {"Authorization": f"Bearer {text}"}
    assert house.http.get("/v1/models", headers=headers).status_code == 200
    page.get_by_role("link", name="I have it").click()
    page.get_by_role("link", name="laptop").click()
    expect(page.get_by_text("Settings of laptop")).to_be_visible()
    assert text not in page.content()
    page.locator("summary", has_text="Revoke").click()
    page.get_by_role("button", name="Revoke laptop").click()
    expect(page.get_by_text("Revoked.")).to_be_visible()
    assert house.http.get("/v1/models", headers=headers).status_code == 401


def test_two_people_at_one_form_lose_nothing(people: Visitor, house: House) -> None:
    """Who comes second is told, keeps what was typed, sees what is saved, and may save over it."""
    first, second = people.open(), people.open()
    for page in (first, second):
        page.goto(f"{house.url}/settings/gateway")
    first.get_by_label("Waiting at once").fill("700")
    first.get_by_role("button", name="Save").click()
    expect(first.get_by_text("Saved.", exact=True)).to_be_visible()
    second.get_by_label("Waiting at once").fill("800")
    second.get_by_role("button", name="Save").click()
    expect(second.get_by_role("alert")).to_contain_text("changed meanwhile")
    expect(second.get_by_label("Waiting at once")).to_have_value("800")
    expect(second.get_by_text("Saved now: 700")).to_be_visible()
    second.get_by_role("button", name="Save").click()
    expect(second.get_by_text("Saved.", exact=True)).to_be_visible()
    assert house.get("/settings/gateway")["values"]["queue_limit"] == 800
