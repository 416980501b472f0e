"""A change is checked before it is saved, and refused when somebody else was faster."""

import pytest

from server.base.errors import Conflict
from server.catalog.changes import version_of
from server.catalog.service import CatalogService, StaleEdit

BODY = {"id": "mine", "source": {"path": "/srv/models/mine"}, "knobs": {"seed": 1}}


async def test_an_edit_of_an_older_entry_is_refused_and_changes_nothing(service: CatalogService):
    """Two people edit; the second is told, and what the first saved stays."""
    seen = version_of(await service.add(BODY))
    await service.replace("mine", BODY | {"ttl": 60, "version": seen})
    with pytest.raises(StaleEdit):
        await service.replace("mine", BODY | {"ttl": 90, "version": seen})
    now = service.snapshot().models["mine"]
    assert now.ttl == 60
    await service.replace("mine", BODY | {"ttl": 90, "version": version_of(now)})
    assert service.snapshot().models["mine"].ttl == 90


async def test_a_version_follows_what_is_in_the_entry_and_nothing_else(service: CatalogService):
    """The same entry has the same version, however it came about."""
    first = version_of(await service.add(BODY))
    await service.replace("mine", BODY | {"ttl": 60})
    assert version_of(await service.replace("mine", BODY)) == first


async def test_a_check_tells_every_field_that_is_wrong_and_saves_nothing(service: CatalogService):
    """By field, so that a form can show it there."""
    found = service.check(
        {
            "id": "no good",
            "source": {"path": "relative"},
            "knobs": {"max_model_len": "long", "gpu_memory_utilization": 3},
            "env": {"HF_TOKEN": "hf_abcdefgh"},
            "aliases": ["qwen"],
        }
    )
    assert found.model is None
    assert {problem.field for problem in found.problems} == {
        *("id", "source.path", "knobs.max_model_len", "knobs.gpu_memory_utilization"),
        *("env.HF_TOKEN", "aliases"),
    }
    assert "mine" not in service.snapshot().models


async def test_a_check_says_what_a_save_would_say(service: CatalogService):
    """A good body makes a model; a name that is taken does not, unless it is the model's own."""
    made = service.check(BODY)
    assert made.model is not None
    assert await service.add(BODY) == made.model or made.model.knobs == {"seed": 1}
    assert [one.field for one in service.check(BODY).problems] == ["id"]
    assert service.check(BODY, "mine").problems == ()
    with pytest.raises(Conflict, match="already the id"):
        await service.add(BODY)
    moved = service.check(BODY | {"id": "other"}, "mine")
    assert [one.field for one in moved.problems] == ["id"]


async def test_a_shipped_model_that_was_removed_is_known_as_hidden(service: CatalogService):
    """So that a page can offer to bring it back."""
    assert service.snapshot().hidden == ()
    await service.remove("qwen3-32b")
    assert service.snapshot().hidden == ("qwen3-32b",)
    await service.reset("qwen3-32b")
    assert service.snapshot().hidden == ()


async def test_what_an_answer_of_the_api_shows_may_be_sent_back(service: CatalogService):
    """Read, change one field, write: the usual way of a script."""
    model = await service.add(BODY)
    view = model.to_dict() | {"state": "available", "fit": {}, "files": []}
    await service.replace("mine", view | {"ttl": 5})
    assert service.snapshot().models["mine"].ttl == 5
