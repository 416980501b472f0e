"""Environment variables a model entry may set for its engine.

Refuses what would load code into the engine, move its files, or put a secret into a file that is
shown on a page and in a command preview.
"""

import re
from collections.abc import Mapping

from server.catalog.text import unseen

NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")
MAX_VALUE = 4096

_LOADS_CODE = re.compile(
    r"LD_.*|DYLD_.*|GCONV_PATH|PYTHON.*|PATH|CDPATH|HOME|SHELL|ENV|BASH_.*|BASHOPTS|SHELLOPTS|IFS|"
    r"PS[0-9]|PROMPT_COMMAND|PERL.*|RUBY.*|NODE_.*|JAVA_TOOL_OPTIONS|GIT_.*|SSH_.*|DOCKER_.*|"
    r"NVIDIA_(VISIBLE_DEVICES|DRIVER_CAPABILITIES)|CUDA_INJECTION64_PATH|CUDA_HOME|CUDA_PATH|"
    r"TORCHINDUCTOR_.*PATH|TRITON_.*(PATH|BIN|DIR)|NCCL_(NET|TUNER|PROFILER)_PLUGIN|"
    r"VLLM_PLUGINS|VLLM_CONFIG_ROOT|VLLM_LOGGING_CONFIG_PATH|VLLM_CACHE_ROOT|VLLM_ASSETS_CACHE|"
    r"VLLM_ALLOW_INSECURE_SERIALIZATION|VLLM_SERVER_DEV_MODE|VLLM_.*(_PATH|_DIR|_SO)|"
    r"CC|CXX|NVCC.*|CFLAGS|CXXFLAGS|LDFLAGS|TMPDIR|.*_PRELOAD|(HTTPS?|ALL|NO|FTP)_PROXY"
)
_OURS = re.compile(
    r"HF_HOME|HF_HUB_CACHE|HF_ENDPOINT|HUGGINGFACE_HUB_CACHE|TRANSFORMERS_CACHE|XDG_.*|"
    r"VLLM_HOST_IP|VLLM_PORT|MASTER_(ADDR|PORT)|RANK|LOCAL_RANK|WORLD_SIZE|"
    r"SPARK_CONTROL.*|CONTAINER_.*|CLUSTER_NODES|COPY_HOSTS|LOCAL_IP|ETH_IF|IB_IF"
)
_SECRET = re.compile(
    r"(.*_)?(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|API_?KEY|ACCESS_?KEY|"
    r"PRIVATE_?KEY|APIKEY|KEY)(_.*)?"
)
_SECRET_VALUE = re.compile(r"(hf_|nvapi-|sk-|ghp_|github_pat_|glpat-|xox[bp]-)[A-Za-z0-9_-]{8,}")
_NOT_SECRET = frozenset({"TOKENIZERS_PARALLELISM", "VLLM_TOKENIZERS_PARALLELISM"})


def bad_name(name: str) -> str | None:
    """A sentence, or None when the name may be set."""
    if not NAME.fullmatch(name):
        return "is not a variable name: use capital letters, digits and _"
    if name in _NOT_SECRET:
        return None
    if _SECRET.fullmatch(name):
        return (
            "looks like a secret, and this file is shown on pages and in command previews: keep "
            "tokens on the host instead ('hf auth login' writes one into the Hugging Face cache)"
        )
    if _LOADS_CODE.fullmatch(name):
        return "is refused, because it can make the engine load other code or files"
    if _OURS.fullmatch(name):
        return "is refused, because Spark Control sets it: change the matching engine setting"
    return None


def bad_value(value: str) -> str | None:
    if len(value) > MAX_VALUE:
        return f"is {len(value)} characters long; {MAX_VALUE} at most"
    if _SECRET_VALUE.search(value):
        return (
            "holds what looks like a token: keep tokens on the host ('hf auth login' writes one "
            "into the Hugging Face cache)"
        )
    return unseen(value)


def check_env(env: object) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The variables that may be set, and (name, sentence) for each that may not."""
    if not isinstance(env, Mapping):
        return {}, [("", "must be a mapping of names to values")]
    clean: dict[str, str] = {}
    problems: list[tuple[str, str]] = []
    for name, given in env.items():
        if not isinstance(name, str):
            problems.append((str(name), "is not a variable name: put it in quotes"))
            continue
        if isinstance(given, bool) or not isinstance(given, str | int | float):
            problem: str | None = 'must be a text or a number (write "1" or "0" for yes and no)'
        else:
            problem = bad_name(name) or bad_value(str(given))
        if problem:
            problems.append((name, problem))
        else:
            clean[name] = str(given)
    return clean, problems
