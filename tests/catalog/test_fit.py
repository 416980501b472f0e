"""The arithmetic of memory, against figures worked out by hand, and honest where it cannot tell."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.base.units import GIB
from server.catalog.fit import fit
from server.catalog.geometry import Geometry, read_geometry

TOTAL = int(121.7 * GIB)
FREE = 115 * GIB
QWEN = {
    "num_hidden_layers": 64, "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128,
    "hidden_size": 5120, "max_position_embeddings": 40960,
}  # fmt: skip
KNOBS = {"max_model_len": 32768, "gpu_memory_utilization": 0.8}


def test_a_dense_model_with_grouped_heads():
    """2 x 64 layers x 8 heads x 128 x 2 B = 256 KiB per token; 32768 tokens are 8 GiB."""
    result = fit(QWEN, 33 * GIB, KNOBS, 1, TOTAL, FREE)
    assert result.kv_bytes_per_token == 262144
    assert result.kv_bytes == 8 * GIB
    assert result.weights_bytes == 33 * GIB
    assert result.verdict == "fits"
    assert result.need_bytes == 33 * GIB + 8 * GIB + (result.reserve_bytes or 0)
    assert (
        result.max_tokens == (int(TOTAL * 0.8) - 33 * GIB - (result.reserve_bytes or 0)) // 262144
    )
    text = "\n".join(result.lines)
    for part in ("64 layers", "8 KV heads", "256.0 KiB per token", "32,768 tokens", "97.4 GiB"):
        assert part in text


@pytest.mark.parametrize(
    ("heads", "nodes", "each"), [(8, 2, 4), (8, 4, 2), (2, 4, 1), (1, 2, 1), (3, 2, 2)]
)
def test_heads_are_split_over_nodes_and_copied_when_they_are_too_few(heads, nodes, each):
    """A node never holds less than one whole head."""
    result = fit(QWEN | {"num_key_value_heads": heads}, 30 * GIB, KNOBS, nodes, TOTAL, FREE)
    assert result.kv_bytes_per_token == 64 * each * 256 * 2
    assert result.weights_bytes == math.ceil(30 * GIB / nodes)


def test_mla_keeps_one_compressed_row_on_every_node():
    """DeepSeek: (512 + 64) numbers per layer, not split by tensor parallelism."""
    config = QWEN | {"num_hidden_layers": 61, "kv_lora_rank": 512, "qk_rope_head_dim": 64}
    for nodes in (1, 2):
        result = fit(config, 30 * GIB, KNOBS, nodes, TOTAL, FREE)
        assert result.kv_bytes_per_token == 61 * 576 * 2


def test_sliding_layers_keep_a_window_only():
    """gpt-oss: every other layer remembers 128 tokens (and those of the running step)."""
    config = {
        "num_hidden_layers": 36, "num_attention_heads": 64, "num_key_value_heads": 8,
        "head_dim": 64, "hidden_size": 2880, "max_position_embeddings": 131072,
        "sliding_window": 128, "layer_types": ["sliding_attention", "full_attention"] * 18,
    }  # fmt: skip
    result = fit(config, 65 * GIB, {"max_num_batched_tokens": 2048}, 1, TOTAL, FREE)
    layer = 8 * 128 * 2
    assert result.kv_bytes == 18 * layer * 131072 + 18 * layer * (128 + 2048)
    assert result.max_tokens is not None
    assert result.max_tokens > 131072


@pytest.mark.parametrize(
    ("extra", "full", "windowed", "states"),
    [
        ({}, 64, 0, 0),
        ({"sliding_window": None}, 64, 0, 0),
        ({"sliding_window": 4096, "use_sliding_window": False}, 64, 0, 0),
        ({"sliding_window": 4096}, 0, 64, 0),
        ({"sliding_window": 1024, "sliding_window_pattern": 6}, 10, 54, 0),
        ({"sliding_window": 4096, "model_type": "gemma2"}, 32, 32, 0),
        ({"full_attention_interval": 4}, 16, 0, 48),
        ({"hybrid_override_pattern": "M-M*M-M*"}, 2, 0, 4),
        ({"layer_types": ["linear_attention"] * 3 + ["full_attention"]}, 1, 0, 3),
        ({"layers_block_type": ["mamba", "attention", "moe"]}, 1, 0, 1),
    ],
)
def test_every_way_of_naming_layers_is_read(extra, full, windowed, states):
    """Lists, patterns, intervals, switches."""
    geometry = read_geometry(QWEN | extra)
    assert isinstance(geometry, Geometry)
    counted = (geometry.full_layers, geometry.window_layers, geometry.state_layers)
    assert counted == (full, windowed, states)
    assert bool(geometry.unknown) == bool(states)


@pytest.mark.parametrize(
    "config",
    [
        None,
        {},
        {"num_hidden_layers": "many"},
        {"num_hidden_layers": 4},
        QWEN | {"is_encoder_decoder": True},
        QWEN | {"layer_types": ["brand_new_attention"]},
        QWEN | {"full_attention_interval": 4},
        QWEN | {"block_configs": [{}]},
        QWEN | {"linear_attn_config": {"x": 1}},
        QWEN | {"layer_types": ["sliding_attention"]},
    ],
)
def test_what_cannot_be_counted_is_unknown_and_says_so(config):
    """Never a wrong number."""
    result = fit(config, 33 * GIB, KNOBS, 1, TOTAL, FREE)
    assert result.verdict == "unknown"
    assert "Not counted: " in result.lines[-1]


def test_unknown_parts_never_hide_that_the_weights_alone_are_too_much():
    """`cannot` wins when what can be counted does not fit."""
    assert fit(None, 200 * GIB, KNOBS, 1, TOTAL, FREE).verdict == "cannot"
    assert fit(QWEN | {"block_configs": [1]}, 200 * GIB, {}, 1, TOTAL, FREE).verdict == "cannot"


@pytest.mark.parametrize(
    ("extra", "knobs", "bits"),
    [
        ({}, {}, 16),
        ({}, {"kv_cache_dtype": "auto"}, 16),
        ({}, {"kv_cache_dtype": "fp8"}, 8),
        ({}, {"kv_cache_dtype": "fp8_e4m3"}, 8),
        ({"quantization_config": {"kv_cache_scheme": {"num_bits": 8}}}, {}, 8),
        ({"quantization_config": {"kv_cache_quant_algo": "FP8"}}, {}, 8),
        ({"quantization_config": {"kv_cache_scheme": None}}, {}, 16),
        ({"quantization_config": {"kv_cache_scheme": {"num_bits": 8}}},
         {"kv_cache_dtype": "bfloat16"}, 16),
    ],
)  # fmt: skip
def test_the_type_of_the_cache_comes_from_the_knob_or_the_checkpoint(extra, knobs, bits):
    """The knob wins over the checkpoint's own scheme, that over 16 bits."""
    result = fit(QWEN | extra, 33 * GIB, knobs, 1, TOTAL, FREE)
    assert result.kv_bytes_per_token == 64 * 8 * 256 * bits // 8


