"""Which models the overview shows at once."""

from server.web.pages.dashboard import FEW, quick_models
from server.web.pages.model import ModelList, ModelRow


def row(ident: str, state: str = "available") -> ModelRow:
    return ModelRow(ident, ident, "", f"org/{ident}", "", 1, (), False, state, "Swap", "")


def listed(*rows: ModelRow) -> ModelList:
    return ModelList(rows, (), False, False)


def test_what_is_in_use_or_lies_on_a_host_comes_first() -> None:
    """Both parts in catalog order, and nothing in both or in neither."""
    models = listed(row("a"), row("b", "serving"), row("c"), row("d", "queued"), row("e"))
    got = quick_models(models, {"org/e", "org/elsewhere"})
    assert [one.id for one in got.near] == ["b", "d", "e"]
    assert [one.id for one in got.rest] == ["a", "c"]


def test_before_the_first_scan_a_few_stand_for_all() -> None:
    """A list is not empty because nobody has looked yet."""
    models = listed(*(row(f"model-{number}") for number in range(FEW + 2)))
    got = quick_models(models, ())
    assert [one.id for one in got.near] == [f"model-{number}" for number in range(FEW)]
    assert len(got.rest) == 2
