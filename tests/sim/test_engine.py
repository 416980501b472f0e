"""The simulated engine: what it logs, takes, answers, and how it fails."""

import asyncio
import json

import httpx
import pytest
from openai import AsyncOpenAI, InternalServerError, NotFoundError

from tests.sim.far import Far
from tests.sim_cluster import Sim

pytestmark = pytest.mark.sim
GIB = 1 << 30

PHASES = (
    "vLLM API server version",
    "Loading safetensors checkpoint shards:   0% Completed | 0/3",
    "Loading safetensors checkpoint shards: 100% Completed | 3/3",
    "Loading weights took",
    "Model loading took",
    "Memory profiling takes",
    "Available KV cache memory:",
    "GPU KV cache size:",
    "Maximum concurrency for 8,192 tokens per request:",
    "Capturing CUDA graphs",
    "init engine (profile, create kv cache, warmup model) took",
    "Starting vLLM API server 0 on http://0.0.0.0",
    "Application startup complete.",
)


def serve(sim: Sim, ident: str = "qwen3-0.6b", *more: str) -> list[str]:
    return [
        sim.model(ident),
        "--served-model-name",
        ident,
        "alias",
        "--max-model-len",
        "8192",
        *more,
    ]


def client(sim: Sim) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{sim.engine_url()}/v1", api_key="none", max_retries=0)


async def test_a_load_logs_the_phases_of_vllm_in_their_order(far: Far, sim: Sim) -> None:
    """The markers that progress is read from."""
    await far.start(*serve(sim))
    log = await far.ready()
    at = [log.find(phase) for phase in PHASES]
    assert -1 not in at, PHASES[at.index(-1)]
    assert at == sorted(at)


async def test_the_port_opens_only_when_the_model_is_loaded(far: Far, sim: Sim) -> None:
    """Until then the connection is refused, as with vLLM."""
    sim.scenario("spark-1", load_seconds=1.0)
    await far.start(*serve(sim))
    await far.until("Loading safetensors")
    async with httpx.AsyncClient(base_url=sim.engine_url()) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("/health")
        await far.ready()
        assert (await http.get("/health")).status_code == 200


async def test_the_openai_client_gets_answers_streams_and_usage(far: Far, sim: Sim) -> None:
    """Chat and completion, whole and streamed; the same prompt gives the same words."""
    await far.start(*serve(sim))
    await far.ready()
    async with client(sim) as openai:
        models = await openai.models.list()
        assert [model.id for model in models.data] == ["qwen3-0.6b", "alias"]
        ask = [{"role": "user", "content": "What is this?"}]
        whole = await openai.chat.completions.create(model="alias", messages=ask)
        text = whole.choices[0].message.content
        assert text
        assert "simulated engine serving alias" in text
        stream = await openai.chat.completions.create(
            model="alias", messages=ask, stream=True, stream_options={"include_usage": True}
        )
        pieces = [chunk async for chunk in stream]
        assert "".join(c.choices[0].delta.content or "" for c in pieces if c.choices) == text
        assert pieces[-1].usage is not None
        assert whole.usage is not None
        assert pieces[-1].usage.completion_tokens == whole.usage.completion_tokens
        short = await openai.completions.create(model="qwen3-0.6b", prompt="Say", max_tokens=5)
        assert short.choices[0].finish_reason == "length"
        assert short.usage is not None
        assert short.usage.completion_tokens == 5
        with pytest.raises(NotFoundError, match="does not exist"):
            await openai.chat.completions.create(model="other", messages=ask)


async def test_metrics_tokenize_and_version(far: Far, sim: Sim) -> None:
    """Metrics carry labels; tokens are counted with the model's own tokenizer file."""
    await far.start(*serve(sim))
    await far.ready()
    port = sim.engine_port
    ask = json.dumps({"model": "alias", "prompt": "light river stone"})
    answer = json.loads(await far.out(f"curl -s localhost:{port}/tokenize -d '{ask}'"))
    assert answer["count"] == 3
    assert all(token > 3 for token in answer["tokens"])
    metrics = await far.out(f"curl -s 127.0.0.1:{port}/metrics")
    assert 'vllm:num_requests_running{engine="0",model_name="qwen3-0.6b"} 0.0' in metrics
    assert "simulated" in await far.out(f"curl -s 127.0.0.1:{port}/version")


async def test_a_reasoning_parser_makes_thoughts_come_first(far: Far, sim: Sim) -> None:
    """Reasoning deltas, then the answer."""
    await far.start(*serve(sim, "qwen3-0.6b", "--reasoning-parser", "qwen3"))
    await far.ready()
    async with client(sim) as openai:
        ask = [{"role": "user", "content": "hm"}]
        stream = await openai.chat.completions.create(model="alias", messages=ask, stream=True)
        deltas = [chunk.choices[0].delta.to_dict() async for chunk in stream]
    kinds = ["reasoning" if "reasoning" in d else "content" for d in deltas[1:-1]]
    assert kinds == sorted(kinds, reverse=True)
    assert set(kinds) == {"reasoning", "content"}


