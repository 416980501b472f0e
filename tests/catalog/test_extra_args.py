"""`extra_args`: flags only, none that moves the engine, renames the model or runs anything."""

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.catalog.extra_args import REFUSED, check_extra_args
from server.catalog.knobs import KNOBS, check

FORBIDDEN = [
    "--host=0.0.0.0",
    "--port=1",
    "--model=evil/model",
    "--served-model-name=x",
    "--served_model_name=x",
    "--Served-Model_Name=x",
    "--uds=x",
    "--root-path=x",
    "--api-key=x",
    "--middleware=x",
    "--config=x",
    "--tool-parser-plugin=x",
    "--reasoning-parser-plugin=x",
    "--logits-processors=x",
    "--io-processor-plugin=x",
    "--worker-cls=x",
    "--worker-extension-cls=x",
    "--scheduler-cls=x",
    "--chat-template=x",
    "--allowed-local-media-path=x",
    "--ssl-keyfile=x",
    "--ssl_certfile=x",
    "--log-config-file=x",
    "--download-dir=x",
    "--headless",
    "--nnodes=2",
    "--node-rank=1",
    "--master-addr=x",
    "--data-parallel-address=x",
    "--lora-modules=a",
    "--tokenizer=x",
    "--revision=x",
    "--code-revision=x",
    "--hf-token=x",
    "--hf-config-path=x",
    "--trust-remote-code",
    "--trust-request-chat-template",
    "--kv-transfer-config={}",
    "--additional-config={}",
    "--profiler-config={}",
    "--structured-outputs-config={}",
    "--structured-outputs-config.reasoning_parser_plugin=x",
    "--tool-server=demo",
    "--otlp-traces-endpoint=x",
    "--allowed-origins=x",
    "--grpc",
    "--help",
    "--version",
    "--some-future-file=x",
    "--some-future-plugin=x",
    "--new-thing-url=x",
    "--brand-new-config={}",
]


