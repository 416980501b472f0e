"""`make release`: one version in every place, notes made of the changelog."""

import sys
from datetime import date
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import release  # noqa: E402 - the folder of the scripts is no package

DAY = date(2026, 11, 21)


def texts() -> dict[str, str]:
    names = (release.INIT, release.PROJECT, release.STARTOS, release.CHANGELOG)
    return {name: (ROOT / name).read_text() for name in names}


def test_the_version_is_the_same_in_every_place_and_the_news_move_under_it() -> None:
    """On the files as they are: a place that is written another way fails here."""
    before = texts()
    after = release.released(before, "9.8.7", DAY)
    assert release.present(after) == "9.8.7"
    assert "## Unreleased\n\n## 9.8.7 - 2026-11-21\n" in after[release.CHANGELOG]
    news = release.notes(before[release.CHANGELOG])
    assert after[release.NOTES] == f"# Spark Control 9.8.7\n\n{news}\n"
    assert "version: '9.8.7:0'" in after[release.STARTOS]
    assert "migrations:" in after[release.STARTOS]
    assert "The first package" not in after[release.STARTOS]
    assert after[release.PROJECT].count("9.8.7") == 1


@pytest.mark.parametrize("version", ["1", "1.2", "v1.2.3", "1.2.3-rc1", "01.2.3", "1.2.3\n", ""])
def test_what_is_no_version_is_refused(version: str) -> None:
    """Three numbers."""
    with pytest.raises(release.ReleaseError, match="no version"):
        release.released(texts(), version, DAY)


def test_an_older_version_and_a_release_without_news_are_refused() -> None:
    """Nothing is written then."""
    with pytest.raises(release.ReleaseError, match="not newer"):
        release.released(texts(), "0.0.1", DAY)
    empty = texts() | {release.CHANGELOG: "# Changelog\n\n## Unreleased\n\n## 0.1.0 - 2026-01-01\n"}
    with pytest.raises(release.ReleaseError, match="no news"):
        release.released(empty, "9.8.7", DAY)


def test_places_that_disagree_are_named() -> None:
    """Somebody changed one by hand."""
    wrong = texts()
    wrong[release.INIT] = '__version__ = "4.4.4"\n'
    with pytest.raises(release.ReleaseError, match=r"server/__init__\.py says 4\.4\.4"):
        release.present(wrong)