async def test_memory_is_taken_and_given_back(far: Far, sim: Sim) -> None:
    """utilization x MemTotal while it runs; nvidia-smi names the process; then all comes back."""
    before = await far.memory()
    await far.start(*serve(sim, "qwen3-0.6b", "--gpu-memory-utilization", "0.5"))
    await far.ready()
    taken = await far.memory_when(
        lambda seen: before["MemAvailable"] - seen["MemAvailable"] > 55 * GIB
    )
    assert taken["MemTotal"] == before["MemTotal"]
    row = await far.out(
        "nvidia-smi --query-compute-apps=pid,process_name,used_memory --format=csv,noheader,nounits"
    )
    pid, name, used = row.strip().split(", ")
    assert int(pid) in sim.processes("spark-1")
    assert name == "VLLM::EngineCore"
    assert int(used) == int(0.5 * before["MemTotal"]) >> 20
    await far.out("docker stop engine")
    await far.memory_when(lambda seen: seen["MemAvailable"] == before["MemAvailable"])


async def test_stopping_an_engine_is_quick_and_clean(far: Far, sim: Sim) -> None:
    """TERM is caught: exit code 0, and the log stays."""
    await far.start(*serve(sim))
    await far.ready()
    await far.out("docker stop engine")
    assert (await far.ended())["ExitCode"] == 0
    assert "Application shutdown complete." in await far.log()


async def test_a_second_engine_finds_no_memory_or_no_port(far: Far, sim: Sim) -> None:
    """While another holds the memory, vLLM's ValueError; on its port, address in use."""
    await far.start(*serve(sim))
    await far.ready()
    await far.start(*serve(sim), name="second")
    assert (await far.ended("second"))["ExitCode"] == 1
    assert "[Errno 98] Address already in use" in await far.log("second")
    await far.start(*serve(sim), "--port", "18123", name="third", options="")
    log = await far.log("third") if (await far.ended("third"))["ExitCode"] == 1 else ""
    assert "Address already in use" in log or "Free memory on device cuda:0" in log


async def test_too_little_memory_is_refused_before_anything_is_taken(far: Far, sim: Sim) -> None:
    """The sentence of vLLM with the figures of this host."""
    sim.scenario("spark-1", memory_counted="free", page_cache_bytes=60 * GIB)
    await far.start(*serve(sim))
    assert (await far.ended())["ExitCode"] == 1
    log = await far.log()
    assert "ValueError: Free memory on device cuda:0 (" in log
    assert "is less than desired GPU memory utilization (0.9," in log


FAILURES = {
    "oom": "torch.OutOfMemoryError: CUDA out of memory.",
    "load": "SafetensorError: Error while deserializing header",
    "kv": "No available memory for the cache blocks",
    "arch": "are not supported for now",
}


@pytest.mark.parametrize("fail", FAILURES)
async def test_scripted_failures_print_their_signature_and_exit_with_one(
    far: Far, sim: Sim, fail: str
) -> None:
    """Each as vLLM prints it, with the API server's last words after it."""
    sim.scenario("spark-1", fail=fail)
    await far.start(*serve(sim))
    assert (await far.ended())["ExitCode"] == 1
    log = await far.log()
    assert FAILURES[fail] in log
    assert "RuntimeError: Engine core initialization failed. See root cause above." in log


async def test_the_kernel_can_kill_an_engine_without_a_word(far: Far, sim: Sim) -> None:
    """OOMKilled is true, the code 137, and no traceback."""
    sim.scenario("spark-1", fail="oom-killed")
    await far.start(*serve(sim))
    state = await far.ended()
    assert (state["OOMKilled"], state["ExitCode"]) == (True, 137)
    assert "Traceback" not in await far.log()


async def test_a_hang_stops_in_the_middle_of_the_shards(far: Far, sim: Sim) -> None:
    """The process lives, the log stands still, and it still stops when told."""
    sim.scenario("spark-1", fail="hang")
    await far.start(*serve(sim))
    await far.until(" 33% Completed | 1/3")
    still = await far.log()
    assert await far.out("sleep 0.5; docker logs engine 2>&1") == still
    await far.out("docker stop engine")
    assert (await far.ended())["Status"] == "exited"


async def test_a_crash_comes_after_ready(far: Far, sim: Sim) -> None:
    """Ready, an answer, then EngineDeadError and exit code 1."""
    sim.scenario("spark-1", fail="crash", crash_after_seconds=0.2)
    await far.start(*serve(sim))
    assert (await far.ended())["ExitCode"] == 1
    log = await far.log()
    assert log.index("Application startup complete.") < log.index("EngineDeadError")


