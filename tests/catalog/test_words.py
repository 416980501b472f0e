"""Ids, aliases, repositories, paths, environment: what is taken, and what is refused clearly.

The property at the end is the point of it all: whatever the rules let through reaches the far end
of a real `sh` as exactly the words that were meant.
"""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from server.catalog.environment import bad_name, bad_value, check_env
from server.catalog.knobs import check, to_args
from server.catalog.paths import bad_path, check_local_path, under
from server.catalog.text import bad_alias, bad_id, bad_repo, bad_revision, bad_title

HOSTILE = [
    "",
    " ",
    "-rf",
    "--host",
    "..",
    ".",
    "../x",
    "a..b",
    "a;b",
    "a b",
    "$(touch pwned)",
    "${HOME}",
    "`id`",
    "\\x",
    "a'b",
    'a"b',
    "a\nb",
    "a\0b",
    "a\tb",
    "a\rb",
    "\x1b[31m",
    "a|b",
    "a&b",
    "a>b",
    "a*b",
    "~root",
    "a#b",
    "a\u200bb",
    "\u202eabc",
    "a\ufeffb",
    "\uff41bc",
    "\u0430bc",
    "a\u2010b",
    "a\u2028b",
    "\ud800",
    "a" * 200,
    "%s",
    "{0}",
]
RULES: list[Callable[[str], str | None]] = [bad_id, bad_alias, bad_repo, bad_revision]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_are_refused_in_one_printable_sentence(
    rule: Callable[[str], str | None], text: str
):
    """The sentence itself is ASCII or plain text: it never repeats what cannot be seen."""
    problem = rule(text)
    assert problem
    assert "\n" not in problem
    assert problem.isprintable()


@pytest.mark.parametrize("text", [t for t in HOSTILE if t not in {"a b", "."}])
def test_hostile_paths_are_refused(text: str):
    """As a whole path and as the name of a directory under the root."""
    below = f"/srv/models/{text}"
    assert check_local_path(text, ("/srv/models",))
    plain = text.isascii() and text.replace("-", "").replace("%", "").isalnum()
    if text not in {"-rf", "--host", "~root", "a..b", "\u0430bc", "a" * 200} and not plain:
        assert check_local_path(below, ("/srv/models",)), below


@pytest.mark.parametrize(
    "path",
    [
        "/srv/models",
        "/srv/models/",
        "/srv/models/../../etc",
        "/srv/models/./x",
        "/srv/models//x",
        "/srv/modelsx/y",
        "//srv/models/x",
        "/etc/passwd",
        "/",
        "srv/models/x",
        "/srv/models/x/",
        "/srv/models/ x",
        "/srv/models/x:/etc",
        "/srv/models/x,readonly=false",
        "/srv/models/" + "a" * 2000,
    ],
)
def test_a_path_must_be_plainly_below_a_root(path: str):
    """Absolute, normalised, below a root, and nothing a mount option could read twice."""
    assert check_local_path(path, ("/srv/models",))


def test_a_good_path_is_taken_and_a_missing_root_is_told():
    """With no root at all the advice says where to add one."""
    assert check_local_path("/srv/models/my fine-tune v1.2", ("/srv/models",)) is None
    assert check_local_path("/srv/models/tüne", ("/srv/models",)) is None
    assert "model_roots is empty" in (check_local_path("/srv/models/x", ()) or "")
    assert under("/a/b", "/") is True
    assert under("/ab", "/a") is False


@pytest.mark.parametrize(
    ("repo", "good"),
    [
        ("Qwen/Qwen3-32B-FP8", True),
        ("openai/gpt-oss-20b", True),
        ("a/b", True),
        ("nvidia/Llama-3.3-70B-Instruct-FP4", True),
        ("gpt2", False),
        ("a/b/c", False),
        ("https://huggingface.co/a/b", False),
        ("a/b.git", False),
        ("a/-b", False),
        ("a--x/b", False),
        ("/a", False),
        ("a/", False),
        ("a/" + "b" * 100, False),
    ],
)
def test_repositories_follow_the_rules_of_the_hub(repo: str, good: bool):
    """`org/name`, and nothing that is also a path."""
    assert (bad_repo(repo) is None) is good


