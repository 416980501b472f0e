"""The two files: read with lines, laid over each other, and never a reason for an empty catalog."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.catalog.document import read
from server.catalog.model import Catalog
from server.catalog.service import CatalogService

SHIPPED = """\
models:
  - id: one
    name: One
    source: {hf: org/one}
    knobs: {max_model_len: 4096, seed: 1}
    env: {NCCL_DEBUG: WARN}
    aliases: [uno]
  - id: two
    source: {hf: org/two}
    nodes: 2
"""


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., CatalogService]:
    """Writes both files and opens them. A wall clock far ahead means that files have settled."""

    def make(override: str | None = None, shipped: str = SHIPPED) -> CatalogService:
        (tmp_path / "models.yaml").write_text(shipped)
        if override is not None:
            (tmp_path / "o.yaml").write_text(override)
        return CatalogService(
            tmp_path / "models.yaml", tmp_path / "o.yaml", lambda: ("/srv/models",)
        )

    return make


def said(catalog: Catalog) -> list[str]:
    return [str(problem) for problem in catalog.problems]


def test_an_override_changes_only_what_it_names(files):
    """Field by field; knobs and env key by key; null switches one off. Provenance tells each."""
    catalog = files(
        "models:\n  - id: one\n    name: Mine\n    knobs: {seed: null, dtype: bfloat16}\n"
    ).snapshot()
    model = catalog.models["one"]
    assert said(catalog) == []
    assert model.name == "Mine"
    assert dict(model.knobs) == {"max_model_len": 4096, "dtype": "bfloat16"}
    assert dict(model.env) == {"NCCL_DEBUG": "WARN"}
    assert model.origin == "override"
    assert model.provenance["name"] == "override"
    assert model.provenance["source"] == "shipped"
    assert model.provenance["ttl"] == "default"
    assert model.provenance["knobs.max_model_len"] == "shipped"
    assert model.provenance["knobs.dtype"] == "override"
    assert "knobs.seed" not in model.provenance


def test_a_tombstone_hides_a_shipped_model(files):
    """`remove: true`."""
    assert list(files("models:\n- {id: one, remove: true}\n").snapshot().models) == ["two"]


def test_a_broken_entry_is_one_problem_with_file_line_model_and_field(files):
    """The others stay, and the shipped entry under a broken override stays as it was."""
    service = files(
        "models:\n"
        "  - id: mine\n"
        "    source: {hf: org/mine}\n"
        "  - id: one\n"
        "    knobs:\n"
        "      seed: nonsense\n"
        "  - id: bad\n"
        "    source: {path: /etc/passwd}\n"
    )
    catalog = service.snapshot()
    assert list(catalog.models) == ["one", "two", "mine"]
    assert catalog.models["one"].knobs["seed"] == 1
    assert said(catalog) == [
        "o.yaml line 6: one: knobs.seed: must be a whole number",
        "o.yaml line 8: bad: source.path: must lie under one of engine.model_roots (/srv/models)",
    ]
    problem = catalog.problems[0]
    assert (problem.file, problem.line, problem.model, problem.field) == (
        "o.yaml", 6, "one", "knobs.seed",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("models:\n- id: a\n  source: {hf: o/a}\n  nodes: 1\n  nodes: 2\n", 5, "given twice"),
        ("models:\n- id: a\n  source: {hf: o/a}\n  knobs:\n    seed: 1\n    seed: 2\n", 6, "twice"),
        ("models:\n- source: {hf: o/a}\n", 2, "id: is required"),
        ("models:\n- id: a\n", 2, "source: is required"),
        ("models:\n- id: a\n  source: {hf: o/a, path: /srv/models/a}\n", 3, "exactly one"),
        ("models:\n- id: a\n  source: {hf: o/a}\n  colour: red\n", 4, "not a field"),
        ("models:\n- id: a\n  source: {hf: o/a}\n- id: a\n  source: {hf: o/b}\n", 4, "line 2"),
        ("models:\n- id: a\n  source: {hf: o/a}\n  aliases: [one]\n", 4, "the id of 'one'"),
        ("models:\n- id: a\n  source: {hf: o/a}\n  aliases: [a]\n", 4, "the id itself"),
        ("models:\n- id: a\n  source: &x {hf: o/a}\n  env: *x\n", 4, "alias"),
        ("models:\n- id: a\n  source: {hf: o/a}\n  name: !!python/name:x\n", 4, "cannot be"),
        ("models:\n- id: a\n  source: {hf: o/a}\n  hosts: [spark-1]\n  nodes: 2\n", 4, "names 1"),
        ("models:\n- id: a\n  source: {hf: o/a}\n  knobs: {tensor_parallel_size: 3}", 4, "3 GPU"),
        ("models:\n- just text\n", 2, "must be a mapping"),
        ("modles: []\n", 1, "not a known key"),
        ("models: 5\n", 1, "must be a list"),
        ("[1, 2]\n", 1, "must be a mapping"),
        ("models:\n  - id: a\n source: x\n", 3, "not YAML"),
        ("models:\n\t- id: a\n", 2, "not YAML"),
        ("models: []\n---\nmodels: []\n", 2, "not YAML"),
        ("models:\n- id: a\x07\n", 2, "cannot be seen"),
        ("models:\n- id: " + "9" * 5000 + "\n", 2, "cannot be read"),
    ],
)  # fmt: skip
def test_every_mistake_is_told_with_its_line(files, text: str, line: int, words: str):
    """And the shipped models are there whatever the override says."""
    catalog = files(text).snapshot()
    assert [p.line for p in catalog.problems] == [line], said(catalog)
    assert words in catalog.problems[0].message
    assert {"one", "two"} <= set(catalog.models)


def test_an_alias_that_two_models_want_goes_to_the_override(files):
    """A problem names both; nothing is dropped but the alias."""
    catalog = files("models:\n- id: a\n  source: {hf: o/a}\n  aliases: [uno]\n").snapshot()
    assert catalog.models["a"].aliases == ("uno",)
    assert catalog.models["one"].aliases == ()
    assert "'uno'" in catalog.problems[0].message
    assert "'a'" in catalog.problems[0].message
    assert catalog.problems[0].model == "one"


def test_a_hand_edit_is_picked_up_and_a_broken_one_keeps_the_last_good(files, tmp_path: Path):
    """The problem shows with its line until the file is right again."""
    service = files("models:\n- id: a\n  source: {hf: o/a}\n")
    first = service.snapshot()
    assert service.snapshot() is first
    path = tmp_path / "o.yaml"
    path.write_text("models:\n- id: a\n  source: {hf: o/b}\n")
    second = service.snapshot()
    assert second.models["a"].source.hf == "o/b"
    assert first.models["a"].source.hf == "o/a"
    assert second.version > first.version
    path.write_text("models:\n- id: a\n  source: {hf: o/b\n")
    broken = service.snapshot()
    assert broken.models["a"].source.hf == "o/b"
    assert broken.problems[0].line is not None
    path.write_text("models:\n- id: a\n  source: {hf: 'x'}\n")
    assert service.snapshot().models["a"].source.hf == "o/b"
    path.unlink()
    gone = service.snapshot()
    assert list(gone.models) == ["one", "two"]
    assert gone.problems == ()


def test_two_edits_in_one_tick_of_the_clock_are_both_seen(files, tmp_path: Path):
    """Same size, same inode, same mtime: a file that is still fresh is read again."""
    service = files("models:\n- id: a\n  source: {hf: o/a}\n")
    service.snapshot()
    path = tmp_path / "o.yaml"
    stamp = path.stat()
    path.write_text("models:\n- id: b\n  source: {hf: o/b}\n")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert "b" in service.snapshot().models


@pytest.mark.parametrize("data", [b"\xff\xfe", b"models:\n- id: \xff\n", b"\0" * 100])
def test_bytes_that_are_no_text_are_a_problem_and_no_crash(files, tmp_path: Path, data: bytes):
    """UTF-16, a torn file, zeros after a power cut."""
    service = files("")
    (tmp_path / "o.yaml").write_bytes(data)
    catalog = service.snapshot()
    assert len(catalog.problems) == 1
    assert list(catalog.models) == ["one", "two"]


def test_a_directory_in_place_of_the_file_is_a_problem(files, tmp_path: Path):
    """What docker makes of a bind mount whose source is missing."""
    service = files()
    (tmp_path / "o.yaml").mkdir()
    assert "cannot be read" in service.snapshot().problems[0].message


def test_a_root_that_is_taken_away_takes_its_models_along(tmp_path: Path):
    """Last good is no way around an allowed root."""
    (tmp_path / "m.yaml").write_text("models:\n- id: a\n  source: {path: /srv/models/a}\n")
    roots = ["/srv/models"]
    service = CatalogService(tmp_path / "m.yaml", tmp_path / "o.yaml", lambda: tuple(roots))
    assert "a" in service.snapshot().models
    roots[0] = "/other"
    catalog = service.snapshot()
    assert catalog.models == {}
    assert "model_roots" in catalog.problems[0].message


def test_a_snapshot_cannot_be_changed(files):
    """Immutable through and through: models, knobs, env, provenance."""
    catalog = files().snapshot()
    model = catalog.models["one"]
    for mapping in (catalog.models, model.knobs, model.env, model.provenance):
        with pytest.raises(TypeError):
            mapping["x"] = 1  # type: ignore[index]
    model.to_dict()["knobs"]["seed"] = 7
    assert model.knobs["seed"] == 1


@given(st.text(max_size=200) | st.text("models:-id[]{}&*!|>'\" \n", max_size=80))
def test_no_text_whatever_breaks_the_reader(text: str):
    """Property: a document or problems, never an exception; lines are within the text."""
    document = read(text, "f")
    assert document.readable or document.problems
    for problem in document.problems:
        assert problem.line is None or 1 <= problem.line <= len(text.splitlines()) + 2


def test_a_variant_is_a_name_of_the_model_with_fields_to_set(files):
    """By id and by alias; a name that is one whole is never taken apart."""
    catalog = files(
        "models:\n"
        "- {id: one, variants: {high: {reasoning_effort: high}}}\n"
        "- {id: mine, source: {hf: o/m}, aliases: ['one:low', 'x:y'], variants: {v: {top_k: 1}}}\n"
    ).snapshot()
    assert said(catalog) == []
    for name, model, params in [
        ("one", "one", {}),
        ("one:high", "one", {"reasoning_effort": "high"}),
        ("uno:high", "one", {"reasoning_effort": "high"}),
        ("one:low", "mine", {}),
        ("x:y:v", "mine", {"top_k": 1}),
    ]:
        found = catalog.resolve(name)
        assert found is not None
        assert (found[0].id, dict(found[1])) == (model, params)
    for name in ("one:", ":high", "one:none", "two:high", "high", "one:high:high"):
        assert catalog.resolve(name) is None
    assert catalog.models["one"].provenance["variants"] == "override"
