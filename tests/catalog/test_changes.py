"""Adding, editing, removing: atomic, comment-preserving, one writer at a time, nothing lost."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.base.errors import (
    Conflict,
    InsufficientStorage,
    InvalidValue,
    ModelNotFound,
    SparkError,
    Unavailable,
)
from server.catalog.changes import difference, same_model
from server.catalog.edit import drop_entry, put_entry
from server.catalog.entry import lay_over, read_fields
from server.catalog.service import CatalogService
from tests.disks import disk

REPOSITORY = Path(__file__).resolve().parents[2]
BODY = {"id": "mine", "source": {"path": "/srv/models/mine"}, "knobs": {"seed": 1}}


def overrides(service: CatalogService, tmp_path: Path) -> str:
    del service
    path = tmp_path / "models.override.yaml"
    return path.read_text() if path.exists() else ""


async def test_a_model_is_added_changed_and_removed(service: CatalogService, tmp_path: Path):
    """Each change is in the file, private, and in the very next snapshot."""
    added = await service.add(BODY)
    assert added.origin == "override"
    assert service.snapshot().models["mine"] == added
    assert (tmp_path / "models.override.yaml").stat().st_mode & 0o777 == 0o600
    await service.replace("mine", {"source": {"hf": "org/x"}, "aliases": ["me"], "env": {"A": "1"}})
    changed = service.snapshot().find("me")
    assert changed is not None
    assert changed.source.hf == "org/x"
    assert dict(changed.knobs) == {}
    await service.set_knobs("mine", {"max_model_len": 100})
    assert dict(service.snapshot().models["mine"].knobs) == {"max_model_len": 100}
    await service.remove("mine")
    assert "mine" not in service.snapshot().models
    with pytest.raises(ModelNotFound):
        await service.remove("mine")


async def test_a_shipped_model_is_changed_removed_and_restored(
    service: CatalogService, tmp_path: Path
):
    """Only the difference is written; a reset brings the shipped entry back."""
    before = service.snapshot().models["qwen3-32b"]
    await service.set_knobs("qwen3-32b", {**before.knobs, "max_model_len": 16384})
    assert overrides(service, tmp_path).count("\n") < 8
    after = service.snapshot().models["qwen3-32b"]
    assert after.knobs["max_model_len"] == 16384
    assert after.knobs["tool_call_parser"] == "hermes"
    assert after.provenance["knobs.max_model_len"] == "override"
    assert after.provenance["knobs.tool_call_parser"] == "shipped"
    await service.remove("qwen3-32b")
    assert "qwen3-32b" not in service.snapshot().models
    assert await service.reset("qwen3-32b") == before
    assert service.snapshot().models["qwen3-32b"] == before


async def test_what_a_get_answers_can_be_put_back(service: CatalogService):
    """`to_dict`, edited by a page, is a body of `replace`."""
    for name in ("qwen3-32b", "qwen3-235b", "mistral-small-3.2"):
        model = service.snapshot().models[name]
        put = await service.replace(name, model.to_dict())
        assert put.knobs == model.knobs
        assert put.aliases == model.aliases
        assert put.origin in {"shipped", "override"}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"id": "a;b"}, "id"),
        ({"id": None}, "id"),
        ({"source": None}, "source"),
        ({"source": {"path": "/etc/shadow"}}, "source.path"),
        ({"source": {"hf": "a/b", "revision": "../x"}}, "source.revision"),
        ({"source": "org/name"}, "source"),
        ({"knobs": {"seed": "x"}}, "knobs.seed"),
        ({"knobs": {"extra_args": ["--host", "x"]}}, "knobs.extra_args"),
        ({"env": {"LD_PRELOAD": "x"}}, "env.LD_PRELOAD"),
        ({"nodes": 0}, "nodes"),
        ({"nodes": True}, "nodes"),
        ({"aliases": ["a b"]}, "aliases.0"),
        ({"aliases": ["x", "x"]}, "aliases.1"),
        ({"image": "x;y"}, "image"),
        ({"launcher": "rm"}, "launcher"),
        ({"hosts": ["$(id)"]}, "hosts.0"),
        ({"ttl": -1}, "ttl"),
        ({"pinned": "yes"}, "pinned"),
        ({"swap": "maybe"}, "swap"),
        ({"variants": ["high"]}, "variants"),
        ({"variants": {"a b": {"x": 1}}}, "variants.'a b'"),
        ({"variants": {"high": {}}}, "variants.high"),
        ({"variants": {"high": {"model": "other"}}}, "variants.high.model"),
        ({"variants": {"high": {"x": {"a b": 1}}}}, "variants.high.x"),
        ({"variants": {"high": {"x": "y" * 5000}}}, "variants.high"),
        ({"variants": {"high": {"x": 2**70}}}, "variants.high.x"),
        ({"name": "a\u202eb"}, "name"),
        ({"remove": True}, "remove"),
        ({"hello": 1}, "hello"),
    ],
)
async def test_a_bad_field_is_refused_by_name_and_nothing_is_saved(
    service: CatalogService, tmp_path: Path, change: dict[str, object], param: str
):
    """422 with the field; the file is not even created."""
    with pytest.raises(InvalidValue) as error:
        await service.add({**BODY, **change})
    assert error.value.param == param
    assert overrides(service, tmp_path) == ""


async def test_every_mistake_is_told_at_once(service: CatalogService):
    """Not one round trip per field."""
    with pytest.raises(InvalidValue) as error:
        await service.add({"id": "x y", "source": {"hf": "z"}, "nodes": 99, "ttl": "no"})
    for field in ("id:", "source.hf:", "nodes:", "ttl:"):
        assert field in error.value.message


async def test_names_that_are_taken_conflict_and_both_are_named(service: CatalogService):
    """An id or alias of one is no id or alias of another."""
    for body, other in [
        ({**BODY, "id": "qwen3-32b"}, "qwen3-32b"),
        ({**BODY, "id": "qwen"}, "qwen3-32b"),
        ({**BODY, "aliases": ["qwen"]}, "qwen3-32b"),
        ({**BODY, "aliases": ["gpt-oss-20b"]}, "gpt-oss-20b"),
    ]:
        with pytest.raises(Conflict, match=other):
            await service.add(body)
    with pytest.raises(InvalidValue):
        await service.replace("qwen3-32b", {**BODY, "id": "other"})
    with pytest.raises(ModelNotFound) as error:
        await service.set_knobs("qwen", {})
    assert "qwen3-32b" in (error.value.advice or "")


async def test_a_file_that_cannot_be_read_is_never_written_over(
    service: CatalogService, tmp_path: Path
):
    """Somebody's typing error must not cost them the file."""
    path = tmp_path / "models.override.yaml"
    for text in ("models:\n- id: [\n", "models:\n- id: a\n  id: b\n  source: {hf: o/a}\n"):
        path.write_text(text)
        with pytest.raises(Conflict) as error:
            await service.add(BODY)
        assert "line" in error.value.message
        assert path.read_text() == text


