"""The shape of well-known model families: the fields of a real `config.json` that decide memory.

Owns numbers only; refuses weights. A repository whose name matches no family gets a small Qwen3.
"""

import re
from typing import Any


def _dense(architecture: str, kind: str, *sizes: int) -> dict[str, Any]:
    """`sizes` are layers, hidden size, heads, key-value heads, context."""
    layers, hidden, heads, kv, context = sizes
    return {
        "architectures": [architecture],
        "model_type": kind,
        "hidden_size": hidden,
        "intermediate_size": hidden * 3,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "head_dim": 128,
        "max_position_embeddings": context,
        "rope_theta": 1000000,
        "rms_norm_eps": 1e-06,
        "hidden_act": "silu",
        "torch_dtype": "bfloat16",
        "tie_word_embeddings": False,
        "transformers_version": "4.57.1",
        "use_cache": True,
    }


FAMILIES: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        r"qwen3.*235b",
        _dense("Qwen3MoeForCausalLM", "qwen3_moe", 94, 4096, 64, 4, 262144)
        | {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 1536},
    ),
    (
        r"qwen3.*30b",
        _dense("Qwen3MoeForCausalLM", "qwen3_moe", 48, 2048, 32, 4, 262144)
        | {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768},
    ),
    (r"qwen3.*32b", _dense("Qwen3ForCausalLM", "qwen3", 64, 5120, 64, 8, 40960)),
    (r"qwen3.*0\.6b", _dense("Qwen3ForCausalLM", "qwen3", 28, 1024, 16, 8, 40960)),
    (r"qwen2\.5", _dense("Qwen2ForCausalLM", "qwen2", 28, 3584, 28, 4, 32768)),
    (r"llama.*70b", _dense("LlamaForCausalLM", "llama", 80, 8192, 64, 8, 131072)),
    (r"llama", _dense("LlamaForCausalLM", "llama", 32, 4096, 32, 8, 131072)),
    (
        r"gpt-oss-120b",
        _dense("GptOssForCausalLM", "gpt_oss", 36, 2880, 64, 8, 131072)
        | {"head_dim": 64, "num_local_experts": 128, "num_experts_per_tok": 4},
    ),
    (
        r"gpt-oss",
        _dense("GptOssForCausalLM", "gpt_oss", 24, 2880, 64, 8, 131072)
        | {"head_dim": 64, "num_local_experts": 32, "num_experts_per_tok": 4},
    ),
    (r"gemma", _dense("Gemma2ForCausalLM", "gemma2", 42, 3584, 16, 8, 8192)),
    (r"mistral|devstral", _dense("MistralForCausalLM", "mistral", 40, 5120, 32, 8, 131072)),
    (r"", _dense("Qwen3ForCausalLM", "qwen3", 36, 2560, 32, 8, 40960)),
)

KNOWN_ARCHITECTURES = tuple(
    sorted(
        {name for _, config in FAMILIES for name in config["architectures"]}
        | {
            "DeepseekV3ForCausalLM",
            "Gemma3ForConditionalGeneration",
            "Glm4MoeForCausalLM",
            "MiniMaxM2ForCausalLM",
            "NemotronHForCausalLM",
            "Qwen3NextForCausalLM",
            "Qwen3VLMoeForConditionalGeneration",
        }
    )
)


def config_for(repository: str) -> dict[str, Any]:
    """The `config.json` of the family that `repository` names."""
    for pattern, config in FAMILIES:
        if re.search(pattern, repository.lower()):
            found = dict(config)
            break
    if "fp8" in repository.lower():
        found["quantization_config"] = {"quant_method": "fp8", "activation_scheme": "dynamic"}
    return found
