# ruff: noqa: E501 (samples of log lines)
"""Every failure signature: a real-looking line, the code it gives, the value it names."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.launch.signature_table import GENERIC, TABLE
from server.launch.signatures import diagnose, excerpt

SAMPLES: tuple[tuple[str, str, str], ...] = (
    ("docker_denied", "docker: permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock", "docker"),
    ("docker_down", "docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", "Docker"),
    ("no_gpu_runtime", 'docker: Error response from daemon: could not select device driver "nvidia" with capabilities: [[gpu]]', "GPU"),
    ("no_gpu_runtime", 'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].', "GPU"),
    ("image_missing", "Unable to find image 'vllm-node:latest' locally", "vllm-node:latest"),
    ("image_missing", "docker: Error response from daemon: No such image: vllm-node:latest", "vllm-node:latest"),
    ("image_missing", "docker: Error response from daemon: pull access denied for vllm-node, repository does not exist", "vllm-node"),
    ("image_mismatch", "Error: Docker image mismatch on worker node (198.51.100.12):", "198.51.100.12"),
    ("exec_format", "exec /usr/local/bin/vllm: exec format error", "processor"),
    ("vllm_not_in_image", 'OCI runtime create failed: exec: "vllm": executable file not found in $PATH', "vllm"),
    ("name_taken", 'Conflict. The container name "/spark-control-engine" is already in use by container "0a1b".', "name"),
    ("mount_failed", "docker: Error response from daemon: invalid mount config for type bind", "folder"),
    ("already_running", "Cluster containers are already running. Skipping launch.", "earlier"),
    ("already_running", "Warning: Container 'vllm_node' is already running...", "earlier"),
    ("node_ssh", "Error: Passwordless SSH to 198.51.100.12 failed.", "198.51.100.12"),
    ("wrong_head", "Error: Local IP (192.0.2.11) is not in the list of nodes (10.0.0.1,10.0.0.2)", "192.0.2.11"),
    ("interfaces", "Error: No active IB interfaces found.", "interfaces"),
    ("interfaces", "Error: Unexpected number of active CX7 interfaces (1)", "interfaces"),
    ("ray_start", "Timeout waiting for cluster to start.", "Ray"),
    ("too_few_nodes", "Error: Command requires 4 nodes (tp=4 * pp=1 * dp=1) but only 3 node(s) are configured.", "4 nodes and 3"),
    ("mod_failed", "Error: Patch script failed on 198.51.100.12", "198.51.100.12"),
    ("checkout_syntax", "Error: Unknown argument or action: --solo", "--solo"),
    ("memory_taken", "ValueError: Free memory on device cuda:0 (2.6/121.63 GiB) on startup is less than desired GPU memory utilization (0.08, 9.73 GiB). Decrease GPU memory utilization", "9.73 GiB"),
    ("memory_taken", "ValueError: Free memory on device (2.6/121.63 GiB) on startup is less than desired GPU memory utilization (0.9, 109.5 GiB).", "2.6 of 121.63"),
    ("context_too_long", "ValueError: The model's max seq len (131072) is larger than the maximum number of tokens that can be stored in KV cache (90832). Try increasing `gpu_memory_utilization`", "90832"),
    ("context_too_long", "ValueError: To serve at least one request with the models's max seq len (262144), (24.00 GiB KV cache is needed, which is larger than the available KV cache memory (8.10 GiB). Based on the available memory, the estimated maximum model length is 88432.", "88432"),
    ("context_too_long", "ValueError: To serve at least one request with the model's max seq len (262144), 24.00 GiB KV cache is needed, which is larger than the available KV cache memory (8.10 GiB).", "262144"),
    ("no_kv_memory", "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`", "KV cache"),
    ("no_kv_memory", "INFO Available KV cache memory: -2.26 GiB", "-2.26"),
    ("cuda_oom", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.54 GiB. GPU 0 has a total capacity of 121.63 GiB", "2.54 GiB"),
    ("driver_oom", "NVRM: nvCheckOkFailedNoLog: Check failed: Out of memory [NV_ERR_NO_MEMORY] (0x00000051) returned from _memdescAllocInternal", "standstill"),
    ("ray_oom", "ray.exceptions.OutOfMemoryError: 1 worker(s) were killed due to the node running low on memory.", "Ray"),
    ("host_oom", "Out of memory: Killed process 4242 (VLLM::EngineCor)", "host"),
    ("shm_full", "RuntimeError: unable to write to file </torch_12>: No space left on device /dev/shm", "shared memory"),
    ("disk_full", "OSError: [Errno 28] No space left on device", "disk"),
    ("gated", "huggingface_hub.errors.GatedRepoError: 401 Client Error. Cannot access gated repo for url https://huggingface.co/meta/x", "gated"),
    ("gated", "Access to model meta-llama/Llama-3.3-70B is restricted. You must have access to it", "meta-llama/Llama-3.3-70B"),
    ("hf_denied", "requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://huggingface.co/api/models/x", "refused"),
    ("repo_not_found", "huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error. Repository Not Found for url: https://huggingface.co/x/y", "no such model"),
    ("repo_not_found", "OSError: org/nothing is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'", "org/nothing"),
    ("revision_not_found", "huggingface_hub.errors.RevisionNotFoundError: 404 Client Error.", "revision"),
    ("hub_offline", "huggingface_hub.errors.LocalEntryNotFoundError: An error happened while trying to locate the file on the Hub", "complete"),
    ("broken_weights", "safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge", "broken"),
    ("broken_weights", "SafetensorError: Error while deserializing header: MetadataIncompleteBuffer", "broken"),
    ("missing_weights", "RuntimeError: Cannot find any model weights with `/srv/models/x`", "missing"),
    ("missing_weights", "FileNotFoundError: No such file or directory: '/srv/models/x/model-00002-of-00002.safetensors'", "model-00002"),
    ("trust_remote_code", "ValueError: The repository for x contains custom code which must be executed. Please pass the argument `trust_remote_code=True`", "own code"),
    ("unknown_architecture", "ValueError: Model architectures ['Qwen9ForCausalLM'] are not supported for now.", "Qwen9ForCausalLM"),
    ("unknown_architecture", "ValueError: The checkpoint you are trying to load has model type `qwen9` but Transformers does not recognize this architecture.", "qwen9"),
    ("unknown_architecture", "ValueError: Qwen9ForCausalLM has no vLLM implementation and the Transformers implementation is not compatible with vLLM.", "Qwen9ForCausalLM"),
    ("tokenizer", "OSError: Can't load tokenizer for '/srv/models/x'.", "tokenizer"),
    ("tokenizer", "ValueError: Tokenizer class Qwen9Tokenizer does not exist or is not currently imported.", "Qwen9Tokenizer"),
    ("bad_config", "OSError: /srv/models/x does not appear to have a file named config.json.", "config.json"),
    ("files_denied", "PermissionError: [Errno 13] Permission denied: '/root/.cache/huggingface/hub/models--x'", "/root/.cache"),
    ("bad_tool_parser", "KeyError: 'invalid tool call parser: hermez (chose from { hermes,mistral })'", "hermez"),
    ("bad_tool_parser", "vllm serve: error: argument --tool-call-parser: invalid choice: 'hermez'", "hermez"),
    ("bad_reasoning_parser", "KeyError: 'invalid reasoning parser: deepthink (chose from { qwen3 })'", "deepthink"),
    ("unknown_arguments", "vllm: error: unrecognized arguments: --enable-magic --other", "--enable-magic --other"),
    ("unknown_arguments", "vllm serve: error: argument --max-model-len: invalid value 'x'", "--max-model-len"),
    ("not_divisible", "ValueError: Total number of attention heads (20) must be divisible by tensor parallel size (3).", "20"),
    ("not_divisible", "AssertionError: 151936 is not divisible by 3", "151936"),
    ("longer_than_model", "ValueError: User-specified max_model_len (65536) is greater than the derived max_model_len (max_position_embeddings=40960 or model_max_length=None in model's config.json).", "40960"),
    ("quantization", "ValueError: Unknown quantization method: nvfp5.", "quantization"),
    ("unsupported_dtype", "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0.", "dtype"),
    ("attention_backend", "ValueError: No valid attention backend found for cuda", "attention"),
    ("multimodal_limit", "ValueError: At most 1 image(s) may be provided in one prompt.", "limit"),
    ("bad_value", "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig", "ModelConfig"),
    ("port_in_use", "OSError: [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use", "port"),
    ("port_in_use", "OSError: [Errno 98] Address already in use", "port"),
    ("nccl", "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:3356, unhandled system error (run with NCCL_DEBUG=INFO for details)", "NCCL"),
    ("nccl", "[rank0]:[E ProcessGroupNCCL.cpp:632] Watchdog caught collective operation timeout", "NCCL"),
    ("rendezvous", "torch.distributed.DistNetworkError: The client socket has timed out after 600s while trying to connect to (10.0.0.1, 29501).", "head"),
    ("worker_lost", "Exception: WorkerProc initialization failed due to an exception in a background process.", "worker"),
    ("driver_too_old", "RuntimeError: The NVIDIA driver on your system is too old (found version 12040).", "driver"),
    ("no_gpu", "RuntimeError: Failed to infer device type, please set the environment variable", "GPU"),
    ("no_gpu", "Failed to initialize NVML: Driver/library version mismatch", "reboot"),
    ("no_kernel", "RuntimeError: CUDA error: no kernel image is available for execution on the device", "sm_121"),
    ("gpu_fault", "torch.AcceleratorError: CUDA error: an illegal memory access was encountered", "illegal memory access"),
    ("missing_package", "ModuleNotFoundError: No module named 'flashinfer'", "flashinfer"),
    ("build_failed", "RuntimeError: Ninja is required to load C++ extensions", "kernel"),
    ("kernel_panic", "Fatal Python error: Segmentation fault", "crashed"),
    ("engine_failed", "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}", "gave up"),
    ("python_error", "SomethingOddError: it broke here", "SomethingOddError: it broke here"),
)  # fmt: skip


@pytest.mark.parametrize(("code", "line", "named"), SAMPLES)
def test_a_signature_gives_its_code_and_names_the_value(code: str, line: str, named: str) -> None:
    """The sentence is whole: no hole of a template is left."""
    log = f"INFO 08-21 12:00:00 [x.py:1] starting\n(EngineCore_0 pid=1) ERROR {line}\nbye\n"
    if code == "python_error":
        log = f"INFO starting\n{line}\n"
    seen = diagnose(log, exit_code=1, oom_killed=False)
    assert seen.code == code
    text = f"{seen.cause} {seen.advice}"
    assert named.lower() in text.lower()
    assert not re.search(r"[{}]|\(\)| {2,}| \.", text)
    assert seen.cause.endswith((".", "here")) or code == "python_error"


def test_every_row_of_the_table_has_a_sample() -> None:
    """The table is walked in full."""
    assert {row.code for row in (*TABLE, *GENERIC)} == {code for code, _, _ in SAMPLES}


def test_the_root_is_told_before_what_follows_from_it() -> None:
    """A real tail of a failed start: the OOM is the reason, not the engine core's last words."""
    log = """\
(EngineCore_0 pid=9) ERROR [core.py:700] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.00 GiB.
(EngineCore_0 pid=9) ERROR [core.py:700] EngineCore failed to start.
(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above.
"""
    assert diagnose(log, exit_code=1, oom_killed=False).code == "cuda_oom"


