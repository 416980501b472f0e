"""What a model's `config.json` says about its KV cache. Pure, and honest about what it cannot tell.

Full attention, grouped heads, MLA (one compressed row per layer, never split over nodes) and
sliding windows are counted. Recurrent layers (Mamba, gated delta net) hold a state per request
instead of a row per token: they are named in `unknown`, with everything else that is not counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_NESTED = ("text_config", "llm_config", "language_config", "language_model_config")
_FULL = frozenset({"full_attention", "attention", "full", "global_attention"})
_WINDOW = frozenset({"sliding_attention", "chunked_attention", "sliding_window", "local_attention"})
_STATE = frozenset({"linear_attention", "mamba", "mamba2", "recurrent", "conv", "gated_delta_net"})
_NO_CACHE = frozenset({"mlp", "moe", "ffn"})
_UNCOUNTED = {
    "block_configs": "layers that differ from one another",
    "attn_layer_period": "mixed attention and recurrent layers",
    "attn_type_list": "mixed attention and linear layers",
    "linear_attn_config": "linear attention layers",
    "global_head_dim": "layers with heads of different sizes",
    "num_kv_shared_layers": "layers that share their cache",
    "index_topk": "a sparse attention index beside the cache",
    "ssm_cfg": "recurrent layers",
    "state_size": "recurrent layers",
}


@dataclass(frozen=True, slots=True)
class Geometry:
    """Counts are over the whole model, before it is split over nodes. None means not told."""

    full_layers: int
    window_layers: int
    state_layers: int
    window: int
    kv_heads: int
    row: int
    """numbers per token, layer and KV head: key and value together; for MLA per token and layer"""
    mla: bool
    hidden: int | None
    longest: int | None
    kv_bits: int
    unknown: tuple[str, ...] = ()


def inner(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The language part of a config that nests it (vision and speech models)."""
    thinker = config.get("thinker_config")
    if isinstance(thinker, Mapping):
        config = thinker
    for name in _NESTED:
        nested = config.get(name)
        if isinstance(nested, Mapping) and _whole(nested, "num_hidden_layers", "n_layer"):
            return nested
    return config


def read_geometry(config: Mapping[str, Any]) -> Geometry | str:
    """The geometry, or a sentence on why nothing can be told."""
    text = inner(config)
    if config.get("is_encoder_decoder") is True:
        return "it is an encoder and decoder, whose cache is not counted"
    layers = _whole(text, "num_hidden_layers", "n_layer", "num_layers")
    if layers is None:
        return "config.json does not say how many layers there are"
    full, windowed, states, doubts = _layers(text, layers)
    heads = _whole(text, "num_attention_heads", "n_head")
    row, kv_heads, mla = _row(text, heads)
    if row is None:
        return "config.json does not say how large a row of the KV cache is"
    window = _whole(text, "sliding_window", "attention_chunk_size")
    if windowed and window is None:
        doubts.append("how far the sliding layers look back")
    unknown = [*doubts, *(why for key, why in _UNCOUNTED.items() if text.get(key))]
    return Geometry(
        full_layers=full,
        window_layers=windowed,
        state_layers=states,
        window=window or 0,
        kv_heads=kv_heads,
        row=row,
        mla=mla,
        hidden=_whole(text, "hidden_size", "n_embd", "d_model"),
        longest=_whole(text, "max_position_embeddings", "n_positions", "seq_length"),
        kv_bits=_kv_bits(config, text),
        unknown=tuple(dict.fromkeys(unknown)),
    )


def _whole(config: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9:
            return value
    return None


def _layers(text: Mapping[str, Any], layers: int) -> tuple[int, int, int, list[str]]:
    """(full, windowed, recurrent, doubts), from whichever way the config tells it."""
    kinds = text.get("layer_types") or text.get("layers_block_type")
    if isinstance(kinds, list):
        return _listed([str(kind) for kind in kinds])
    pattern = text.get("hybrid_override_pattern")
    if isinstance(pattern, str):
        return _with_doubt(pattern.count("*"), 0, pattern.count("M"))
    every = _whole(text, "full_attention_interval")
    if every:
        return _with_doubt(layers // every, 0, layers - layers // every)
    return _sliding(text, layers)


def _sliding(text: Mapping[str, Any], layers: int) -> tuple[int, int, int, list[str]]:
    """For configs that only name a window: none, all, or all but every n-th layer slide."""
    if _whole(text, "sliding_window") is None or text.get("use_sliding_window") is False:
        return layers, 0, 0, []
    every = _whole(text, "sliding_window_pattern")
    if every is None and text.get("model_type") == "gemma2":
        every = 2
    if every:
        return layers // every, layers - layers // every, 0, []
    if text.get("use_sliding_window") is True and _whole(text, "max_window_layers"):
        return layers, 0, 0, ["which layers slide their window"]
    return 0, layers, 0, []


def _listed(kinds: list[str]) -> tuple[int, int, int, list[str]]:
    full = sum(kind in _FULL for kind in kinds)
    windowed = sum(kind in _WINDOW for kind in kinds)
    states = sum(kind in _STATE for kind in kinds)
    strange = sorted(set(kinds) - _FULL - _WINDOW - _STATE - _NO_CACHE)
    counted = _with_doubt(full, windowed, states)
    doubts = [f"layers of the kind {ascii(kind)[:40]}" for kind in strange[:3]]
    return *counted[:3], counted[3] + doubts


def _with_doubt(full: int, windowed: int, states: int) -> tuple[int, int, int, list[str]]:
    doubt = [f"the state that {states} recurrent layers keep for each request"] if states else []
    return full, windowed, states, doubt


def _row(text: Mapping[str, Any], heads: int | None) -> tuple[int | None, int, bool]:
    """(numbers in a row, KV heads, is MLA)."""
    rank = _whole(text, "kv_lora_rank")
    if rank is not None:
        return rank + (_whole(text, "qk_rope_head_dim") or 0), 1, True
    hidden = _whole(text, "hidden_size", "n_embd", "d_model")
    key = _whole(text, "head_dim", "attention_head_dim")
    if key is None and hidden and heads:
        key = hidden // heads
    if key is None:
        return None, 1, False
    kv_heads = _whole(text, "num_key_value_heads", "num_kv_heads", "multi_query_group_num")
    if kv_heads is None:
        kv_heads = 1 if text.get("multi_query") is True else heads or 1
    return key + (_whole(text, "v_head_dim") or key), kv_heads, False


def _kv_bits(config: Mapping[str, Any], text: Mapping[str, Any]) -> int:
    """What `kv_cache_dtype: auto` comes to: the checkpoint's own scheme, else 16 bits."""
    for part in (config, text):
        quant = part.get("quantization_config")
        if isinstance(quant, Mapping):
            scheme = quant.get("kv_cache_scheme")
            if isinstance(scheme, Mapping) and scheme.get("num_bits") == 8:
                return 8
            if str(quant.get("kv_cache_quant_algo", "")).upper() == "FP8":
                return 8
    return 16


def quantised(config: Mapping[str, Any]) -> bool:
    """Whether the checkpoint is already in fewer bits than it computes in."""
    return isinstance(config.get("quantization_config"), Mapping) or isinstance(
        inner(config).get("quantization_config"), Mapping
    )