async def test_knobs_are_not_saved_over_an_entry_with_a_mistake(
    service: CatalogService, tmp_path: Path
):
    """A partial change would sweep away what was written by hand."""
    path = tmp_path / "models.override.yaml"
    path.write_text("models:\n- id: qwen3-32b\n  ttl: soon # my note\n")
    with pytest.raises(Conflict, match="mistake"):
        await service.set_knobs("qwen3-32b", {})
    assert "my note" in path.read_text()


async def test_a_directory_that_cannot_be_written_loses_nothing(tmp_path: Path):
    """A clear error, and the old file is whole. (A path below a file fails for root as well.)"""
    (tmp_path / "file").write_text("x")
    service = CatalogService(REPOSITORY / "models.yaml", tmp_path / "file" / "o.yaml", tuple)
    with pytest.raises(SparkError) as error:
        await service.add({"id": "a", "source": {"hf": "o/a"}})
    assert error.value.status in {503, 507}
    assert str(tmp_path) not in error.value.message


async def test_a_full_or_read_only_disk_costs_nothing_that_was_saved():
    """507 and 503 with the name of the file; the catalog goes on as it was, also afterwards."""
    with disk() as small:
        path = small.path / "models.override.yaml"
        service = CatalogService(REPOSITORY / "models.yaml", path, lambda: ("/srv/models",))
        await service.add(BODY)
        saved = path.read_text()
        with small.full(), pytest.raises(InsufficientStorage, match=r"models\.override\.yaml"):
            await service.set_knobs("mine", {"seed": 2})
        with small.read_only(), pytest.raises(Unavailable, match=r"models\.override\.yaml"):
            await service.remove("mine")
        assert path.read_text() == saved
        assert service.snapshot().models["mine"].knobs["seed"] == 1
        await service.set_knobs("mine", {"seed": 3})
        assert service.snapshot().models["mine"].knobs["seed"] == 3


COMMENTED = """\
# top of the file
models:
# about one
- id: one   # the first
  source: {hf: "org/one"}   # where from
  knobs:
    seed: 1  # lucky
    # in between
    max_model_len: 100
# about two
- id: two
  source:
    hf: org/two

# about three
- id: three
  source: {hf: org/three}
# the end
"""


def test_a_change_keeps_every_comment_of_the_others():
    """Only the lines of the changed value differ."""
    new = put_entry(
        COMMENTED,
        {"id": "one", "source": {"hf": "org/one"}, "knobs": {"seed": 2, "max_model_len": 100}},
    )
    assert new == COMMENTED.replace("seed: 1 ", "seed: 2 ")
    added = put_entry(COMMENTED, {"id": "four", "source": {"hf": "o/f"}})
    assert added.startswith(COMMENTED.removesuffix("# the end\n"))
    assert "# the end" in added


