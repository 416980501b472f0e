"""How a simulated engine loads: vLLM's log lines in order, its memory, and the ways it fails.

Owns the pace (`load_seconds` over the phases) and the arithmetic that makes a load fail as the real
one would: free memory, KV cache, world size, context length. Refuses HTTP.
"""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from server.sim import memory
from server.sim.engine.directory import LoadError, ModelDirectory, read_shard
from server.sim.engine.options import Options
from server.sim.layout import HostDir
from server.sim.scenario import GIB, Scenario

OVERHEAD_BYTES = int(1.2 * GIB)
SHARE = {
    "start": 0.12,
    "weights": 0.48,
    "compile": 0.16,
    "profile": 0.06,
    "graphs": 0.12,
    "end": 0.06,
}
CAPTURE_SIZES = 35


@dataclass(frozen=True, slots=True)
class Demand:
    """What the flags ask of this node."""

    model: str
    utilization: float
    max_model_len: int
    world: int
    rank: int
    nodes: int
    headless: bool


@dataclass(frozen=True, slots=True)
class Log:
    """vLLM's line format. `who` is the process name that vLLM prefixes."""

    say: Callable[[str], None]
    pid: int

    def api(self, text: str, level: str = "INFO", where: str = "api_server.py:1351") -> None:
        self._lines(f"(APIServer pid={self.pid}) {level} {_stamp()} [{where}] ", text)

    def core(self, text: str, level: str = "INFO", where: str = "core.py:77") -> None:
        self._lines(f"(EngineCore_DP0 pid={self.pid}) {level} {_stamp()} [{where}] ", text)

    def raw(self, text: str) -> None:
        self._lines(f"(EngineCore_DP0 pid={self.pid}) ", text)

    def _lines(self, prefix: str, text: str) -> None:
        for line in text.split("\n"):
            self.say(prefix + line)


def _stamp() -> str:
    return time.strftime("%m-%d %H:%M:%S")


def demand(options: Options, directory: ModelDirectory) -> Demand:
    """The flags against the model. Raises LoadError with vLLM's texts."""
    nodes = options.whole("nnodes", 1)
    world = options.whole("tensor-parallel-size", 1) * options.whole("pipeline-parallel-size", 1)
    if world > nodes:
        raise LoadError(
            "ValueError",
            f"World size ({world}) is larger than the number of available GPUs (1) in this node. "
            "If this is intentional and you are using:\n- ray, set '--distributed-executor-backend "
            "ray'.\n- multiprocessing, set '--nnodes' appropriately.",
        )
    wanted = options.whole("max-model-len", directory.context)
    if wanted == -1:
        wanted = directory.context
    if wanted > directory.context and "rope_scaling" not in options.text("hf-overrides", ""):
        raise LoadError(
            "pydantic_core._pydantic_core.ValidationError",
            "1 validation error for ModelConfig\n  Value error, User-specified max_model_len "
            f"({wanted}) is greater than the derived max_model_len (max_position_embeddings="
            f"{directory.context} or model_max_length=None in model's config.json).",
        )
    utilization = options.number("gpu-memory-utilization", 0.9)
    if not 0 < utilization <= 1:
        raise LoadError(
            "ValueError", f"GPU memory utilization must be less than 1.0. Got {utilization}."
        )
    return Demand(
        model=options.model,
        utilization=utilization,
        max_model_len=wanted,
        world=world,
        rank=options.whole("node-rank", 0),
        nodes=nodes,
        headless="headless" in options.toggles,
    )