@pytest.mark.parametrize(
    ("exit_code", "oom_killed", "code"),
    [
        (137, False, "oom_killed"),
        (None, True, "oom_killed"),
        (139, False, "crashed"),
        (143, False, "terminated"),
        (127, False, "no_command"),
        (1, False, "unknown"),
        (None, False, "unknown"),
    ],
)
def test_without_words_the_way_it_ended_counts(
    exit_code: int | None, oom_killed: bool, code: str
) -> None:
    """An empty log still has a diagnosis, and `unknown` does not pretend."""
    assert diagnose("", exit_code=exit_code, oom_killed=oom_killed).code == code


def test_known_words_win_over_the_exit_code() -> None:
    """137 after a CUDA error is still the CUDA error."""
    log = "RuntimeError: CUDA error: an illegal memory access was encountered"
    assert diagnose(log, exit_code=137, oom_killed=False).code == "gpu_fault"


def test_a_value_from_the_log_is_redacted_and_inert() -> None:
    """A token in an unknown argument does not reach the page, nor does a control character."""
    log = "vllm: error: unrecognized arguments: --api-key sk-abcdefghijklmnop \x1b[31m\x07"
    seen = diagnose(log, exit_code=2, oom_killed=False)
    assert "sk-abc" not in seen.cause
    assert "\x1b" not in seen.cause
    assert "\x07" not in seen.cause