def test_removing_takes_only_the_lines_of_the_entry():
    """The comment before the next entry belongs to the next."""
    start, end = COMMENTED.index("- id: two"), COMMENTED.index("\n# about three")
    assert drop_entry(COMMENTED, "two") == COMMENTED[:start] + COMMENTED[end:]
    assert drop_entry(COMMENTED, "nobody") == COMMENTED
    assert "# the end" in drop_entry(COMMENTED, "three")
    flow = "models: [{id: a}, {id: b}]\n"
    assert "id: a" not in drop_entry(flow, "a")
    assert "id: b" in drop_entry(flow, "a")


_value = st.text(max_size=12) | st.sampled_from(["yes", "no", "null", "~", "1", "0x1", "1:30", "#"])
_json = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from([0.5, "x", "no", "1"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["x", "no"]), inner, max_size=2)
    ),
    max_leaves=4,
)
_body = st.fixed_dictionaries(
    {"id": st.just("m"), "source": st.just({"hf": "o/m"})},
    optional={
        "name": _value,
        "description": _value,
        "nodes": st.integers(1, 3),
        "aliases": st.lists(st.sampled_from(["a", "b", "1", "no"]), unique=True),
        "ttl": st.integers(0, 10),
        "enabled": st.booleans(),
        "pinned": st.booleans(),
        "swap": st.sampled_from([None, "auto", "never"]),
        "variants": st.dictionaries(
            st.sampled_from(["high", "no", "1"]),
            st.dictionaries(st.sampled_from(["a", "no"]), _json, min_size=1, max_size=2),
            max_size=2,
        ),
        "launcher": st.sampled_from([None, "launch-cluster"]),
        "env": st.dictionaries(st.sampled_from(["A", "B", "Y"]), _value),
        "knobs": st.fixed_dictionaries(
            {}, optional={"seed": st.integers(0, 9), "enforce_eager": st.booleans(),
                          "hf_overrides": st.dictionaries(st.sampled_from("xy"), st.integers())}
        ),
    },
)  # fmt: skip


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(wanted=_body, base=st.none() | _body, old=st.none() | _body)
def test_what_is_written_reads_back_as_what_was_meant(wanted, base, old):
    """Property: through difference, YAML and the merge, over any earlier entry and shipped base."""
    from server.catalog.document import read

    fields, problems = read_fields(wanted, ())
    shipped = read_fields(base, ())[0] if base else None
    if problems or (base and read_fields(base, ())[1]):
        return
    text = put_entry("", difference(read_fields(old, ())[0], None)) if old else ""
    text = put_entry(text, difference(fields, shipped))
    (raw,) = read(text, "f").entries
    back = same_model(raw.value, shipped, ())
    defaults = {
        "name": "m", "description": "", "nodes": 1, "aliases": (), "ttl": 0, "enabled": True,
        "pinned": False, "swap": None, "variants": {}, "launcher": None,
        "image": None, "hosts": (), "knobs": {}, "env": {},
    }  # fmt: skip
    assert defaults | lay_over({}, back) == defaults | lay_over({}, fields)


WRITER = """
import asyncio, sys
from pathlib import Path
from server.catalog.service import CatalogService
from tests.disks import disk
service = CatalogService(Path(sys.argv[1]), Path(sys.argv[2]), lambda: ())
async def main():
    for n in range(6):
        name = f"{sys.argv[3]}-{n}"
        await service.add({"id": name, "source": {"hf": f"org/{name}"}})
        await service.set_knobs("qwen3-8b", {"seed": n})
    await service.remove(f"{sys.argv[3]}-0")
asyncio.run(main())
"""


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path):
    """Three real processes, one file: every change of each is there."""
    target = tmp_path / "models.override.yaml"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, REPOSITORY / "models.yaml", target, name],
            cwd=REPOSITORY,
        )
        for name in ("a", "b", "c")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    catalog = CatalogService(REPOSITORY / "models.yaml", target, tuple).snapshot()
    assert catalog.problems == ()
    wanted = {f"{name}-{n}" for name in "abc" for n in range(1, 6)}
    assert wanted == {model.id for model in catalog.models.values() if model.id[1] == "-"}
    assert catalog.models["qwen3-8b"].knobs["seed"] == 5
    assert not list(tmp_path.glob("*.part"))


async def test_two_tasks_adding_the_same_id_get_one_model_and_one_conflict(
    service: CatalogService,
):
    """Decided under the lock, not before it."""
    results = await asyncio.gather(*(service.add(BODY) for _ in range(4)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Conflict"] * 3 + ["Model"]