class Loader:
    """One load on one host. `run` returns the number of KV tokens."""

    def __init__(self, host: HostDir, log: Log, directory: ModelDirectory, asked: Demand) -> None:
        self._host = host
        self._log = log
        self._directory = directory
        self._asked = asked
        self._told: Scenario = host.scenario.told_to(asked.model)
        self._total = self._told.memory_total_bytes
        self._budget = int(asked.utilization * self._total)

    async def run(self) -> int:
        self._log.core(
            f"Initializing a V1 LLM engine (v0.11.2+simulated) with config: "
            f"model='{self._directory.path}', max_seq_len={self._asked.max_model_len}, "
            f"tensor_parallel_size={self._asked.world}"
        )
        if self._told.says:
            self._log.say(self._told.says)
        await self._pause("start")
        self._check_free()
        weights = await self._weights()
        await self._compile()
        tokens = await self._profile(weights)
        await self._graphs()
        return tokens

    def _hold(self, amount: int) -> None:
        memory.take(self._host, amount, busy=True)

    async def _pause(self, phase: str, parts: int = 1) -> None:
        await asyncio.sleep(self._told.load_seconds * SHARE[phase] / parts)

    def _check_free(self) -> None:
        """What vLLM refuses before it takes any memory."""
        seen = memory.now(self._host)
        free = seen.available if self._told.memory_counted == "available" else seen.free
        if free < self._budget:
            raise LoadError(
                "ValueError",
                f"Free memory on device cuda:0 ({free / GIB:.2f}/{self._total / GIB:.2f} GiB) on "
                "startup is less than desired GPU memory utilization "
                f"({self._asked.utilization}, {self._budget / GIB:.2f} GiB). Decrease GPU memory "
                "utilization or reduce GPU memory used by other processes.",
            )
        if self._told.fail == "arch":
            raise LoadError(
                "ValueError",
                "Model architectures ['SimulatedUnknownForCausalLM'] are not supported for now. "
                "Supported architectures: dict_keys(['LlamaForCausalLM', 'Qwen3ForCausalLM'])",
            )

    async def _weights(self) -> int:
        """Read every shard's header for real; the bar moves with them."""
        began = time.monotonic()
        shards = self._directory.shards
        self._log.core(
            f"Starting to load model {self._directory.path}...", where="gpu_model_runner.py:3000"
        )
        self._bar(0, len(shards), began)
        weights = 0
        for done, name in enumerate(shards, start=1):
            await self._pause("weights", len(shards))
            await self._maybe_fail(done, len(shards))
            weights += read_shard(self._directory.path, name).bytes
            extra = self._told.extra_memory_bytes * done // len(shards)
            self._hold(max(weights, self._budget * done // (2 * len(shards))) + extra)
            self._bar(done, len(shards), began)
        took = time.monotonic() - began
        self._log.core(f"Loading weights took {took:.2f} seconds", where="default_loader.py:314")
        self._log.core(
            f"Model loading took {weights / GIB:.4f} GiB memory and {took:.6f} seconds",
            where="gpu_model_runner.py:3067",
        )
        return weights

    def _bar(self, done: int, total: int, began: float) -> None:
        percent = 100 * done // total
        spent = int(time.monotonic() - began)
        self._log.raw(
            f"Loading safetensors checkpoint shards: {percent:3d}% Completed | {done}/{total} "
            f"[00:{spent:02d}<00:{spent * (total - done) // max(1, done):02d},  1.00it/s]"
        )

    async def _maybe_fail(self, done: int, total: int) -> None:
        """The scripted failures strike in the middle of the weights."""
        self._told = told = self._host.scenario.told_to(self._asked.model)
        if done < max(1, (total + 1) // 2):
            return
        if told.fail == "hang":
            await asyncio.Event().wait()
        if told.fail == "load":
            raise LoadError(
                "SafetensorError",
                "Error while deserializing header: incomplete metadata, file not fully covered",
            )
        if told.shards_broken and done == total:
            missing = self._directory.path / self._directory.shards[-1]
            raise LoadError(
                "FileNotFoundError", f"[Errno 2] No such file or directory: '{missing}'"
            )
        if told.fail in ("oom", "oom-killed"):
            self._hold(self._total)
            if told.fail == "oom-killed":
                (self._host.state / f"oom-{os.getpid()}").touch()
                raise KilledBySystemError
            raise LoadError(
                "torch.OutOfMemoryError",
                f"CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of "
                f"{self._total / GIB:.2f} GiB of which 1.21 GiB is free. Including non-PyTorch "
                f"memory, this process has {self._budget / GIB:.2f} GiB memory in use.",
            )

    async def _compile(self) -> None:
        self._log.core(
            "Using cache directory: /root/.cache/vllm/torch_compile_cache/simulated/rank_0_0 "
            "for vLLM's torch.compile",
            where="backends.py:548",
        )
        await self._pause("compile", 2)
        self._log.core("Dynamo bytecode transform time: 4.51 s", where="backends.py:559")
        await self._pause("compile", 2)
        self._log.core("torch.compile takes 14.92 s in total", where="monitor.py:34")

    async def _profile(self, weights: int) -> int:
        """KV memory is what the budget leaves after weights and overhead."""
        await self._pause("profile")
        per_token = max(1, self._directory.kv_bytes_per_token(2) // self._asked.world)
        room = self._budget - weights // self._asked.world - OVERHEAD_BYTES
        if self._told.fail == "kv":
            room = int(-2.26 * GIB)
        self._log.core("Memory profiling takes 3.11 seconds", where="gpu_worker.py:298")
        self._log.core(
            f"Available KV cache memory: {room / GIB:.2f} GiB", where="gpu_worker.py:299"
        )
        if room <= 0:
            raise LoadError(
                "ValueError",
                "No available memory for the cache blocks. Try increasing "
                "`gpu_memory_utilization` when initializing the engine.",
            )
        need = per_token * self._asked.max_model_len
        if need > room:
            raise LoadError(
                "ValueError",
                f"To serve at least one request with the models's max seq len "
                f"({self._asked.max_model_len}), ({need / GIB:.2f} GiB KV cache is needed, which "
                f"is larger than the available KV cache memory ({room / GIB:.2f} GiB). Based on "
                f"the available memory, the estimated maximum model length is {room // per_token}. "
                "Try increasing `gpu_memory_utilization` or decreasing `max_model_len` when "
                "initializing the engine.",
            )
        self._hold(self._budget + self._told.extra_memory_bytes)
        tokens = room // per_token
        self._log.core(f"GPU KV cache size: {tokens:,} tokens", where="kv_cache_utils.py:1087")
        self._log.core(
            f"Maximum concurrency for {self._asked.max_model_len:,} tokens per request: "
            f"{tokens / self._asked.max_model_len:.2f}x",
            where="kv_cache_utils.py:1091",
        )
        return tokens

    async def _graphs(self) -> None:
        name = "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE)"
        steps = 5
        for done in range(1, steps + 1):
            await self._pause("graphs", steps)
            at = CAPTURE_SIZES * done // steps
            self._log.raw(
                f"{name}: {100 * at // CAPTURE_SIZES:3d}%|{'█' * (2 * done):<10}| "
                f"{at}/{CAPTURE_SIZES} [00:01<00:00, 20.10it/s]"
            )
        self._log.core(
            "Graph capturing finished in 6 secs, took 0.61 GiB", where="gpu_model_runner.py:3876"
        )
        await self._pause("end")
        self._log.core(
            "init engine (profile, create kv cache, warmup model) took 31.20 seconds",
            where="core.py:217",
        )


class KilledBySystemError(Exception):
    """The kernel's OOM killer takes the process: no last word."""
