"""Recipes of both launchers become the body of an entry; what does not is told with a reason."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.base.errors import InvalidValue
from server.catalog.changes import read_entry
from server.catalog.recipe import MAX_RECIPE, read_recipe

ONE = """
recipe_version: "1"
name: Qwen3 Coder Next
description: Coding model on two Sparks
model: Qwen/Qwen3-Coder-Next-FP8
container: vllm-node
cluster_only: true
mods: [mods/fix-qwen3]
defaults:
  port: 8000
  host: 0.0.0.0
  tensor_parallel: 2
  gpu_memory_utilization: 0.8
  max_model_len: 131072
  unused: 1
env:
  VLLM_USE_FLASHINFER_MOE_FP8: 1
  HF_TOKEN: $HF_TOKEN
command: |
  vllm serve Qwen/Qwen3-Coder-Next-FP8 \\
    --enable-auto-tool-choice --tool-call-parser qwen3_coder \\
    --gpu-memory-utilization {gpu_memory_utilization} \\
    --host {host} --port {port} --max-model-len {max_model_len} \\
    -tp {tensor_parallel} --no-enable-prefix-caching --load-format fastsafetensors \\
    --speculative-config '{{"method": "ngram", "num_speculative_tokens": 4}}' \\
    --chat-template unsloth.jinja --enable-log-requests
"""
TWO = """
recipe_version: "2"
model: nvidia/Llama-3.1-8B-Instruct-FP8
model_revision: main
runtime: vllm
min_nodes: 1
container: ghcr.io/acme/vllm:latest
metadata: {description: Small, maintainer: me, model_params: 8B}
defaults: {port: 8000, tensor_parallel: 1, max_model_len: 8192, enforce_eager: true, host: 0.0.0.0}
env: {A_SWITCH: true}
pre_exec: [rm -rf /]
"""


def notes(recipe):
    return {note.what: note.note for note in recipe.left_out}


def test_a_recipe_with_a_command_becomes_an_entry():
    """Flags become knobs, the rest further flags; two nodes are no flag of their own."""
    recipe = read_recipe(ONE)
    fields, problems = read_entry(dict(recipe.body), ())
    assert problems == []
    assert fields["id"] == "qwen3-coder-next-fp8"
    assert (fields["nodes"], fields["image"]) == (2, "vllm-node")
    assert fields["env"] == {"VLLM_USE_FLASHINFER_MOE_FP8": "1"}
    assert fields["knobs"] == {
        "enable_auto_tool_choice": True,
        "tool_call_parser": "qwen3_coder",
        "gpu_memory_utilization": 0.8,
        "max_model_len": 131072,
        "enable_prefix_caching": False,
        "load_format": "fastsafetensors",
        "speculative_config": '{"method":"ngram","num_speculative_tokens":4}',
        "extra_args": ("--enable-log-requests",),
    }


def test_what_a_recipe_says_and_an_entry_cannot_is_told_with_the_reason():
    """Nothing is dropped in silence, and no secret is taken over."""
    left = notes(read_recipe(ONE))
    assert "patches" in left["mods"]
    assert "engine.port" in left["--port 8000"]
    assert "files or places" in left["--chat-template unsloth.jinja"]
    assert "does not use it" in left["defaults: unused"]
    assert "secret" in left["env: HF_TOKEN"]


def test_a_recipe_without_a_command_is_read_from_its_defaults():
    """The second version, with metadata and a revision; its commands are never run."""
    recipe = read_recipe(TWO)
    fields, problems = read_entry(dict(recipe.body), ())
    assert problems == []
    assert fields["source"].hf == "nvidia/Llama-3.1-8B-Instruct-FP8"
    assert fields["source"].revision == "main"
    assert fields["knobs"] == {"max_model_len": 8192, "enforce_eager": True}
    assert fields["env"] == {"A_SWITCH": "true"}
    assert fields["description"] == "Small"
    left = notes(recipe)
    assert "runs no commands" in left["pre_exec"]
    assert "host" in "".join(left)


def test_a_plain_line_of_vllm_serve_is_a_recipe_as_well():
    """What people have in their shell history."""
    recipe = read_recipe("vllm serve /srv/models/mine --max-model-len=4096 --enforce-eager")
    assert recipe.body["source"] == {"path": "/srv/models/mine"}
    assert recipe.body["id"] == "srv-models-mine"
    assert recipe.body["knobs"] == {"max_model_len": 4096, "enforce_eager": True}


def test_what_is_meant_for_a_shell_is_left_out():
    """Neither what stands before or after the command nor a substitution in it is carried over."""
    recipe = read_recipe(
        "model: a/b\ncommand: |\n"
        "  export X=1; vllm serve a/b --seed $(id) --dtype auto\n  rm -rf /\n"
    )
    assert recipe.body["knobs"] == {"dtype": "auto"}
    left = " ".join(notes(recipe))
    assert "export X=1" in left
    assert "--seed $(id)" in left
    assert "rm -rf /" in left


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "paste a recipe"),
        ("- a\n- b", "mapping"),
        ("just words", "mapping"),
        ("a: [", "not YAML"),
        ("foo: 1", "not a recipe"),
        ("model: a/b\n" + "x: y\n" * MAX_RECIPE, "at most"),
        ("model: " + "[" * 5000, "not YAML|too deeply|nested"),
        ("model: " + "{a: " * 400 + "1" + "}" * 400, "deeply"),
    ],
)
def test_hostile_and_wrong_files_are_refused_with_the_reason(text, words):
    """Never a trace, and never a long wait."""
    with pytest.raises(InvalidValue, match=words) as refused:
        read_recipe(text)
    assert refused.value.param == "text"


def test_aliases_and_tags_build_nothing():
    """A bomb of references is not unfolded, and a tag makes no object."""
    bomb = "a: &a [x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join(f'*{below}' for _ in range(9))}]\n"
        for below, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    left = read_recipe("model: a/b\n" + bomb).left_out
    assert any("alias" in note.note for note in left)
    recipe = read_recipe("model: a/b\nname: !!python/object/apply:os.system [id]\n")
    assert "name" not in recipe.body


def test_a_recipe_of_a_thousand_odd_keys_is_told_in_a_hundred_lines():
    """What nobody would read to its end is counted."""
    recipe = read_recipe("model: a/b\n" + "".join(f"k{n}: 1\n" for n in range(1000)))
    assert len(recipe.left_out) == 101
    assert recipe.left_out[-1].note == "and 900 more"


@settings(max_examples=150)
@given(
    st.dictionaries(
        st.sampled_from(["model", "command", "defaults", "env", "name", "container", "min_nodes"]),
        st.text(max_size=80) | st.integers() | st.booleans(),
        min_size=1,
    )
)
def test_whatever_a_recipe_holds_it_is_an_entry_or_a_clear_refusal(values):
    """Texts from elsewhere never break the reader."""
    try:
        recipe = read_recipe(json.dumps(values))
    except InvalidValue:
        return
    read_entry(dict(recipe.body), ())


@settings(max_examples=150)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    """As above, without any form."""
    try:
        read_recipe(text)
        read_recipe(f"vllm serve {text}")
    except InvalidValue:
        return