def test_names_for_people_take_every_script_on_one_line():
    """A name is no command word; it only must not hide anything."""
    assert bad_title("Mein Modell für Ärzte 模型", 120) is None
    assert bad_title("a\u202eb", 120)
    assert bad_title("a\nb", 120)


@pytest.mark.parametrize(
    "name",
    ["LD_PRELOAD", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "PYTHONSTARTUP", "HF_TOKEN",
     "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "MY_PASSWORD",
     "VLLM_API_KEY", "BASH_ENV", "IFS", "VLLM_PLUGINS", "VLLM_PORT", "HF_HOME", "MASTER_ADDR",
     "a", "A-B", "A B", "1A", "", "A=B", "\uff21", "A\n", "A;B", "$(X)"],
)  # fmt: skip
def test_variables_that_load_code_or_hold_secrets_are_refused(name: str):
    """With a sentence; for a token it says where tokens belong."""
    assert bad_name(name)
    _, problems = check_env({name: "x"})
    assert problems
    if "TOKEN" in name:
        assert "hf auth login" in problems[0][1]


@pytest.mark.parametrize(
    "name",
    ["VLLM_NVFP4_GEMM_BACKEND", "VLLM_USE_FLASHINFER_MOE_FP4", "NCCL_DEBUG", "OMP_NUM_THREADS",
     "TOKENIZERS_PARALLELISM", "VLLM_ATTENTION_BACKEND", "TORCH_CUDA_ARCH_LIST",
     "CUDA_LAUNCH_BLOCKING", "VLLM_ALLOW_LONG_MAX_MODEL_LEN", "PYTORCH_CUDA_ALLOC_CONF",
     "HF_HUB_OFFLINE"],
)  # fmt: skip
def test_variables_that_recipes_use_are_taken(name: str):
    """The list of refusals must not swallow the ordinary ones."""
    assert bad_name(name) is None


@pytest.mark.parametrize(
    "value", ["a\nb", "a\0b", "\x1b[0m", "a\u202eb", "hf_" + "a" * 30, "x" * 5000]
)
def test_values_are_one_visible_line_without_tokens(value: str):
    """A token pasted into a harmless name is caught as well."""
    assert bad_value(value)


@pytest.mark.parametrize(
    ("knobs", "name"),
    [
        ({"max_model_len": 0}, "max_model_len"),
        ({"max_model_len": "32k"}, "max_model_len"),
        ({"max_model_len": True}, "max_model_len"),
        ({"max_model_len": 1.5}, "max_model_len"),
        ({"gpu_memory_utilization": 1.2}, "gpu_memory_utilization"),
        ({"gpu_memory_utilization": float("nan")}, "gpu_memory_utilization"),
        ({"gpu_memory_utilization": float("inf")}, "gpu_memory_utilization"),
        ({"dtype": "int4"}, "dtype"),
        ({"tool_call_parser": "a;b"}, "tool_call_parser"),
        ({"tool_call_parser": "-x"}, "tool_call_parser"),
        ({"tool_call_parser": "../x"}, "tool_call_parser"),
        ({"tool_call_parser": "/x.py"}, "tool_call_parser"),
        ({"enforce_eager": "yes"}, "enforce_eager"),
        ({"seed": -1}, "seed"),
        ({"seed": 10**400}, "seed"),
        ({"limit_mm_per_prompt": "{"}, "limit_mm_per_prompt"),
        ({"limit_mm_per_prompt": [1]}, "limit_mm_per_prompt"),
        ({"limit_mm_per_prompt": '{"image": NaN}'}, "limit_mm_per_prompt"),
        ({"hf_overrides": {"auto_map": {}}}, "hf_overrides"),
        ({"hf_overrides": {"a": {"b": "/etc/passwd"}}}, "hf_overrides"),
        ({"speculative_config": {"model": "/x"}}, "speculative_config"),
        ({"speculative_config": '{"a":' * 100 + "1" + "}" * 100}, "speculative_config"),
        ({"tensor_parallel_size": 2}, "tensor_parallel_size"),
        ({"enable_auto_tool_choice": True}, "enable_auto_tool_choice"),
        ({"max-model-len": 5}, "max-model-len"),
        ({"nonsense": 5}, "nonsense"),
    ],
)
def test_a_knob_out_of_bounds_is_named(knobs: dict[str, object], name: str):
    """Type, bounds, choices, and what does not go together."""
    problems = check(knobs)[1]
    assert [each[0] for each in problems] == [name]
    assert problems[0][1].isprintable()


