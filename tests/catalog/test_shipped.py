"""The shipped catalog: every entry has the shape of a real `vllm serve`, and fits its Sparks."""

import re

import pytest

from server.catalog.knobs import KNOBS, to_args
from server.catalog.model import Model
from server.catalog.service import CatalogService

FLAG = re.compile(r"--[a-z0-9]+(-[a-z0-9]+)*")


@pytest.fixture
def models(service: CatalogService) -> list[Model]:
    catalog = service.snapshot()
    assert catalog.problems == ()
    return list(catalog.models.values())


def test_the_list_is_curated_for_one_and_two_sparks(models: list[Model]):
    """Enough to choose from, and the families people ask for."""
    assert 14 <= len(models) <= 24
    assert {model.nodes for model in models} == {1, 2}
    repos = " ".join(model.source.ref.lower() for model in models)
    for family in ("qwen3", "coder", "gpt-oss-20b", "gpt-oss-120b", "llama-3", "mistral",
                   "devstral", "gemma-3", "glm-4", "deepseek", "nemotron", "-vl-"):  # fmt: skip
        assert family in repos, family


def test_the_entry_of_the_contract_is_there_word_for_word(models: list[Model]):
    """Programs and documents hold on to it."""
    model = next(model for model in models if model.id == "qwen3-32b")
    assert model.name == "Qwen3 32B FP8"
    assert model.source.hf == "Qwen/Qwen3-32B-FP8"
    assert model.aliases == ("qwen",)
    assert (model.nodes, model.ttl, dict(model.env)) == (1, 0, {})
    wanted = {
        "max_model_len": 32768,
        "gpu_memory_utilization": 0.8,
        "tool_call_parser": "hermes",
        "extra_args": ("--enable-prefix-caching",),
    }
    assert wanted.items() <= dict(model.knobs).items()


def test_every_entry_becomes_a_real_vllm_serve(models: list[Model]):
    """Flags are known ones, each once, each with its value; memory and length are always stated."""
    for model in models:
        args = to_args(model.knobs, model.nodes)
        flags = [word for word in args if word.startswith("--")]
        assert len(flags) == len(set(flags)), model.id
        known = {knob.flag for knob in KNOBS.values()} | {"--enable-prefix-caching"}
        for flag in flags:
            assert FLAG.fullmatch(flag)
            assert flag in known, (model.id, flag)
        assert {"--max-model-len", "--gpu-memory-utilization"} <= set(flags), model.id
        assert ("--tensor-parallel-size" in flags) == (model.nodes > 1), model.id
        assert ("--tool-call-parser" in flags) == ("--enable-auto-tool-choice" in flags), model.id
        assert float(model.knobs["gpu_memory_utilization"]) <= 0.9, model.id  # type: ignore[arg-type]


def test_every_entry_tells_people_what_it_is(models: list[Model]):
    """A name and a sentence."""
    for model in models:
        assert model.name != model.id
        assert model.description.endswith("."), model.id
        assert model.origin == "shipped"


def test_every_knob_has_a_line_of_help_and_bounds(service: CatalogService):
    """The schema is what the form draws."""
    for knob in service.knob_schema():
        assert knob["help"].strip(), knob["name"]
        if knob["type"] in {"int", "float"}:
            assert knob["minimum"] < knob["maximum"], knob["name"]
        if knob["type"] != "args":
            assert knob["flag"] == "--" + knob["name"].replace("_", "-")