def test_the_language_part_of_a_nested_config_is_read():
    """Vision models put it under text_config, Qwen Omni one deeper."""
    for config in ({"text_config": QWEN}, {"thinker_config": {"text_config": QWEN}}):
        assert fit(config, 33 * GIB, KNOBS, 1, TOTAL, FREE).kv_bytes == 8 * GIB


def test_the_limits_are_told_with_what_to_do():
    """Too long a request, too little free, too little left for the system."""
    long = fit(QWEN, 33 * GIB, {"max_model_len": 400_000}, 1, TOTAL, FREE)
    assert long.verdict == "cannot"
    assert f"set max_model_len to {long.max_tokens:,} or less" in long.lines[-1]
    busy = fit(QWEN, 33 * GIB, KNOBS, 1, TOTAL, 60 * GIB)
    assert busy.verdict == "cannot"
    assert "gpu_memory_utilization to 0.49 or less" in busy.lines[-1]
    greedy = fit(QWEN, 33 * GIB, {"gpu_memory_utilization": 0.97, "max_model_len": 4096}, 1, TOTAL,
                 120 * GIB)  # fmt: skip
    assert greedy.verdict == "tight"
    assert "left for the system" in greedy.lines[-1]


def test_weights_quantised_while_loading_count_as_loaded():
    """fp8 on a 16-bit checkpoint; an already quantised one is left alone."""
    knobs = KNOBS | {"quantization": "fp8"}
    assert fit(QWEN, 60 * GIB, knobs, 1, TOTAL, FREE).weights_bytes == 30 * GIB
    done = QWEN | {"quantization_config": {"quant_method": "fp8"}}
    assert fit(done, 33 * GIB, knobs, 1, TOTAL, FREE).weights_bytes == 33 * GIB


@pytest.mark.parametrize("missing", ["weights", "total", "free"])
def test_a_missing_figure_is_unknown(missing):
    """None is not 0."""
    result = fit(
        QWEN,
        None if missing == "weights" else 33 * GIB,
        KNOBS,
        1,
        None if missing == "total" else TOTAL,
        None if missing == "free" else FREE,
    )
    assert result.verdict == "unknown"


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.text(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
_keys = [*QWEN, "layer_types", "sliding_window", "text_config", "quantization_config",
         "kv_lora_rank", "hybrid_override_pattern", "torch_dtype", "thinker_config"]  # fmt: skip


@given(st.dictionaries(st.sampled_from(_keys), _json), st.integers(1, 8))
def test_no_config_json_whatever_breaks_the_arithmetic(config, nodes):
    """Property: strangers' files give a verdict, never an exception or a negative size."""
    result = fit(config, 33 * GIB, {}, nodes, TOTAL, FREE)
    for number in (result.kv_bytes, result.max_tokens, result.kv_bytes_per_token):
        assert number is None or number >= 0
    assert result.lines
