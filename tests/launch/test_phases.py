# ruff: noqa: E501 (samples of log lines)
"""Logs of several vLLM versions become phases that only move forward."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.launch.model import Progress
from server.launch.phases import PHASES, PhaseReader, clean, ready

NEW = """\
(APIServer pid=1) INFO 08-21 12:00:01 [api_server.py:1805] vLLM API server version 0.12.1
(EngineCore_DP0 pid=77) INFO 08-21 12:00:09 [core.py:93] Initializing a V1 LLM engine (v0.12.1)
(EngineCore_DP0 pid=77) INFO 08-21 12:00:12 [gpu_model_runner.py:2602] Starting to load model org/m...
(EngineCore_DP0 pid=77) Fetching 10 files:   0%|          | 0/10 [00:00<?, ?it/s]
(EngineCore_DP0 pid=77) model-00001-of-00004.safetensors:  23%|\u2588\u2588\u258e       | 1.15G/4.97G [00:10<00:33, 115MB/s]
(EngineCore_DP0 pid=77) Fetching 10 files:  30%|\u2588\u2588\u2588       | 3/10 [00:20<00:40,  5.8s/it]
(EngineCore_DP0 pid=77) INFO 08-21 12:01:00 [weight_utils.py:441] Time spent downloading weights for org/m: 48.1 seconds
(EngineCore_DP0 pid=77) \rLoading safetensors checkpoint shards:   0% Completed | 0/21 [00:00<?, ?it/s]\rLoading safetensors checkpoint shards:  76% Completed | 16/21 [00:10<00:03,  1.5it/s]
(EngineCore_DP0 pid=77) INFO 08-21 12:01:14 [default_loader.py:268] Loading weights took 14.18 seconds
(EngineCore_DP0 pid=77) INFO 08-21 12:01:15 [gpu_model_runner.py:2653] Model loading took 30.6 GiB and 15.2 seconds
(EngineCore_DP0 pid=77) INFO 08-21 12:01:20 [backends.py:548] Using cache directory: /root/.cache/vllm/torch_compile_cache/ab/rank_0_0 for vLLM's torch.compile
(EngineCore_DP0 pid=77) INFO 08-21 12:01:22 [backends.py:559] Dynamo bytecode transform time: 5.91 s
(EngineCore_DP0 pid=77) INFO 08-21 12:01:40 [backends.py:215] Compiling a graph for dynamic shape takes 18.20 s
(EngineCore_DP0 pid=77) INFO 08-21 12:01:45 [monitor.py:34] torch.compile takes 24.11 s in total
(EngineCore_DP0 pid=77) INFO 08-21 12:01:50 [gpu_worker.py:298] Available KV cache memory: 32.08 GiB
(EngineCore_DP0 pid=77) INFO 08-21 12:01:50 [kv_cache_utils.py:1087] GPU KV cache size: 90,841 tokens
(EngineCore_DP0 pid=77) INFO 08-21 12:01:50 [kv_cache_utils.py:1091] Maximum concurrency for 42,000 tokens per request: 2.16x
(EngineCore_DP0 pid=77) Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  52%|\u2588\u2588\u2588\u2588\u2588     | 35/67 [00:04<00:04,  7.9it/s]
(EngineCore_DP0 pid=77) INFO 08-21 12:02:00 [gpu_model_runner.py:3480] Graph capturing finished in 9 secs, took 0.87 GiB
(EngineCore_DP0 pid=77) INFO 08-21 12:02:01 [core.py:210] init engine (profile, create kv cache, warmup model) took 45.13 seconds
(APIServer pid=1) INFO 08-21 12:02:02 [api_server.py:1880] Starting vLLM API server 0 on http://0.0.0.0:8000
(APIServer pid=1) INFO:     Started server process [1]
(APIServer pid=1) INFO:     Application startup complete.
"""

OLD = """\
INFO 03-01 10:00:01 model_runner.py:1110] Starting to load model org/m...
Loading pt checkpoint shards: 100% Completed | 4/4 [00:08<00:00,  2.1s/it]
INFO 03-01 10:00:10 model_runner.py:1115] Loading model weights took 14.9636 GB
INFO 03-01 10:00:12 worker.py:267] Memory profiling takes 1.61 seconds
INFO 03-01 10:00:12 executor_base.py:110] # CUDA blocks: 27443, # CPU blocks: 2048
INFO 03-01 10:00:13 executor_base.py:115] Maximum concurrency for 32768 tokens per request: 13.40x
INFO 03-01 10:00:14 model_runner.py:1434] Capturing the model for CUDA graphs. This may lead to unexpected consequences
Capturing CUDA graph shapes:  40%|\u2588\u2588\u2588\u2588      | 14/35 [00:06<00:09,  2.2it/s]
INFO 03-01 10:00:30 llm_engine.py:436] init engine (profile, create kv cache, warmup model) took 19.9 seconds
INFO 03-01 10:00:31 launcher.py:19] Starting vLLM server on http://0.0.0.0:8000
INFO:     Application startup complete.
"""


def read(log: str) -> list[Progress]:
    reader = PhaseReader()
    return [seen for line in log.split("\n") if (seen := reader.feed(line)) is not None]


def test_a_recent_log_goes_through_every_phase_in_order() -> None:
    """Each phase is seen once begun, in the order of PHASES."""
    seen = list(dict.fromkeys(progress.phase for progress in read(NEW)))
    assert seen == list(PHASES)


def test_an_old_log_is_read_too() -> None:
    """Wording of early versions: pt shards, CUDA blocks, graph shapes."""
    seen = list(dict.fromkeys(progress.phase for progress in read(OLD)))
    assert seen == ["weights", "profile", "kv_cache", "graphs", "server"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "Loading safetensors checkpoint shards:  76% Completed | 16/21 [00:10<00:03]",
            Progress("weights", 16 / 21, "shard 16 of 21"),
        ),
        (
            "Loading fastsafetensors checkpoint shards:  50% Completed | 2/4 [00:10<00:03]",
            Progress("weights", 0.5, "shard 2 of 4"),
        ),
        (
            "\x1b[1;36m(Worker_TP1 pid=9)\x1b[0;0m Multi-thread loading shards:  25% Completed | 1/4 [",
            Progress("weights", 0.25, "shard 1 of 4"),
        ),
        (
            "Fetching 10 files:  30%|\u2588\u2588\u2588       | 3/10 [00:20<00:40]",
            Progress("download", 0.3, "file 3 of 10"),
        ),
        (
            "model-00001-of-00004.safetensors:  23%|\u2588\u2588 | 1.15G/4.97G [00:10<00:33]",
            Progress("download", None, "downloading model-00001-of-00004.safetensors: 23 %"),
        ),
        (
            "(EngineCore_0 pid=123) GPU KV cache size: 90,841 tokens",
            Progress("kv_cache", 0.8, "KV cache: 90,841 tokens"),
        ),
        (
            "Available KV cache memory: -2.26 GiB",
            Progress("kv_cache", 0.4, "KV cache: -2.26 GiB"),
        ),
        (
            "Capturing CUDA graphs (decode, FULL): 100%|\u2588\u2588\u2588| 67/67 [00:09<00:00]",
            Progress("graphs", 1.0, "graph 67 of 67"),
        ),
        ("Model loading took 30.6 GiB memory and 15.2 seconds",
         Progress("compile", 0.0, "30.6 GiB of weights in 15.2 s")),
    ],
)  # fmt: skip
def test_a_line_says_where_the_load_is(line: str, expected: Progress) -> None:
    """Phase, fraction and a few words."""
    assert PhaseReader().feed(line) == expected


@pytest.mark.parametrize(
    "line",
    ["", "\r\r", "INFO: 127.0.0.1 GET /health 200 OK", "100%|", "Starting to load model org/m..."],
)
def test_other_lines_say_nothing(line: str) -> None:
    """No guess is made from what is not a marker."""
    assert PhaseReader().feed(line) is None


def test_several_ranks_never_move_the_bar_back() -> None:
    """A slower rank's bar is behind: it is not shown."""
    reader = PhaseReader()
    assert reader.feed(
        "(Worker_TP0 pid=1) Loading safetensors checkpoint shards:  50% Completed | 2/4 ["
    )
    assert not reader.feed(
        "(Worker_TP1 pid=2) Loading safetensors checkpoint shards:  25% Completed | 1/4 ["
    )
    assert reader.feed(
        "(Worker_TP1 pid=2) Loading safetensors checkpoint shards:  75% Completed | 3/4 ["
    )
    assert not reader.feed("Fetching 3 files:  30%|## | 1/3 [")


