"""axe-core over a page: every rule it has for WCAG 2.2 A and AA and its best practices."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

THEMES = ("light", "dark")


def violations(page: Page) -> list[str]:
    """One line per element that breaks a rule, empty when there is none. Rules that axe can only
    be unsure of ("incomplete") are left out."""
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{rule['id']} ({rule['impact']}): {' '.join(map(str, node['target']))}: "
        f"{' / '.join(one['message'] for one in node['any'] + node['all'] + node['none'])}"
        for rule in found
        for node in rule["nodes"]
    ]


def violations_in_both_themes(page: Page) -> list[str]:
    """Of the page as it is, in light and in dark: contrast differs."""
    found = []
    for theme in THEMES:
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        found += [f"{theme}: {one}" for one in violations(page)]
    return found
