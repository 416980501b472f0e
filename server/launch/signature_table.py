# ruff: noqa: E501 (a table of patterns reads better unbroken)
"""Every failure we know by its words: code, cause, next step. Data only; read by `signatures`.

The order is the priority: what names the root comes before what merely follows from it. `{name}` in
a sentence is the group of that name. Patterns never span lines.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signature:
    code: str
    pattern: re.Pattern[str]
    cause: str
    advice: str


def _row(code: str, pattern: str, cause: str, advice: str) -> Signature:
    return Signature(code, re.compile(pattern, re.IGNORECASE | re.MULTILINE), cause, advice)


_DOCKER = (
    _row("docker_denied", r"permission denied while trying to connect to the docker|"
         r"dial unix /var/run/docker\.sock: connect: permission denied",
         "The SSH user may not use docker on this host.",
         "Run there: sudo usermod -aG docker $USER, then connect again."),
    _row("docker_down", r"Cannot connect to the Docker daemon|docker daemon is not running|"
         r"error during connect:",
         "Docker does not run on this host.", "Run there: sudo systemctl start docker."),
    _row("no_gpu_runtime", r"could not select device driver \S{0,8}nvidia|"
         r"could not select device driver .{0,40}capabilities: \[\[gpu\]\]|"
         r"unknown or invalid runtime name: nvidia|nvidia-container-cli: .{0,200}",
         "Docker cannot hand the GPU to a container.",
         "Install or repair the NVIDIA Container Toolkit (nvidia-ctk runtime configure), then "
         "restart docker."),
    _row("image_missing", r"Unable to find image '(?P<image>[^'\s]{1,255})'|"
         r"No such image: (?P<image2>[^\s'\"]{1,255})|"
         r"pull access denied for (?P<image3>[^\s,]{1,255})|"
         r"manifest (?:for (?P<image4>\S{1,255}) )?(?:not found|unknown)|Could not inspect image",
         "The image {image} is not on this host.",
         "Build or pull it there, or copy it from another node."),
    _row("image_mismatch", r"Docker image mismatch on worker node \(?(?P<node>[\w.:-]{1,64})",
         "The image on {node} is another build than on the head.",
         "Copy one build to all nodes: build-and-copy.sh --no-build --copy-to …"),
    _row("exec_format", r"exec format error|"
         r"image's platform \((?P<platform>[\w/]{1,40})\S{0,20}\) does not match",
         "The image was built for another processor.",
         "A Spark is aarch64: use an arm64 image."),
    _row("vllm_not_in_image", r"exec: \"?vllm\"?: executable file not found|vllm: (?:command )?not found",
         "There is no vllm command where the engine was started.",
         "Use an image (or a venv) that has vLLM."),
    _row("name_taken", r"The container name \S{1,140} is already in use",
         "A container of this name exists already.", "Stop and remove it, then try again."),
    _row("mount_failed", r"error while creating mount source path|invalid mount config|"
         r"bind source path does not exist: (?P<path>\S{1,300})",
         "A folder could not be mounted into the container.",
         "Check that it exists on this host and that docker may read it."),
)  # fmt: skip

_LAUNCHER = (
    _row("already_running", r"already running\.{0,3}.{0,80}|Skipping launch",
         "Containers of an earlier launch still run, so nothing was launched.",
         "Stop them on all nodes, wait until the names are gone, then try again."),
    _row("node_ssh", r"Passwordless SSH to (?P<node>[\w.:-]{1,64}) failed",
         "The head node cannot log in to {node} without a password.",
         "Set up SSH keys between the nodes under the same user name (ssh-copy-id {node})."),
    _row("wrong_head", r"Local IP \((?P<ip>[\w.:]{1,64})\) is not in the list of nodes",
         "The head's own address {ip} is not among the node addresses given.",
         "Set hosts[].cluster_address to the address each node has on the fast link."),
    _row("interfaces", r"ibdev2netdev not found|Unexpected number of active CX7 interfaces|"
         r"No active IB interfaces found",
         "launch-cluster.sh could not tell the network interfaces.",
         "Set engine.eth_if and engine.ib_if, or check the cable between the nodes."),
    _row("ray_start", r"Timeout waiting for cluster to start",
         "The Ray cluster did not come up.",
         "Check that the nodes reach each other on the fast link; a newer checkout needs no Ray."),
    _row("too_few_nodes", r"Command requires (?P<wanted>\d+) nodes? .{0,60}only (?P<have>\d+)",
         "The command asks for {wanted} nodes and {have} are configured.",
         "Lower tensor_parallel_size, or raise nodes."),
    _row("mod_failed", r"Patch script failed on (?P<node>[\w.:-]{1,64})",
         "A mod could not be applied on {node}.", "Update the checkout or leave the mod out."),
    _row("checkout_syntax", r"Invalid \.env file syntax|Unknown argument or action: (?P<what>\S{1,80})",
         "launch-cluster.sh did not accept its settings {what}.",
         "Update the checkout (git pull) and check its .env file."),
)  # fmt: skip

_MEMORY = (
    _row("memory_taken",
         r"Free memory on device \S{0,20}\s?\((?P<free>[\d.]+)/(?P<total>[\d.]+) GiB\) on startup is "
         r"less than desired GPU memory utilization \((?P<util>[\d.]+), (?P<need>[\d.]+) GiB\)",
         "Only {free} of {total} GiB were free at the start, and gpu_memory_utilization {util} "
         "needs {need} GiB.",
         "Lower gpu_memory_utilization, stop what else uses memory, or drop the page cache (sudo "
         "sysctl vm.drop_caches=1): vLLM may count cached memory as used."),
    _row("context_too_long",
         r"max(?:imum)? (?:seq(?:uence)? len(?:gth)?|model len(?:gth)?)\D{0,20}\(?(?P<asked>\d+)\)?.{0,160}"
         r"larger than the (?:maximum number of tokens|available KV cache).{0,60}\((?P<fits>\d+)\)",
         "max_model_len {asked} does not fit: the KV cache holds {fits} tokens.",
         "Set max_model_len to {fits} or less, or raise gpu_memory_utilization."),
    _row("context_too_long",
         r"estimated maximum model length is (?P<fits>\d+)",
         "max_model_len does not fit into the KV cache: at most {fits} tokens do.",
         "Set max_model_len to {fits} or less, or raise gpu_memory_utilization."),
    _row("context_too_long",
         r"To serve at least one request with the model.?s max seq len \((?P<asked>\d+)\),? "
         r"\(?(?P<need>[\d.]+) GiB.{0,120}?\((?P<have>[\d.]{1,12}) GiB",
         "One request of {asked} tokens needs {need} GiB of KV cache and {have} GiB are left.",
         "Lower max_model_len, or raise gpu_memory_utilization."),
    _row("no_kv_memory", r"No available memory for the cache blocks|"
         r"Available KV cache memory: (?P<have>-[\d.]+) GiB",
         "The weights leave no memory for the KV cache {have}.",
         "Raise gpu_memory_utilization, lower max_num_batched_tokens, or use a smaller model."),
    _row("cuda_oom", r"(?:torch\.)?(?:cuda\.)?OutOfMemoryError: CUDA out of memory\."
         r"(?: Tried to allocate (?P<want>[\d.]+ [GMK]iB))?|CUDA out of memory|"
         r"CUDA error: out of memory|cudaErrorMemoryAllocation",
         "The GPU ran out of memory {want}.",
         "Lower gpu_memory_utilization, max_model_len or max_num_seqs, or use a smaller model."),
    _row("driver_oom", r"NV_ERR_NO_MEMORY",
         "The driver could not get memory: the host came close to a standstill.",
         "Lower gpu_memory_utilization well below what is free, and stop other programs."),
    _row("ray_oom", r"ray\.exceptions\.OutOfMemoryError|Workers \(tasks / actors\) killed due to memory",
         "Ray's memory monitor killed a worker.",
         "Update the checkout (it turns the monitor off), or lower gpu_memory_utilization."),
    _row("host_oom", r"\bOut of memory: Killed process|\bMemoryError\b|Cannot allocate memory|"
         r"std::bad_alloc",
         "The host ran out of memory.",
         "Lower gpu_memory_utilization, or stop other programs on this host."),
    _row("shm_full", r"(?:No space left on device|Bus error).{0,80}(?:/dev/shm|shared memory)|"
         r"insufficient shared memory",
         "The shared memory of the container is full.", "Use --ipc=host or a larger shm size."),
    _row("disk_full", r"No space left on device|ENOSPC|Disk quota exceeded",
         "The disk is full.", "Free space on the host (models that are not used, old images)."),
)  # fmt: skip

_FILES = (
    _row("gated", r"GatedRepoError|Cannot access gated repo|is a gated repo|"
         r"Access to model (?P<repo>\S{1,120}) is restricted|awaiting a review from the repo authors",
         "The model {repo} is gated on Hugging Face.",
         "Accept its licence on huggingface.co, and log in on the host: hf auth login."),
    _row("hf_denied", r"(?:401|403) Client Error.{0,120}huggingface|Invalid user token|"
         r"Invalid username or password|(?:401|403) (?:Unauthorized|Forbidden).{0,120}hugg",
         "Hugging Face refused access.", "Log in on the host with a valid token: hf auth login."),
    _row("repo_not_found", r"RepositoryNotFoundError|Repository Not Found for url|"
         r"(?P<repo>[\w./-]{1,120}) is not a local folder and is not a valid model identifier|"
         r"Repo id must be in the form",
         "There is no such model on Hugging Face {repo}.",
         "Check the spelling of the repository, and whether it needs a login."),
    _row("revision_not_found", r"RevisionNotFoundError|Revision Not Found for url",
         "The model has no such revision.", "Correct or remove the revision."),
    _row("hub_offline", r"LocalEntryNotFoundError|OfflineModeIsEnabled|outgoing traffic has been disabled|"
         r"Max retries exceeded with url.{0,200}huggingface|"
         r"couldn't connect to '?https://huggingface\.co",
         "The model is not complete on this host and Hugging Face could not be reached.",
         "Download it first, or check the host's way to the internet."),
    _row("broken_weights", r"SafetensorError|Error while deserializing header|HeaderTooLarge|"
         r"MetadataIncompleteBuffer|InvalidHeader|incomplete metadata, file not fully covered",
         "A weights file is broken or was cut short.",
         "Download or copy it again, and compare sizes with the source."),
    _row("missing_weights", r"Cannot find any model weights with|"
         r"No such file or directory: '?(?P<file>[^'\s]{1,300}\.safetensors)|"
         r"does not appear to have a file named (?P<file2>[\w.-]{1,120}\.(?:safetensors|bin))|"
         r"Following weights were not initialized from checkpoint|"
         r"(?P<file3>[\w./-]{1,300}\.safetensors)\S{0,3} (?:does not exist|not found)",
         "Weights are missing {file}.",
         "Download or copy the model again: every shard of its index must be there."),
    _row("trust_remote_code", r"trust[_-]remote[_-]code=True|"
         r"requires you to execute the (?:configuration|model|tokenizer) file|contains custom code",
         "The model brings its own code, which is not run unasked.",
         "If you trust the publisher, set the knob trust_remote_code."),
    _row("unknown_architecture",
         r"Model architectures \[?'?(?P<arch>[\w, ']{1,200}?)'?\]? (?:are|is) not supported|"
         r"model type [`'](?P<arch2>[\w.-]{1,80})[`'] but Transformers does not recognize|"
         r"Transformers does not recognize this architecture|"
         r"(?P<arch3>\w{1,80}) has no vLLM implementation|"
         r"Unrecognized model in|cannot import name '(?P<arch4>\w{1,80})' from 'transformers",
         "This build does not know the model's architecture {arch}.",
         "Use a newer image (newer vLLM and transformers), or another model."),
    _row("tokenizer", r"Can't load tokenizer for|Couldn't instantiate the backend tokenizer|"
         r"data did not match any variant of untagged enum|Tokenizer class (?P<name>\w{1,80}) does not exist|"
         r"Failed to load (?:the )?tokenizer|Error parsing line .{0,40}tokenizer\.model|"
         r"[Tt]okenizer.{0,80}(?:not found|missing|failed)",
         "The tokenizer could not be loaded {name}.",
         "Check that tokenizer.json and tokenizer_config.json are whole; a newer image may be needed."),
    _row("bad_config", r"does not appear to have a file named config\.json|"
         r"It looks like the config file at .{0,200} is not a valid JSON|"
         r"Invalid repository ID or local directory specified|JSONDecodeError",
         "The model's config.json is missing or cannot be read.",
         "Check the path, and download or copy the model again."),
    _row("files_denied", r"PermissionError: \[Errno 13\] Permission denied: '?(?P<path>[^'\s]{1,300})",
         "A file may not be read or written: {path}.",
         "Root-owned files of a container cause this: sudo chown -R $USER ~/.cache/huggingface."),
)  # fmt: skip

_ARGUMENTS = (
    _row("bad_tool_parser", r"invalid tool call parser: (?P<name>\S{1,60})|"
         r"Tool parser '?(?P<name2>[\w.-]{1,60})'? not found|"
         r"argument --tool-call-parser: invalid choice: '?(?P<name3>[\w.-]{1,60})",
         "This build has no tool call parser named {name}.",
         "Choose another tool_call_parser, or use a newer image."),
    _row("bad_reasoning_parser", r"invalid reasoning parser: (?P<name>\S{1,60})|"
         r"Reasoning parser '?(?P<name2>[\w.-]{1,60})'? not found|"
         r"argument --reasoning-parser: invalid choice: '?(?P<name3>[\w.-]{1,60})",
         "This build has no reasoning parser named {name}.",
         "Choose another reasoning_parser, or use a newer image."),
    _row("unknown_arguments", r"unrecognized arguments: (?P<what>[^\r\n]{1,200})|"
         r"error: argument (?P<what2>--?[\w-]{1,60})[^\r\n]{0,120}",
         "vLLM did not accept an argument: {what}.",
         "Correct or remove it from the model's knobs and extra_args; other versions have others."),
    _row("not_divisible",
         r"(?:number of attention heads|num_attention_heads|heads) ?\(?(?P<heads>\d+)\)?.{0,40}(?:must be )?"
         r"divisible by.{0,60}?\(?(?P<size>\d+)\)?|must be divisible by tensor[_ ]parallel|"
         r"\b(?P<heads2>\d{1,9}) is not divisible by (?P<size2>\d{1,9})",
         "The model ({heads}) does not divide over {size} GPUs.",
         "Use another tensor_parallel_size, or pipeline_parallel_size."),
    _row("longer_than_model",
         r"User-specified max_model_len \((?P<asked>\d+)\) is greater than the derived max_model_len "
         r"\(.{0,80}?(?P<fits>\d+)",
         "max_model_len {asked} is more than the model was made for ({fits}).",
         "Set max_model_len to {fits} or less, or configure rope scaling."),
    _row("quantization", r"Unknown quantization method|quantization method .{0,60} not supported|"
         r"does not match the quantization method specified|"
         r"(?:quantization|The quantization) .{0,80}(?:Minimum capability|not supported for the current GPU)",
         "This build cannot run the model's quantization on this GPU.",
         "Remove the quantization knob, or use a newer image or another quantization."),
    _row("unsupported_dtype", r"Bfloat16 is only supported|dtype .{0,40} is not supported|"
         r"FP8 .{0,60}not supported",
         "The number format is not supported here.", "Set dtype: auto, or use another variant."),
    _row("attention_backend", r"(?:attention backend|AttentionBackend).{0,100}(?:not supported|invalid|No valid)|"
         r"No valid attention backend",
         "The attention backend does not work with this model or GPU.",
         "Remove the attention_backend setting, or choose another."),
    _row("multimodal_limit", r"limit_mm_per_prompt|At most \d+ .{0,40}may be provided",
         "A limit for images, audio or video does not hold.", "Correct limit_mm_per_prompt."),
    _row("bad_value", r"validation errors? for (?P<what>\w{1,60})",
         "vLLM refused a setting ({what}).", "See the log for the field, and correct that knob."),
)  # fmt: skip

_NETWORK = (
    _row("port_in_use", r"(?:error while attempting to bind on address|bind\(\)|Errno 98).{0,120}"
         r"(?:address already in use)|Address already in use|EADDRINUSE|port .{0,20}already in use",
         "The port is taken by another program on the host.",
         "Stop it (ss -ltnp shows it) or set another engine.port."),
    _row("nccl", r"NCCL error.{0,160}|ncclSystemError|ncclRemoteError|ncclInternalError|"
         r"unhandled system error|NCCL WARN .{0,160}|ProcessGroupNCCL.{0,160}time(?:d )?out|"
         r"Watchdog caught collective operation timeout",
         "The nodes could not talk to each other over NCCL.",
         "Check the cable and engine.eth_if / engine.ib_if; both nodes need the same image."),
    _row("rendezvous", r"DistNetworkError|DistStoreError|TCPStore.{0,120}(?:time|fail)|"
         r"The client socket has (?:timed out|failed to connect)|"
         r"Timed out (?:after .{0,40} )?waiting for clients",
         "A node did not find the head.",
         "Check cluster_address of each host and that no firewall is between them."),
    _row("worker_lost", r"RayActorError|ActorDiedError|worker died|WorkerProc (?:initialization failed|hit an)|"
         r"A worker process has died|RPC call to .{0,40} timed out",
         "A worker ended while the model was loading.",
         "Look at the log above this line and at the other nodes' logs."),
)  # fmt: skip

_GPU = (
    _row("driver_too_old", r"CUDA driver version is insufficient|driver on your system is too old|"
         r"forward compatibility was attempted on non supported HW|unsatisfied condition: cuda",
         "The NVIDIA driver is too old for this image.",
         "Update the driver, or use an image built for it."),
    _row("no_gpu", r"No CUDA GPUs are available|no CUDA-capable device|Failed to infer device type|"
         r"NVML: ?(?:Driver/library version mismatch|Unknown Error)|Found no NVIDIA driver|"
         r"Driver/library version mismatch",
         "The engine found no usable GPU.",
         "Run nvidia-smi on the host; after a driver update it needs a reboot."),
    _row("no_kernel", r"no kernel image is available for execution|sm_?12[01]\w{0,2}.{0,80}not (?:supported|compatible)|"
         r"ptxas fatal|Unsupported gpu architecture",
         "The image has no code for this GPU (GB10 is sm_121).",
         "Use an image built for DGX Spark."),
    _row("gpu_fault", r"CUDA error: (?P<what>[a-z][^\r\n]{1,80})|illegal memory access|device-side assert|"
         r"Xid \(|cudaErrorLaunchFailure",
         "The GPU reported an error {what}.",
         "Try enforce_eager or another image; if it comes back, reboot the host."),
    _row("missing_package", r"ModuleNotFoundError: No module named '(?P<name>[\w.]{1,80})'|"
         r"ImportError: .{0,120}(?P<name2>lib[\w.-]{1,60}\.so)",
         "The image lacks {name}.", "Use another image, or install it in the venv."),
    _row("build_failed", r"Ninja is required|ninja: build stopped|Error building extension|"
         r"nvcc.{0,80}(?:not found|fatal)|Python\.h: No such file",
         "A GPU kernel could not be built.",
         "Use an image with the build tools, or prebuilt kernels."),
    _row("kernel_panic", r"Segmentation fault|SIGSEGV|Fatal Python error",
         "The engine crashed.", "Try another image or enforce_eager."),
)  # fmt: skip

GENERIC = (
    _row("engine_failed", r"Engine core initialization failed|EngineDeadError|EngineCore encountered|"
         r"AsyncEngineDeadError|Failed core proc",
         "The engine gave up while it was starting.", "The log above this line says why."),
    _row("python_error", r"^\s*(?:\(.{0,60}\)\s*)?(?:\S+ \S+ \S+ \[\S+\]\s*)?(?P<what>[A-Z]\w{2,60}(?:Error|Exception): [^\r\n]{1,200})",
         "The engine ended with an error: {what}", "See the log around it."),
)  # fmt: skip

TABLE = (*_DOCKER, *_LAUNCHER, *_MEMORY, *_FILES, *_ARGUMENTS, *_NETWORK, *_GPU)
