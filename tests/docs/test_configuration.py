"""Every setting has its row in `docs/configuration.md` and its line in `.env.example`."""

import re
from pathlib import Path

from server.config import reference
from server.config.environ import overlay
from server.config.schema import settings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "configuration.md"
EXAMPLE = ROOT / ".env.example"


def test_every_setting_has_its_row_with_type_default_bounds_and_meaning() -> None:
    """The row of the reference is exactly what the schema says."""
    lines = PAGE.read_text("utf-8").splitlines()
    rows = [reference.row(setting) for setting in settings()]
    rows += [reference.place_row(place) for place in reference.PLACES]
    missing = [row for row in rows if row not in lines]
    assert not missing, "paste into docs/configuration.md:\n" + "\n".join(missing)


def test_no_row_speaks_of_a_setting_that_is_gone() -> None:
    """What the reference names exists."""
    known = {setting.name for setting in settings()} | {place.env for place in reference.PLACES}
    named = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    gone = [name for name in named if name not in known]
    assert not gone, f"remove from docs/configuration.md the rows of {gone}"


def test_every_setting_says_what_it_means() -> None:
    """A field without a description would make an empty cell."""
    silent = [setting.name for setting in settings() if not setting.field.description]
    assert not silent


def test_every_section_has_its_heading_and_list_variable() -> None:
    """A reader who looks for a section finds it by its name."""
    text = PAGE.read_text("utf-8")
    for section, items in reference.sections().items():
        assert f"\n## {section}\n" in text
        assert not items[0].many or f"`{reference.list_variable(section)}`" in text


def test_every_variable_is_in_the_example_with_its_default() -> None:
    """`.env.example` is complete, and nothing in it is unknown."""
    lines = [line for line in EXAMPLE.read_text("utf-8").splitlines() if "=" in line]
    wanted = reference.env_lines()
    missing = [line for line in wanted if line not in lines]
    assert not missing, "paste into .env.example:\n" + "\n".join(missing)
    gone = [line for line in lines if line not in wanted]
    assert not gone, "remove from .env.example:\n" + "\n".join(gone)


def test_the_example_can_be_used_as_it_stands() -> None:
    """Uncommented line by line, the example gives settings without a mistake."""
    environ = dict(line.removeprefix("# ").split("=", 1) for line in reference.env_lines())
    assert overlay(environ).problems == []
