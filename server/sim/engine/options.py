"""The command line of `vllm serve`, as far as the simulated engine must understand or refuse it.

Owns which flags exist. Refuses an unknown flag with vLLM's own message and exit code 2, so that a
mistake in a catalog is seen here as it would be on a Spark.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


TOGGLES = _names(
    """
    allow-credentials async-scheduling calculate-kv-scales disable-access-log-for-endpoints
    disable-cascade-attn disable-custom-all-reduce disable-fastapi-docs
    disable-frontend-multiprocessing disable-hybrid-kv-cache-manager disable-log-requests
    disable-log-stats disable-mm-preprocessor-cache disable-sliding-window
    disable-uvicorn-access-log enable-auto-tool-choice enable-chunked-prefill enable-dbo
    enable-eplb enable-expert-parallel enable-flashinfer-autotune enable-force-include-usage
    enable-log-outputs enable-log-requests enable-lora enable-mfu-metrics
    enable-multimodal-encoder-data-parallel enable-prefix-caching enable-prompt-embeds
    enable-prompt-tokens-details enable-request-id-headers enable-return-routed-experts
    enable-server-load-tracking enable-sleep-mode enable-ssl-refresh
    enable-tokenizer-info-endpoint enforce-eager exclude-tools-when-tool-choice-none
    fully-sharded-loras generate-dummy headless kv-sharing-fast-prefill language-model-only
    mm-encoder-only ray-workers-use-nsight return-tokens-as-token-ids safetensors-prefetch
    skip-mm-profiling skip-tokenizer-init tokens-only trust-remote-code
    trust-request-chat-template use-tqdm-on-load verbose
    """
)

VALUED = _names(
    """
    aggregate-engine-logging all2all-backend allowed-headers allowed-local-media-path
    allowed-media-domains allowed-methods allowed-origins api-key api-server-count
    attention-backend attention-config block-size chat-template chat-template-content-format
    code-revision collect-detailed-traces compilation-config config config-format convert
    cpu-offload-gb cudagraph-capture-sizes data-parallel-address data-parallel-backend
    data-parallel-rank data-parallel-rpc-port data-parallel-size data-parallel-size-local
    data-parallel-start-rank dcp-kv-cache-interleave-size decode-context-parallel-size
    default-chat-template-kwargs default-mm-loras distributed-executor-backend
    distributed-timeout-seconds download-dir dtype ec-transfer-config eplb-config
    expert-placement-strategy generation-config gpu-memory-utilization guided-decoding-backend
    h11-max-header-count h11-max-incomplete-event-size hf-config-path hf-overrides hf-token host
    ignore-patterns interleave-mm-strings io-processor-plugin kernel-config kv-cache-dtype
    kv-cache-memory-bytes kv-cache-metrics-sample kv-events-config kv-offloading-backend
    kv-offloading-size kv-transfer-config limit-mm-per-prompt load-format logits-processor-pattern
    logits-processors logprobs-mode long-context-attention long-prefill-token-threshold lora-dtype
    lora-modules mamba-block-size mamba-cache-dtype mamba-cache-mode mamba-ssm-cache-dtype
    master-addr master-port max-cpu-loras max-cudagraph-capture-size max-log-len max-logprobs
    max-long-partial-prefills max-lora-rank max-loras max-model-len max-num-batched-tokens
    max-num-partial-prefills max-num-seqs max-parallel-loading-workers max-seq-len-to-capture
    media-io-kwargs middleware mm-encoder-attn-backend mm-encoder-tp-mode mm-processor-cache-gb
    mm-processor-cache-type mm-processor-kwargs model model-class-overrides model-impl
    model-loader-extra-config moe-backend nnodes node-rank num-gpu-blocks-override
    num-lookahead-slots optimization-level otlp-traces-endpoint override-attention-dtype
    override-generation-config override-pooler-config performance-mode pipeline-parallel-size
    pooler-config port prefill-context-parallel-size prefix-caching-hash-algo profiler-config
    pt-load-map-location quantization reasoning-config reasoning-parser reasoning-parser-plugin
    response-role revision root-path rope-scaling rope-theta runner safetensors-load-strategy
    scheduler-cls scheduling-policy seed served-model-name show-hidden-metrics-for-version
    sleep-mode spec-method speculative-config ssl-ca-certs ssl-cert-reqs ssl-certfile ssl-ciphers
    ssl-keyfile stream-interval structured-outputs-config swap-space task tensor-parallel-size
    tokenizer tokenizer-mode tokenizer-revision tool-call-parser tool-parser-plugin tool-server
    uds uvicorn-log-level video-pruning-rate weight-transfer-config worker-cls
    worker-extension-cls
    """
)

SHORT = {
    "-tp": "tensor-parallel-size",
    "-pp": "pipeline-parallel-size",
    "-dp": "data-parallel-size",
    "-q": "quantization",
    "-n": "nnodes",
    "-r": "node-rank",
    "-cc": "compilation-config",
    "-ac": "attention-config",
    "-sc": "speculative-config",
    "-O": "optimization-level",
    "-ep": "enable-expert-parallel",
}

MANY = _names(
    """
    allowed-media-domains api-key collect-detailed-traces cudagraph-capture-sizes
    disable-access-log-for-endpoints ignore-patterns logits-processors lora-modules middleware
    served-model-name
    """
)


class UsageError(Exception):
    """What argparse prints before it leaves with 2."""


@dataclass(slots=True)
class Options:
    """The flags given: `values` by long name, `many` for flags that take several words."""

    model: str
    values: dict[str, str] = field(default_factory=dict)
    many: dict[str, list[str]] = field(default_factory=dict)
    toggles: set[str] = field(default_factory=set)

    def text(self, name: str, default: str) -> str:
        return self.values.get(name, default)

    def number(self, name: str, default: float) -> float:
        raw = self.values.get(name)
        if raw is None:
            return default
        try:
            return float(raw)
        except ValueError:
            raise UsageError(f"argument --{name}: invalid float value: {raw!r}") from None

    def whole(self, name: str, default: int) -> int:
        raw = self.values.get(name)
        if raw is None:
            return default
        try:
            return _human(raw) if name == "max-model-len" else int(raw)
        except ValueError:
            raise UsageError(f"argument --{name}: invalid int value: {raw!r}") from None


def _human(raw: str) -> int:
    """`32k` is 32000 and `32K` is 32768, as vLLM reads --max-model-len; `auto` is -1."""
    units = {"k": 1000, "m": 10**6, "K": 1024, "M": 1024**2}
    if raw in ("-1", "auto"):
        return -1
    if raw and raw[-1] in units:
        return int(float(raw[:-1]) * units[raw[-1]])
    return int(raw)


def parse(words: Sequence[str]) -> Options:
    """The words after `vllm serve`. Raises UsageError."""
    given = Options(model="Qwen/Qwen3-0.6B")
    rest = list(words)
    if rest and not rest[0].startswith("-"):
        given.model = rest.pop(0)
    unknown: list[str] = []
    while rest:
        word = rest.pop(0)
        name, _, inline = word.partition("=")
        key = SHORT.get(name) or (name[2:].replace("_", "-") if name.startswith("--") else "")
        if key.startswith("no-") and key[3:] in TOGGLES:
            given.toggles.discard(key[3:])
        elif key in TOGGLES and key not in MANY:
            given.toggles.add(key)
        elif key in VALUED or key in MANY or key.partition(".")[0] in VALUED:
            _take(given, key, inline if "=" in word else None, rest)
        else:
            unknown.append(word)
    if unknown:
        raise UsageError(f"unrecognized arguments: {' '.join(unknown)}")
    return given


def _take(given: Options, key: str, inline: str | None, rest: list[str]) -> None:
    if key in MANY:
        taken = [inline] if inline is not None else []
        while rest and not rest[0].startswith("-"):
            taken.append(rest.pop(0))
        if not taken:
            raise UsageError(f"argument --{key}: expected at least one argument")
        given.many[key] = taken
        return
    if inline is None:
        if not rest or (rest[0].startswith("--")):
            raise UsageError(f"argument --{key}: expected one argument")
        inline = rest.pop(0)
    given.values[key] = inline
    if key == "model":
        given.model = inline