@pytest.mark.parametrize("token", FORBIDDEN)
def test_a_forbidden_flag_is_refused_in_every_spelling(token: str):
    """Dashes, underscores, `--no-`, capital letters, with and without `=`."""
    head, equals, value = token.partition("=")
    bare = head.removeprefix("--")
    spellings = [
        [token],
        [head, value] if equals else [head],
        ["--" + bare.replace("-", "_") + equals + value],
        [f"--no-{bare}"],
        [f"--no_{bare}"],
        [f"{head}.key={value}"],
        ["--seed", "1", token],
    ]
    for tokens in spellings:
        clean, problems = check_extra_args(tokens)
        assert clean == (), tokens
        assert problems, tokens


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_argparse_would_complete_to_a_refused_flag_is_refused(name: str):
    """Every abbreviation that only the refused flag could mean: argparse itself is the oracle."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument(f"--{name}", nargs="?", dest="hit", const="yes")
    for end in range(1, len(name) + 1):
        short = f"--{name[:end]}".rstrip("-")
        if len(short) < 3 or not check_extra_args([short])[0]:
            continue
        namespace, _ = parser.parse_known_args([short])
        hit = namespace.hit is not None
        # Full flags of vLLM's own that begin like a refused one are matched exactly by argparse.
        assert not hit or short in {knob.flag for knob in KNOBS.values()}, short


@pytest.mark.parametrize(
    "tokens",
    [
        ["--enable-prefix-caching"],
        ["--enable_prefix_caching"],
        ["--no-enable-prefix-caching"],
        ["--max-lora-rank", "64"],
        ["--max-lora-rank=64"],
        ["--block-size=16"],
        ["--cudagraph-capture-sizes", "1", "2", "4"],
        ["--compilation-config", '{"cudagraph_mode":"PIECEWISE","pass_config":{"fuse_norm":true}}'],
        ["--compilation-config.cudagraph_mode=NONE"],
        ["--limit-mm-per-prompt", '{"image":2}'],
        ["--limit-mm-per-prompt.image", "2"],
        ["--speculative-config", '{"method":"ngram","num_speculative_tokens":3}'],
        ["--moe-backend", "marlin"],
        ["--model-impl", "vllm"],
        ["--config-format", "mistral"],
        ["--quantization", "fp8"],
        ["--max-logprobs", "-1"],
        ["--enable-lora", "--max-loras", "2"],
        ["--disable-log-stats"],
        ["--scheduling-policy", "priority"],
    ],
)
def test_ordinary_flags_pass_unchanged(tokens: list[str]):
    """What is safe is not spelled anew."""
    clean, problems = check_extra_args(tokens)
    assert problems == []
    assert clean == tuple(tokens)
    assert check({"extra_args": tokens})[1] == []


@pytest.mark.parametrize(
    "tokens",
    [
        ["--"],
        ["-"],
        ["---x"],
        ["-tp", "2"],
        ["-O3"],
        ["-q", "fp8"],
        ["x"],
        ["value", "--seed"],
        [""],
        [" --seed"],
        ["--seed 1"],
        ["--seed", "1", "2", "x"],
        ["--seed", "a b"],
        ["--moe-backend", "$(id)"],
        ["--moe-backend", "`id`"],
        ["--moe-backend", "a;id"],
        ["--moe-backend", "/etc/passwd"],
        ["--moe-backend", "../x"],
        ["--moe-backend", "~root"],
        ["--moe-backend", "os.system"],
        ["--moe-backend", "os:system"],
        ["--moe-backend", "https://x"],
        ["--moe-backend", "a\nb"],
        ["--moe-backend", "a\0b"],
        ["--moe-backend='x'"],
        ["\uff0d\uff0dhost", "x"],
        ["\u2010\u2010host"],
        ["\u2014host"],
        ["--ho\u200bst", "x"],
        ["--\u202ehost"],
        ["--h\u043est", "x"],
        ["--seed\uff1d1"],
        ["--compilation-config", '{"backend":"x"}'],
        ["--compilation-config.backend=x"],
        ["--compilation-config", '{"inductor_compile_config":{"cpp.cxx":"sh"}}'],
        ["--compilation-config", '{"debug_dump_path":"x"}'],
        ["--compilation-config", '{"local_cache_dir":"x"}'],
        ["--hf-overrides", '{"auto_map":{"AutoModel":"x.Y"}}'],
        ["--speculative-config", '{"model":"/tmp/evil"}'],
        ["--speculative-config.model=../evil"],
        ["--moe-backend", '{"a":1}'],
        ["--seed.key", "1"],
        ["--seed", "1", "--seed", "2"],
        ["--enable-prefix-caching", "--enable_prefix_caching"],
        [f"--a{'b' * 3000}"],
        ["--seed"] * 100,
    ],
)
def test_anything_that_is_not_a_plain_flag_is_refused(tokens: list[str]):
    """Shell characters, paths, Python names, look-alikes, short forms, twice the same."""
    clean, problems = check_extra_args(tokens)
    assert clean == ()
    assert problems


def test_a_lookalike_is_named_by_its_code_point():
    """Nobody can see what is wrong with it otherwise."""
    assert "U+FF0D FULLWIDTH HYPHEN-MINUS" in check_extra_args(["\uff0d\uff0dhost"])[1][0]
    assert "U+200B ZERO WIDTH SPACE" in check_extra_args(["--ho\u200bst"])[1][0]
    assert "U+202E RIGHT-TO-LEFT OVERRIDE" in check_extra_args(["--\u202ehost"])[1][0]


@pytest.mark.parametrize("tokens", ["--seed", None, 5, {"--seed": 1}, ["--seed", 1], [None]])
def test_only_a_list_of_texts_is_taken(tokens: object):
    """A text is not a list of its letters."""
    assert check_extra_args(tokens)[1]


def test_a_knob_is_not_set_twice():
    """The command line shows one value, and it is the one that counts."""
    problems = check({"seed": 1, "extra_args": ["--seed", "2"]})[1]
    assert problems == [("extra_args", "--seed is also set by the knob seed: keep one of them")]


@pytest.mark.parametrize(
    "tokens",
    [
        ["--gpu-memory-utilization", "7"],
        ["--gpu-memory-utilization"],
        ["--max-model-len", "x"],
        ["--dtype", "int3"],
        ["--enable-prefix-caching", "yes"],
        ["--tensor-parallel-size", "4"],
        ["--gpu-mem", "0.5"],
    ],
)
def test_a_flag_that_has_a_knob_keeps_its_bounds(tokens: list[str]):
    """extra_args is no way around the schema."""
    assert check({"extra_args": tokens})[1]


@given(st.lists(st.text(max_size=20), max_size=6))
def test_whatever_passes_is_made_of_flags_and_plain_values(tokens: list[str]):
    """Property: no control, space, quote or shell character ever gets through outside of JSON."""
    clean, problems = check_extra_args(tokens)
    assert bool(problems) != (clean == tuple(tokens)) or tokens == []
    for token in clean:
        assert token.isascii()
        assert token.isprintable()
        if "{" not in token:
            assert not set(token) & set(" \"'`$;|&<>()\\*?!#~/")