def test_knobs_become_exactly_these_words():
    """Order of the table, two words per flag, derived parallelism and tool choice."""
    clean, problems = check(
        {
            "tool_call_parser": "hermes",
            "max_model_len": 32768,
            "gpu_memory_utilization": 0.85,
            "enable_prefix_caching": False,
            "enforce_eager": False,
            "max_logprobs": -1,
            "limit_mm_per_prompt": {"image": 4},
            "extra_args": ["--max-lora-rank", "64"],
            "seed": None,
        },
        nodes=2,
    )
    assert problems == []
    assert to_args(clean, 2) == (
        "--max-model-len", "32768",
        "--gpu-memory-utilization", "0.85",
        "--max-logprobs=-1",
        "--limit-mm-per-prompt", '{"image":4}',
        "--tool-call-parser", "hermes",
        "--enable-auto-tool-choice",
        "--tensor-parallel-size", "2",
        "--no-enable-prefix-caching",
        "--max-lora-rank", "64",
    )  # fmt: skip


def test_pipeline_and_tensor_parallel_share_the_nodes():
    """Each Spark has one GPU: the product is the number of nodes."""
    assert to_args({"pipeline_parallel_size": 2}, 2) == ("--pipeline-parallel-size", "2")
    assert check({"pipeline_parallel_size": 2}, 2)[1] == []
    assert check({"pipeline_parallel_size": 3}, 2)[1]
    assert check({"pipeline_parallel_size": 2, "tensor_parallel_size": 2}, 4)[1] == []


_any_text = st.text(max_size=24) | st.sampled_from(HOSTILE)
_SHOW = 'for word do printf "%s\\0" "$word"; done; ls -A >&2'


def taken_words(given: dict[str, str]) -> list[str]:
    """What the rules let through of the texts, as words of a command line."""
    words = [given[kind] for kind, rule in _BY_KIND.items() if rule(given[kind]) is None]
    path = f"/srv/{given['path']}"
    words += [path] if bad_path(path) is None else []
    knobs = {"tool_call_parser": given["parser"], "extra_args": [given["extra"]]}
    words += to_args(check(knobs)[0])
    return words + [f"KEY={v}" for v in check_env({"NCCL_DEBUG": given["value"]})[0].values()]


_BY_KIND = {"name": bad_id, "alias": bad_alias, "repo": bad_repo, "revision": bad_revision}
_KINDS = [*_BY_KIND, "path", "parser", "value", "extra"]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.fixed_dictionaries(dict.fromkeys(_KINDS, _any_text)))
@example(
    {
        "name": "ok", "alias": "org/ok:1", "repo": "a/b", "revision": "main", "path": "a b",
        "parser": "x.y", "value": "$(touch pwned) 'q' \"d\" ;&|", "extra": "--seed=1",
    }
)  # fmt: skip
async def test_whatever_is_taken_reaches_a_real_shell_as_the_words_that_were_meant(
    shell, given_texts
):
    """Property: refused, or one word at the far end of a real sh; nothing else ran."""
    words = taken_words(given_texts)
    result = await shell.run(["sh", "-c", _SHOW, "show", *words], deadline=20)
    assert result.stdout.split("\0")[:-1] == words
    assert result.stderr == ""