@given(st.lists(st.sampled_from((NEW + OLD).split("\n")), max_size=40))
def test_progress_is_monotone_whatever_the_order(lines: list[str]) -> None:
    """Phase rank and fraction never go back, and the same thing is not said twice."""
    reader, last = PhaseReader(), None
    for line in lines:
        seen = reader.feed(line)
        if seen is None:
            continue
        if last is not None:
            before, after = PHASES.index(last.phase), PHASES.index(seen.phase)
            assert after >= before
            if after == before:
                assert (seen.fraction or 0.0) >= (last.fraction or 0.0)
                assert seen != last
        last = seen


@given(st.text(max_size=300))
def test_any_text_is_survived(line: str) -> None:
    """A log may hold anything."""
    seen = PhaseReader().feed(line)
    assert seen is None or 0.0 <= (seen.fraction or 0.0) <= 1.0


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("(EngineCore_0 pid=123) INFO 08-21 12:00:01 [core.py:93] hello", "hello"),
        ("(Worker_TP1 pid=7) (Worker pid=8) hello", "hello"),
        ("(RayWorkerWrapper pid=33, ip=10.0.0.2) INFO 08-21 12:00:01 [core.py:93] hello", "hello"),
        ("[rank0]: hello", "hello"),
        ("2026-08-21 12:00:01,123 hello", "hello"),
        ("INFO:     Application startup complete.", "INFO:     Application startup complete."),
        ("10%\r20%\r30%", "30%"),
        ("30%\r", "30%"),
    ],
)
def test_rank_time_and_colour_are_taken_off(line: str, expected: str) -> None:
    """What is left is what the program said."""
    assert clean(line) == expected


def test_a_hostile_line_takes_no_time() -> None:
    """Patterns do not blow up on long lines."""
    reader = PhaseReader()
    for line in ("(" * 50_000, "Loading " * 20_000, "a" * 100_000 + "%|", "(a " * 30_000):
        assert reader.feed(line) is None


def test_ready_is_the_last_word_of_a_start() -> None:
    """Only the server's own sentence counts."""
    assert ready("INFO:     Application startup complete.")
    assert not ready("INFO:     Waiting for application startup.")
