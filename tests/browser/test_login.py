"""The login in a real browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from server.auth.password import Password
from tests.browser.axe import violations_in_both_themes
from tests.browser.conftest import Visitor
from tests.browser.test_dashboard import connected, overflow
from tests.e2e.running import House, running_house, until

pytestmark = pytest.mark.browser
RIGHT = "correct horse battery"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder: Path = tmp_path_factory.mktemp("login")
    with running_house(folder) as made:
        Password(made.data / "password").write(RIGHT)
        made.config.write_text(made.config.read_text() + "\nauth: {mode: password}\n")
        until(lambda: made.http.get("/api/v1/hosts").status_code == 401, "the lock to close")
        yield made


def log_in(page: Page, password: str = RIGHT) -> None:
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_in_and_out_and_an_ended_session_leaves_the_page(browser: Browser, locked: House) -> None:
    """What is shown there may not be shown any more; after the login it is where it was."""
    visitor = Visitor(browser, locked.url)
    page = visitor.open(width=360, height=740)
    page.goto(f"{locked.url}/swaps")
    expect(page).to_have_url(f"{locked.url}/login?next=%2Fswaps")
    assert violations_in_both_themes(page) == []
    assert overflow(page) <= 0
    log_in(page, "wrong password")
    expect(page.get_by_text("That is not the password.")).to_be_visible()
    log_in(page)
    expect(page).to_have_url(f"{locked.url}/swaps")
    connected(page)
    other = Visitor(browser, locked.url).open()
    log_in(other)
    other.goto(f"{locked.url}/settings/access")
    assert violations_in_both_themes(other) == []
    row = other.locator("tr", has_not_text="this one").filter(has=other.locator("form"))
    row.get_by_role("button", name="End").click()
    expect(page).to_have_url(f"{locked.url}/login?next=%2Fswaps", timeout=30_000)
    other.get_by_role("button", name="Log out").click()
    expect(other).to_have_url(f"{locked.url}/login")
