"""The typed schema of the knobs: common `vllm serve` flags, with bounds and a line of help each.

Owns the table only; `knobs` reads it. `choices` are the whole list where vLLM's own list is stable;
where it grows with every release (parsers), `suggestions` are offered and any plain word is taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

KnobType = Literal["int", "float", "bool", "str", "json", "args"]


@dataclass(frozen=True, slots=True)
class Knob:
    """One flag. Booleans `on_by_default` go off with `--no-…`, others by being left out."""

    name: str
    flag: str
    type: KnobType
    help: str
    group: str = "engine"
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()
    default: str = ""
    on_by_default: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "flag": self.flag,
            "type": self.type,
            "group": self.group,
            "help": self.help,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "choices": list(self.choices),
            "suggestions": list(self.suggestions),
            "default": self.default,
        }


def _number(
    kind: Literal["int", "float"],
    name: str,
    low: float,
    high: float,
    help_: str,
    *,
    default: str = "",
    group: str = "engine",
) -> Knob:
    flag = f"--{name.replace('_', '-')}"
    return Knob(name, flag, kind, help_, group, low, high, default=default)


def _word(
    name: str, help_: str, choices: str = "", suggestions: str = "", group: str = "engine"
) -> Knob:
    return Knob(
        name,
        f"--{name.replace('_', '-')}",
        "str",
        help_,
        group,
        choices=tuple(choices.split()),
        suggestions=tuple(suggestions.split()),
    )


def _switch(name: str, help_: str, group: str = "engine", *, on: bool = False) -> Knob:
    flag = f"--{name.replace('_', '-')}"
    return Knob(name, flag, "bool", help_, group, default="on" if on else "off", on_by_default=on)


def _json(name: str, help_: str, group: str = "model") -> Knob:
    return Knob(name, f"--{name.replace('_', '-')}", "json", help_, group)


_MEMORY = (
    _number(
        "int",
        "max_model_len",
        1,
        16_777_216,
        "Longest prompt plus answer, in tokens. Lower it when the KV cache does not fit.",
        default="the model's own",
        group="memory",
    ),
    _number(
        "float",
        "gpu_memory_utilization",
        0.05,
        0.97,
        "Share of the machine's memory the engine takes. It is unified on a Spark: what is left is "
        "all that the system, the page cache and other containers have.",
        default="0.9",
        group="memory",
    ),
    _word(
        "kv_cache_dtype",
        "Type of the KV cache. fp8 holds twice as many tokens as bfloat16.",
        "auto bfloat16 float16 fp8 fp8_e4m3 fp8_e5m2 fp8_inc fp8_ds_mla nvfp4",
        group="memory",
    ),
    _number(
        "int",
        "max_num_seqs",
        1,
        8192,
        "Most requests that run together.",
        default="by vLLM",
        group="memory",
    ),
    _number(
        "int",
        "max_num_batched_tokens",
        64,
        1_048_576,
        "Most tokens in one step. Higher fills prompts faster and needs more working memory.",
        default="by vLLM",
        group="memory",
    ),
    _number(
        "float",
        "swap_space",
        0,
        64,
        "GiB of CPU memory for swapped requests. Unified memory: it comes out of the same 128 GB.",
        group="memory",
    ),
    _number(
        "float",
        "cpu_offload_gb",
        0,
        120,
        "GiB of weights kept in CPU memory. Unified memory: this saves nothing on a Spark.",
        default="0",
        group="memory",
    ),
    _number(
        "int",
        "block_size",
        1,
        2048,
        "Tokens in one KV cache block.",
        default="by vLLM",
        group="memory",
    ),
    _word(
        "mamba_ssm_cache_dtype",
        "Type of the recurrent state of hybrid models (Nemotron, Qwen3-Next).",
        "auto float32 float16",
        group="memory",
    ),
)

_MODEL = (
    _word(
        "dtype",
        "Type the weights are computed in.",
        "auto bfloat16 float16 half float float32",
        group="model",
    ),
    _word(
        "quantization",
        "Only when the model does not say it itself (or fp8, to quantise while loading).",
        suggestions="fp8 awq awq_marlin gptq gptq_marlin compressed-tensors modelopt modelopt_fp4 "
        "mxfp4 bitsandbytes",
        group="model",
    ),
    _word(
        "load_format",
        "How weights are read.",
        "auto safetensors fastsafetensors mistral pt npcache dummy gguf bitsandbytes "
        "sharded_state runai_streamer",
        group="model",
    ),
    _word("tokenizer_mode", "Which tokenizer.", "auto hf slow mistral", group="model"),
    _word("config_format", "Which configuration file.", "auto hf mistral", group="model"),
    _word(
        "generation_config",
        "auto: sampling defaults of the model; vllm: those of vLLM.",
        "auto vllm",
        group="model",
    ),
    _word("model_impl", "Which implementation.", "auto vllm transformers", group="model"),
    _word("runner", "What the model does.", "auto generate pooling draft", group="model"),
    _switch(
        "trust_remote_code",
        "Runs Python code that comes with the model. Only for publishers you trust.",
        "model",
    ),
    _number("int", "seed", 0, 4_294_967_295, "Seed of random sampling.", group="model"),
    _number(
        "int", "max_logprobs", -1, 1_000_000, "Most log probabilities; -1 for all.", default="20"
    ),
    _json("override_generation_config", 'Sampling defaults, e.g. {"temperature": 0.7}.'),
    _json("hf_overrides", "Changes to the model's own config.json."),
    _json("rope_scaling", "Longer context (older vLLM; newer ones take it in hf_overrides)."),
    _json("limit_mm_per_prompt", 'Most pictures and so on in a prompt, e.g. {"image": 4}.'),
    _json("mm_processor_kwargs", "Settings of the picture processor."),
    _json("default_chat_template_kwargs", 'E.g. {"enable_thinking": false}.'),
)

_TOOLS = (
    _word(
        "tool_call_parser",
        "How tool calls are read from the answer. Turns on automatic tool choice.",
        suggestions="hermes qwen3_coder qwen3_xml openai llama3_json llama4_pythonic mistral "
        "pythonic glm45 glm47 deepseek_v3 deepseek_v31 minimax_m2 kimi_k2 granite gemma4",
        group="tools",
    ),
    _switch("enable_auto_tool_choice", "The model may call tools by itself.", "tools"),
    _word(
        "reasoning_parser",
        "How thinking is told from the answer.",
        suggestions="qwen3 deepseek_r1 deepseek_v3 openai_gptoss glm45 mistral minimax_m2 "
        "minimax_m2_append_think nemotron_v3 granite step3 hunyuan_a13b",
        group="tools",
    ),
)

_SPEED = (
    _number(
        "int",
        "tensor_parallel_size",
        1,
        8,
        "Over how many GPUs each layer is split. One GPU per Spark.",
        default="the number of nodes",
        group="speed",
    ),
    _number(
        "int",
        "pipeline_parallel_size",
        1,
        8,
        "Over how many GPUs the layers are dealt out.",
        default="1",
        group="speed",
    ),
    _switch("enable_prefix_caching", "Reuse the work for a shared beginning.", "speed", on=True),
    _switch("enable_chunked_prefill", "Mix long prompts with answers.", "speed", on=True),
    _switch("async_scheduling", "Prepare the next step while the GPU works.", "speed", on=True),
    _switch("enable_expert_parallel", "Deal out whole experts over the nodes.", "speed"),
    _switch("enforce_eager", "No CUDA graphs: starts sooner, answers slower.", "speed"),
    _word(
        "attention_backend",
        "Attention kernels.",
        suggestions="FLASH_ATTN FLASHINFER TRITON_ATTN FLASH_ATTN_MLA TRITON_MLA",
        group="speed",
    ),
    _word("distributed_executor_backend", "How nodes work together.", "mp ray uni", group="speed"),
    _json(
        "speculative_config",
        'Speculative decoding, e.g. {"method": "ngram", "num_speculative_tokens": 4}.',
        "speed",
    ),
)

EXTRA_ARGS = Knob(
    "extra_args",
    "",
    "args",
    "Further flags of vllm serve, as a list of --flag, --flag=value or --flag and its value.",
    "more",
)


def table() -> Mapping[str, Knob]:
    """Every knob by name, in the order forms show them."""
    rows = (*_MEMORY, *_MODEL, *_TOOLS, *_SPEED, EXTRA_ARGS)
    return MappingProxyType({knob.name: knob for knob in rows})


KNOBS: Mapping[str, Knob] = table()