@given(st.text(max_size=400), st.one_of(st.none(), st.integers(0, 255)), st.booleans())
def test_any_log_has_a_diagnosis(log: str, code: int | None, oom: bool) -> None:
    """Never an error of our own."""
    seen = diagnose(log, exit_code=code, oom_killed=oom)
    assert seen.code
    assert seen.cause
    assert excerpt(log, 10).count("\n") < 10


def test_an_excerpt_shows_the_reason_among_thousands_of_lines() -> None:
    """The lines around the signature, not the last ones; bars only once; secrets gone."""
    bars = "\r".join(f"Loading shards: {n}% Completed | {n}/100 [" for n in range(100))
    log = "\n".join(
        [
            *(f"line {n}" for n in range(3000)),
            "HF_TOKEN=hf_ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            bars,
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.00 GiB.",
            *(f"after {n}" for n in range(3000)),
        ]
    )
    shown = excerpt(log, 20)
    assert len(shown.split("\n")) == 20
    assert "CUDA out of memory" in shown
    assert "99% Completed" in shown
    assert "98% Completed" not in shown
    assert "hf_ABC" not in shown


def test_an_excerpt_without_a_reason_is_the_end() -> None:
    """Nothing notable: the last lines."""
    log = "\n".join(f"line {n}" for n in range(100))
    assert excerpt(log, 3) == "line 97\nline 98\nline 99"


def test_hostile_logs_take_no_time() -> None:
    """Patterns stay linear on what an engine may print."""
    for log in ("(" * 200_000, "Tokenizer " * 30_000, "a/" * 150_000, "'" * 200_000, "1" * 200_000):
        diagnose(log, exit_code=1, oom_killed=False)
