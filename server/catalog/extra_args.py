"""`extra_args`: further `vllm serve` flags, checked token by token.

Takes `--flag`, `--flag=value` and `--flag` followed by plain values. Refuses every flag that would
change where the engine listens, what it serves or under which name, how nodes find each other, or
that can load code or files. vLLM reads `_` as `-`, completes abbreviations, takes `--no-` forms and
dotted JSON keys (`--flag.key`); all of these are folded to one name before anything is decided, and
a flag that *could be completed to* a refused one is refused too.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from server.catalog.json_value import parse_json
from server.catalog.knob_table import KNOBS
from server.catalog.text import not_ascii, shown, words

MAX_TOKENS = 64
MAX_TOKEN = 2048

_FLAG = re.compile(r"--[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*\+?")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?[kKmMgGtT]?")
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,:+=%@-]*")
_OBJECT_NAME = re.compile(r"[A-Za-z_]\w*([.:][A-Za-z_]\w*)+")

_WHY: tuple[tuple[str, str], ...] = (
    ("host port uds root-path grpc", "where the engine listens is set by engine.port"),
    ("model model-tag tokenizer hf-config-path served-model-name", "what is served, and under "
     "which name, is set by the model's source, id and aliases"),
    ("revision code-revision tokenizer-revision", "write it as source.revision"),
    ("api-key hf-token", "a secret does not belong on a command line"),
    ("middleware worker-cls worker-extension-cls scheduler-cls logits-processors "
     "logits-processor-pattern io-processor-plugin tool-parser-plugin reasoning-parser-plugin "
     "tool-server model-class-overrides ray-workers-use-nsight "
     "kv-transfer-config kv-events-config ec-transfer-config additional-config profiler-config "
     "weight-transfer-config structured-outputs-config numa-bind-nodes",
     "it can load code or run something else"),
    ("trust-remote-code", "use the knob trust_remote_code, which the page shows for what it is"),
    ("config log-config-file download-dir chat-template allowed-local-media-path "
     "allowed-media-domains lora-modules prompt-adapters qlora-adapter-name-or-path "
     "quantization-param-path generation-config-path media-io-kwargs", "it names files or places"),
    ("ssl-keyfile ssl-certfile ssl-ca-certs ssl-cert-reqs ssl-ciphers enable-ssl-refresh "
     "allow-credentials allowed-origins allowed-methods allowed-headers "
     "trust-request-chat-template otlp-traces-endpoint collect-detailed-traces "
     "enable-offline-docs enable-tokenizer-info-endpoint",
     "it changes who may reach the engine or what leaves it"),
    ("headless nnodes node-rank master-addr master-port distributed-timeout-seconds "
     "data-parallel-size data-parallel-size-local data-parallel-rank data-parallel-start-rank "
     "data-parallel-address data-parallel-rpc-port data-parallel-backend "
     "data-parallel-hybrid-lb data-parallel-external-lb data-parallel-supervisor-port "
     "api-server-count worker-use-ray engine-use-ray", "how nodes work together is set by 'nodes'"),
    ("help version", "it prints and exits"),
)  # fmt: skip
REFUSED = {name: why for names, why in _WHY for name in names.split()}

_NAMES_CODE = "it names code, files, addresses or secrets"
_WORDS = words(
    "path paths file files dir dirs directory folder plugin plugins url urls uri host hosts "
    "port ports addr address socket uds cls class module modules middleware ssl tls keyfile "
    "certfile certs key keys secret password endpoint endpoints script command exec import "
    "template master rank nnodes headless server"
)
# Full names that hold a word above, or are the beginning of a refused name, and do no harm.
_HARMLESS = words(
    "chat-template-content-format enable-server-load-tracking max-lora-rank pooler-config "
    "attention-config kernel-config reasoning-config model-loader-extra-config compilation-config "
    "disable-access-log-for-endpoints enable-lora"
)
_KNOB_FLAGS = frozenset(knob.flag.removeprefix("--") for knob in KNOBS.values() if knob.flag)
_JSON_FLAGS = words(
    "pooler-config attention-config kernel-config reasoning-config model-loader-extra-config "
    "compilation-config"
) | frozenset(knob.flag.removeprefix("--") for knob in KNOBS.values() if knob.type == "json")
# Objects in which more than these keys can name code: everything else in them is refused.
_ONLY_KEYS = {
    "compilation-config": words(
        "level mode cudagraph_mode cudagraph_capture_sizes max_cudagraph_capture_size custom_ops "
        "cudagraph_num_of_warmups use_inductor use_inductor_graph_partition use_cudagraph "
        "full_cuda_graph compile_sizes pass_config"
    )
}


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag as vLLM would read it: `name` folded to dashes, without `--`, `no-` and JSON keys."""

    token: str
    name: str
    negated: bool
    json_key: str
    values: tuple[str, ...]