async def test_what_is_wrong_with_a_model_directory_is_said_as_vllm_says_it(
    far: Far, sim: Sim
) -> None:
    """A missing shard, an empty directory, a context that is too long, two GPUs in one node."""
    cases = {
        "shard": ([sim.model("broken-copy")], "FileNotFoundError: [Errno 2] No such file"),
        "empty": (["/srv/nothing"], "Invalid repository ID or local directory specified"),
        "long": ([sim.model("qwen3-0.6b"), "--max-model-len", "99999"], "User-specified max_model"),
        "world": ([sim.model("qwen3-0.6b"), "-tp", "2"], "World size (2) is larger than"),
    }
    for name, (words, signature) in cases.items():
        await far.start(*words, name=name)
        assert (await far.ended(name))["ExitCode"] == 1
        assert signature in await far.log(name), name
    await far.start(*serve(sim), "--no-such-flag", name="flag")
    assert (await far.ended("flag"))["ExitCode"] == 2
    assert "unrecognized arguments: --no-such-flag" in await far.log("flag")


async def test_repositories_come_from_the_cache_or_are_downloaded_into_it(
    far: Far, sim: Sim
) -> None:
    """A cached one needs no download; another shows `Fetching N files` and is complete after."""
    await far.start("Qwen/Qwen3-32B-FP8", "--max-model-len", "8192")
    assert "Fetching" not in await far.ready()
    await far.out("docker rm -f engine")
    await far.empty()
    sim.scenario("spark-1", download_seconds=0.3)
    await far.start("Qwen/Qwen3-1.7B", "--max-model-len", "8192")
    log = await far.ready()
    assert "Fetching 8 files: 100%" in log
    hub = "$HOME/.cache/huggingface/hub/models--Qwen--Qwen3-1.7B"
    assert (await far.out(f"cat {hub}/refs/main")).strip()
    assert await far.out(f"find {hub}/snapshots -xtype l; find {hub} -name '*.incomplete'") == ""


async def test_repositories_that_cannot_be_had_fail_as_the_hub_says(far: Far, sim: Sim) -> None:
    """Not there, gated, offline, or no room on the disk."""
    cases = {
        "missing": ("org/does-not-exist", "", "RepositoryNotFoundError"),
        "gated": ("meta-llama/Llama-3.3-70B-Instruct", "", "GatedRepoError"),
        "offline": ("org/some-model", "-e HF_HUB_OFFLINE=1", "LocalEntryNotFoundError"),
    }
    for name, (repository, options, signature) in cases.items():
        await far.start(repository, name=name, options=options)
        assert (await far.ended(name))["ExitCode"] == 1
        assert signature in await far.log(name)


@pytest.mark.parametrize("answer", ["error", "empty"])
async def test_answers_can_go_wrong_while_health_is_fine(far: Far, sim: Sim, answer: str) -> None:
    """A 500 in vLLM's shape, or an answer without a word."""
    await far.start(*serve(sim))
    await far.ready()
    sim.scenario("spark-1", answer=answer)
    async with client(sim) as openai:
        ask = [{"role": "user", "content": "hello"}]
        if answer == "error":
            with pytest.raises(InternalServerError, match="EngineCore encountered an issue"):
                await openai.chat.completions.create(model="alias", messages=ask)
        else:
            empty = await openai.chat.completions.create(model="alias", messages=ask)
            assert empty.choices[0].message.content == ""
    assert "200" in await far.out(f"curl -si 127.0.0.1:{sim.engine_port}/health")


async def test_a_client_that_leaves_ends_its_generation(far: Far, sim: Sim) -> None:
    """The counter of running requests goes back to nothing, and an abort is counted."""
    sim.scenario("spark-1", token_delay=5.0)
    await far.start(*serve(sim))
    await far.ready()
    async with client(sim) as openai:
        ask = [{"role": "user", "content": "long"}]
        stream = await openai.chat.completions.create(model="alias", messages=ask, stream=True)
        async for _ in stream:
            break
        await stream.close()
    async with asyncio.timeout(5):
        while True:
            metrics = await far.out(f"curl -s 127.0.0.1:{sim.engine_port}/metrics")
            if 'finished_reason="abort"} 1.0' in metrics:
                break
    assert 'vllm:num_requests_running{engine="0",model_name="qwen3-0.6b"} 0.0' in metrics


async def test_a_bare_engine_outlives_its_session(far: Far, sim: Sim) -> None:
    """`vllm serve` on PATH, detached: the channel closes, the engine serves on."""
    words = f"{sim.model('qwen3-0.6b')} --served-model-name bare --port {sim.engine_port}"
    pid = (
        await far.out(
            f"setsid vllm serve {words} --max-model-len 8192 > bare.log 2>&1 < /dev/null & echo $!"
        )
    ).strip()
    await far.drop("spark-1")
    other = Far(sim)
    async with asyncio.timeout(10):
        while "startup complete" not in (await other.run("cat bare.log")).out:
            pass
    assert f"{pid}" in await other.out("pgrep -f 'vllm serve'")
    await other.out(f"kill {pid}")
    await other.close()