def check_extra_args(tokens: object) -> tuple[tuple[str, ...], list[str]]:
    """(the tokens, problems). The tokens are empty when there is any problem."""
    if isinstance(tokens, str) or not isinstance(tokens, Sequence):
        return (), ['must be a list of texts, e.g. ["--enable-prefix-caching"]']
    texts = [token for token in tokens if isinstance(token, str)]
    if len(texts) != len(tokens):
        return (), ["must hold texts only: put numbers in quotes"]
    if len(texts) > MAX_TOKENS:
        return (), [f"has {len(texts)} tokens; {MAX_TOKENS} at most"]
    flags, problems = read_flags(texts)
    for flag in flags:
        problem = bad_flag(flag)
        if problem:
            problems.append(f"{shown(flag.token)} {problem}")
    seen: set[str] = set()
    for flag in flags:
        twin = flag.name + flag.json_key
        if twin in seen:
            problems.append(f"{shown(flag.token)} is given twice")
        seen.add(twin)
    return (() if problems else tuple(texts)), problems


def read_flags(tokens: Sequence[str]) -> tuple[list[Flag], list[str]]:
    """The flags with their values, and what could not be read."""
    flags: list[Flag] = []
    problems: list[str] = []
    for token in tokens:
        problem = not_ascii(token) or ("is empty" if not token else None)
        if problem or len(token) > MAX_TOKEN:
            problems.append(f"{shown(token)} {problem or 'is too long'}")
        elif token.startswith("--") and len(token) > 2:
            _read_flag(token, flags, problems)
        elif _is_value(token) and flags:
            last = flags[-1]
            values = (*last.values, token)
            flags[-1] = Flag(last.token, last.name, last.negated, last.json_key, values)
        else:
            problems.append(f"{shown(token)} {_not_a_flag(token, bool(flags))}")
    return flags, problems


def _read_flag(token: str, flags: list[Flag], problems: list[str]) -> None:
    head, equals, value = token.partition("=")
    if not _FLAG.fullmatch(head):
        problems.append(f"{shown(token)} is not a flag of vllm serve")
        return
    if equals and not _is_value(value):
        problems.append(f"{shown(token)} has a value that is not plain: {_not_plain(value)}")
        return
    name, dot, key = head.removeprefix("--").removesuffix("+").partition(".")
    folded = name.replace("_", "-").lower()
    negated = folded.startswith("no-")
    bare = folded.removeprefix("no-")
    flags.append(Flag(head, bare, negated, dot + key, (value,) if equals else ()))


def _is_value(text: str) -> bool:
    if _NUMBER.fullmatch(text):
        return True
    if text.startswith("{"):
        return True
    return bool(_PLAIN.fullmatch(text)) and not _OBJECT_NAME.fullmatch(text)


def _not_plain(value: str) -> str:
    if _OBJECT_NAME.fullmatch(value):
        return "it reads like the name of a Python object"
    return "use letters, digits and . , : + = % @ _ -"


def _not_a_flag(token: str, after_flag: bool) -> str:
    if token.startswith("--"):
        return "is refused: it ends the flags"
    if token.startswith("-"):
        return "is a short form: write the long one, which begins with --"
    if not after_flag:
        return "is not a flag: a value must follow one"
    return f"is not a plain value: {_not_plain(token)}"


def bad_flag(flag: Flag) -> str | None:
    """A sentence, or None when the flag may be given."""
    why = _refusal(flag.name)
    if why:
        return f"is refused: {why}"
    if flag.json_key and flag.name not in _JSON_FLAGS:
        return "takes no keys"
    if len(flag.values) > 1 and not all(_NUMBER.fullmatch(value) for value in flag.values):
        return "has more than one value"
    for value in flag.values:
        if value.startswith("{") or flag.json_key:
            problem = _bad_json(flag, value)
            if problem:
                return problem
    return None


def _refusal(name: str) -> str | None:
    """Why a folded name is refused. Abbreviations of a refused name are refused with it."""
    if name in REFUSED:
        return REFUSED[name]
    if name in _HARMLESS or name in _KNOB_FLAGS:
        return None
    for other, why in REFUSED.items():
        if other.startswith(name):
            return f"vllm would read it as --{other}, and {why}"
    if _WORDS.intersection(name.split("-")):
        return _NAMES_CODE
    if name.endswith("-config") or "-config-" in name:
        return "it can load code or run something else"
    return None


def _bad_json(flag: Flag, value: str) -> str | None:
    if flag.name not in _JSON_FLAGS:
        return "takes no JSON here"
    tree: object = value
    if flag.json_key:
        for key in reversed(flag.json_key.removeprefix(".").split(".")):
            tree = {key.replace("-", "_"): tree}
    text, problem = parse_json(tree)
    only = _ONLY_KEYS.get(flag.name)
    if text is None or only is None:
        return problem
    other = sorted(set(json.loads(text)) - only)
    return f"may not set {shown(other[0])}: it can load code or files" if other else None
